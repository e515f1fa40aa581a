"""`Gittins`: first the program that is likeliest to end soon for what it costs (Hermes, arXiv 2506.14851).

The Gittins index of a program that has attained `a`, largest first:

    G(a) = sup over d of  P(S - a <= d | S > a) / E[min(S - a, d) | S > a]

with turns as the service: `1 / G` turns are what it takes on average for one such program to end.
"""

from __future__ import annotations

import math

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.within_occupancy import WithinOccupancy
from agentrt.scheduler.state import Call


class Gittins(WithinOccupancy):
    """Admission by occupancy; the index as a handicap on the arrival, bounded by the patience."""

    name = "gittins"

    def __init__(self, *, turn_s: float = 2.0, patience_s: float = 60.0) -> None:
        """`turn_s`: seconds of rank for each turn that `1 / G` is more than one."""
        if not turn_s < math.inf:
            raise ValueError("the seconds of a turn are finite")
        self.turn_s = turn_s
        super().__init__(patience_s=patience_s)

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        program = call.program
        index = outlook.estimates.turns.gittins(program.workflow, program.turns + 1)
        handicap_s = self.turn_s * (1.0 / index - 1.0)
        return program.arrived_at + min(handicap_s, self.patience_s)
