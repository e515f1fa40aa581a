"""`DeadlineSlack`: first the program that has the least time to spare.

Least slack first, `slack = deadline - now - time left`, as deadline schedulers have it (HexGen's
urgency, arXiv 2505.05286, is the same for single calls). All slacks shrink alike, so the order is that
of the latest starts, `deadline - time left`: points in time, as ranks are.
"""

from __future__ import annotations

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program


class DeadlineSlack:
    """Admission by occupancy; programs without a deadline by arrival.

    No rank is further than the patience from the program's arrival: what has time waits for no more
    than that. A program that will be late whatever is done goes with the last: it displaces nobody
    that can still be in time.
    """

    name = "deadline-slack"

    def __init__(
        self,
        estimates: Estimates,
        *,
        turn_s: float = 3.0,
        admission: ByOccupancy | None = None,
    ) -> None:
        """`turn_s`: engine time of a turn, of a program that has made none yet."""
        self.estimates = estimates
        self.turn_s = turn_s
        self.admission = admission or ByOccupancy()
        self.patience_s = self.admission.patience_s

    def left_s(self, program: Program) -> float:
        """The time a program is expected to need from its next call on, if it never waits."""
        turns = self.estimates.turns.left(program.workflow, program.turns + 1)
        engine_s = program.attained_s / program.turns if program.turns else self.turn_s
        gap_s = self.estimates.next_call.next_call_of(ToolUse("")).quantile(0.5)
        return engine_s + turns * (gap_s + engine_s)

    def rank(self, call: Call, now: float) -> float:
        program = call.program
        if program.deadline_at is None:
            return program.arrived_at
        first, last = program.arrived_at - self.patience_s, program.arrived_at + self.patience_s
        latest_start_at = program.deadline_at - self.left_s(program)
        if latest_start_at < now:
            return last
        return min(max(latest_start_at, first), last)

    def has_room(self, replica: Replica, needed_blocks: int) -> bool:
        return self.admission.has_room(replica, needed_blocks)

    def may_grow(self, replica: Replica, needed_blocks: int) -> bool:
        return self.admission.may_grow(replica, needed_blocks)

    def hold_s(self, program: Program, replica: Replica, now: float) -> float:
        return self.admission.hold_s(program, replica, now)

    def move_at(self, call: Call, home: Replica) -> float:
        return self.admission.move_at(call, home)
