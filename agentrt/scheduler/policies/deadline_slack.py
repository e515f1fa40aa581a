"""`DeadlineSlack`: first the program that has the least time to spare.

Least slack first, `slack = deadline - now - time left`, as deadline schedulers have it (HexGen's
urgency, arXiv 2505.05286, is the same for single calls). All slacks shrink alike, so the order is that
of the latest starts, `deadline - time left`: points in time, as ranks are.
"""

from __future__ import annotations

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext


class DeadlineSlack:
    """Admission by occupancy; programs without a deadline by arrival.

    No rank is further than the patience from the program's arrival: what has time waits for no more
    than that. A program that will be late whatever is done goes with the last: it displaces nobody
    that can still be in time.
    """

    name = "deadline-slack"

    def __init__(self, *, turn_s: float = 3.0, patience_s: float = 60.0) -> None:
        """`turn_s`: engine time of a turn, of a program that has made none yet."""
        self.turn_s = turn_s
        self.patience_s = patience_s
        self.admission = ByOccupancy(patience_s=patience_s)
        self.touches = self.admission.touches
        self.guarded_places = self.admission.guarded_places

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        program = call.program
        if program.deadline_at is None:
            return program.arrived_at
        first, last = program.arrived_at - self.patience_s, program.arrived_at + self.patience_s
        latest_start_at = program.deadline_at - outlook.left_s(program, self.turn_s)
        if latest_start_at < now:
            return last
        return min(max(latest_start_at, first), last)

    def short_to_enter(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        return self.admission.short_to_enter(replica, call, needed_blocks)

    def short_to_grow(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        return self.admission.short_to_grow(replica, call, needed_blocks)

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        return self.admission.hold_until(context, pause, replica, outlook, now)

    def move_at(self, call: Call, home: Replica, outlook: Outlook) -> float:
        return self.admission.move_at(call, home, outlook)
