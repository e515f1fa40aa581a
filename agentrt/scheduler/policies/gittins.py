"""`Gittins`: first the program that is likeliest to end soon for what it costs (Hermes, arXiv 2506.14851).

The Gittins index of a program that has attained `a`, largest first:

    G(a) = sup over d of  P(S - a <= d | S > a) / E[min(S - a, d) | S > a]

with turns as the service: `1 / G` turns are what it takes on average for one such program to end.
"""

from __future__ import annotations

import math

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext


class Gittins:
    """Admission by occupancy; the index as a handicap on the arrival, bounded by the patience."""

    name = "gittins"

    def __init__(self, *, turn_s: float = 2.0, patience_s: float = 60.0) -> None:
        """`turn_s`: seconds of rank for each turn that `1 / G` is more than one."""
        if not turn_s < math.inf:
            raise ValueError("the seconds of a turn are finite")
        self.turn_s = turn_s
        self.patience_s = patience_s
        self.admission = ByOccupancy(patience_s=patience_s)
        self.touches = self.admission.touches
        self.guarded_places = self.admission.guarded_places

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        program = call.program
        index = outlook.estimates.turns.gittins(program.workflow, program.turns + 1)
        handicap_s = self.turn_s * (1.0 / index - 1.0)
        return program.arrived_at + min(handicap_s, self.patience_s)

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
