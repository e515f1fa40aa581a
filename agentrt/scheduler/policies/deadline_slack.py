"""`DeadlineSlack`: first the program that has the least time to spare.

Least slack first, `slack = deadline - now - time left`, as deadline schedulers have it (HexGen's
urgency, arXiv 2505.05286, is the same for single calls). All slacks shrink alike, so the order is that
of the latest starts, `deadline - time left`: points in time, as ranks are.
"""

from __future__ import annotations

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.within_occupancy import WithinOccupancy
from agentrt.scheduler.state import Call


class DeadlineSlack(WithinOccupancy):
    """Admission by occupancy; programs without a deadline by arrival.

    No rank is further than the patience from the program's arrival: what has time waits for no more
    than that. A program that will be late whatever is done goes with the last: it displaces nobody
    that can still be in time.
    """

    name = "deadline-slack"

    def __init__(self, *, turn_s: float = 3.0, patience_s: float = 60.0) -> None:
        """`turn_s`: engine time of a turn, of a program that has made none yet."""
        self.turn_s = turn_s
        super().__init__(patience_s=patience_s)

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        program = call.program
        if program.deadline_at is None:
            return program.arrived_at
        first, last = program.arrived_at - self.patience_s, program.arrived_at + self.patience_s
        latest_start_at = program.deadline_at - outlook.left_s(program, self.turn_s)
        if latest_start_at < now:
            return last
        return min(max(latest_start_at, first), last)
