"""`Gittins`: first the program that is likeliest to end soon for what it costs (Hermes, arXiv 2506.14851).

The Gittins index of a program that has attained `a`, largest first:

    G(a) = sup over d of  P(S - a <= d | S > a) / E[min(S - a, d) | S > a]

with turns as the service: `1 / G` turns are what it takes on average for one such program to end.
"""

from __future__ import annotations

from agentrt.estimates.book import Estimates
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program


class Gittins:
    """Admission by occupancy; the index as a handicap on the arrival, bounded by the patience."""

    name = "gittins"

    def __init__(
        self,
        estimates: Estimates,
        *,
        turn_s: float = 2.0,
        admission: ByOccupancy | None = None,
    ) -> None:
        """`turn_s`: seconds of rank for each turn that `1 / G` is more than one."""
        self.estimates = estimates
        self.turn_s = turn_s
        self.admission = admission or ByOccupancy()
        self.patience_s = self.admission.patience_s

    def rank(self, call: Call, now: float) -> float:
        program = call.program
        index = self.estimates.turns.gittins(program.workflow, program.turns + 1)
        handicap_s = self.turn_s * (1.0 / index - 1.0)
        return program.arrived_at + min(handicap_s, self.patience_s)

    def has_room(self, replica: Replica, needed_blocks: int) -> bool:
        return self.admission.has_room(replica, needed_blocks)

    def may_grow(self, replica: Replica, needed_blocks: int) -> bool:
        return self.admission.may_grow(replica, needed_blocks)

    def hold_s(self, program: Program, replica: Replica, now: float) -> float:
        return self.admission.hold_s(program, replica, now)

    def move_at(self, call: Call, home: Replica) -> float:
        return self.admission.move_at(call, home)
