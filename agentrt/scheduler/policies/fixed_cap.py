"""`FixedCap`: so many programs at once on each replica, first come, first served."""

from __future__ import annotations

import math

from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program


class FixedCap:
    """The honest rival: hard to beat where the cap was found by trying all of them."""

    patience_s = 0.0

    def __init__(self, cap: int) -> None:
        if cap < 1:
            raise ValueError(f"a cap of {cap} programs")
        self.cap = cap

    @property
    def name(self) -> str:
        return f"cap-{self.cap}"

    def rank(self, call: Call, now: float) -> float:
        return call.program.arrived_at

    def has_room(self, replica: Replica, needed_blocks: int) -> bool:
        return len(replica.placed) < self.cap

    def may_grow(self, replica: Replica, needed_blocks: int) -> bool:
        return True

    def hold_s(self, program: Program, replica: Replica, now: float) -> float:
        return math.inf

    def move_at(self, call: Call, home: Replica) -> float:
        return math.inf
