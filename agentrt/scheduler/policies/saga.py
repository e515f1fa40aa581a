"""`Saga`: affinity, stealing, a time to live from the tool's p95, and urgency (arXiv 2605.00528).

From its repository, which is a simulator:

    ttl      = min(p95 of the tool * (1 - pressure / 2), 300 s)
    pressure = (used share of the cache - 0.7) / (0.9 - 0.7), between 0 and 1
    urgency  = work left / (deadline - now),  deadline = arrival + 1.5 * expected completion time

`docs/rivals.md` says what is missing.
"""

from __future__ import annotations

import math

from agentrt.estimates.durations import ToolUse
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.engine_admission import EngineAdmission
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext, Program

MOST_TTL_S = 300.0
FULL_LOAD = 0.8
WORK_S, COMPLETION_S = 60.0, 300.0
"""Of a program, before any has ended."""
_CALM, _FULL = 0.7, 0.9
_TAIL = 0.95
_EPOCH_S = 0.1
_DEADLINE_FACTOR = 1.5
_ANY_TOOL = ToolUse("")


def ttl_s(p95_s: float, used_share: float) -> float:
    """How long a context is kept, by the p95 of its tool and how full the cache is."""
    pressure = min(max((used_share - _CALM) / (_FULL - _CALM), 0.0), 1.0)
    return min(p95_s * (1.0 - 0.5 * pressure), MOST_TTL_S)


def urgency_of(program: Program, history: SagaHistory, now: float) -> float:
    """Work left over time left; infinite where no time is left."""
    deadline_at = program.deadline_at
    if deadline_at is None:
        deadline_at = program.arrived_at + _DEADLINE_FACTOR * history.completion_s
    work_left_s = max(history.work_s - program.attained_s, 0.0)
    return work_left_s / (deadline_at - now) if deadline_at > now else math.inf


class SagaHistory:
    """What programs need, as an `outlook.Observer`."""

    def __init__(self) -> None:
        self.programs = 0
        self._work_s = self._completion_s = 0.0

    @property
    def work_s(self) -> float:
        """Engine time of a program, on average."""
        return self._work_s / self.programs if self.programs else WORK_S

    @property
    def completion_s(self) -> float:
        """From arrival to end, on average."""
        return self._completion_s / self.programs if self.programs else COMPLETION_S

    def gap(self, pause: Pause, seconds: float) -> None:
        pass

    def waited(self, call: Call, seconds: float) -> None:
        pass

    def finished(self, program: Program, seconds: float) -> None:
        self.programs += 1
        self._work_s += program.attained_s
        self._completion_s += seconds


class Saga(EngineAdmission):
    """Contexts kept for `ttl_s`; the most urgent first."""

    name = "saga"

    def __init__(self, *, urgency_s: float = 60.0, touches: bool = True) -> None:
        """`urgency_s`: how much earlier than its arrival the most urgent is ranked at most."""
        if not urgency_s < math.inf:
            raise ValueError("the most urgent is ranked earlier by a finite time")
        super().__init__(touches=touches)
        self.urgency_s = urgency_s

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        urgency = urgency_of(call.program, outlook.observer(SagaHistory), now)
        return call.program.arrived_at - self.urgency_s * min(urgency, 1.0)

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        if pause.is_last:
            return now
        uses = [use for use, _ in (*pause.returned, *pause.pending.values())]
        p95_s = outlook.estimates.next_call.next_call(uses or [_ANY_TOOL]).remaining_quantile(
            _TAIL, 0.0
        )
        return pause.ended_at + ttl_s(p95_s, replica.occupied_blocks / max(replica.kv_blocks, 1))

    def move_at(self, call: Call, home: Replica, outlook: Outlook) -> float:
        is_full = home.occupied_blocks >= FULL_LOAD * home.kv_blocks
        return call.ready_at + (0.0 if is_full else _EPOCH_S)
