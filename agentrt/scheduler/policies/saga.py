"""`Saga`: affinity, stealing, a time to live from the tool's p95, and urgency (arXiv 2605.00528).

From its repository, which is a simulator:

    ttl      = min(p95 of the tool * (1 - pressure / 2), 300 s)
    pressure = (used share of the cache - 0.7) / (0.9 - 0.7), between 0 and 1
    urgency  = work left / (deadline - now),  deadline = arrival + 1.5 * expected completion time

`docs/rivals.md` says what is missing.
"""

from __future__ import annotations

import math

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.scheduler.policies.engine_admission import EngineAdmission
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program

MOST_TTL_S = 300.0
FULL_LOAD = 0.8
_CALM, _FULL = 0.7, 0.9
_TAIL = 0.95
_EPOCH_S = 0.1
_DEADLINE_FACTOR = 1.5


def ttl_s(p95_s: float, used_share: float) -> float:
    """How long a context is kept, by the p95 of its tool and how full the cache is."""
    pressure = min(max((used_share - _CALM) / (_FULL - _CALM), 0.0), 1.0)
    return min(p95_s * (1.0 - 0.5 * pressure), MOST_TTL_S)


class Saga(EngineAdmission):
    """Contexts kept for `ttl_s`; the most urgent first."""

    name = "saga"

    def __init__(
        self,
        estimates: Estimates | None = None,
        *,
        work_s: float = 60.0,
        completion_s: float = 300.0,
        urgency_s: float = 60.0,
    ) -> None:
        """Args say what programs are expected to need.

        Args:
            estimates: Where the p95 of tools is asked for.
            work_s: Engine time of a program, in all.
            completion_s: From arrival to end; 1.5 times this is the deadline of one that has none.
            urgency_s: How much earlier than its arrival the most urgent program is ranked at most.
        """
        self.estimates = estimates or Estimates()
        self.work_s = work_s
        self.completion_s = completion_s
        self.urgency_s = urgency_s

    def urgency(self, program: Program, now: float) -> float:
        """Work left over time left; infinite where no time is left."""
        deadline_at = program.deadline_at
        if deadline_at is None:
            deadline_at = program.arrived_at + _DEADLINE_FACTOR * self.completion_s
        work_left_s = max(self.work_s - program.attained_s, 0.0)
        return work_left_s / (deadline_at - now) if deadline_at > now else math.inf

    def rank(self, call: Call, now: float) -> float:
        program = call.program
        return program.arrived_at - self.urgency_s * min(self.urgency(program, now), 1.0)

    def hold_s(self, program: Program, replica: Replica, now: float) -> float:
        uses = [ToolUse(tool, argument) for tool, argument, _ in program.tools.values()]
        pending = uses or [ToolUse("")]  # not known yet: any tool
        p95_s = self.estimates.next_call.next_call(pending).remaining_quantile(_TAIL, 0.0)
        return ttl_s(p95_s, replica.occupied_blocks / max(replica.kv_blocks, 1))

    def move_at(self, call: Call, home: Replica) -> float:
        is_full = home.occupied_blocks >= FULL_LOAD * home.kv_blocks
        return call.ready_at + (0.0 if is_full else _EPOCH_S)
