"""`FixedCap`: so many programs at once on each replica, first come, first served."""

from __future__ import annotations

import math

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import UNGUARDED
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext


class FixedCap:
    """The honest rival: hard to beat where the cap was found by trying all of them."""

    patience_s = 0.0
    guarded_places = UNGUARDED
    limits_batches = False
    touches = False

    def __init__(self, cap: int) -> None:
        if cap < 1:
            raise ValueError(f"a cap of {cap} programs")
        self.cap = cap

    @property
    def name(self) -> str:
        return f"cap-{self.cap}"

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        return call.program.arrived_at

    def short_to_enter(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        return 0.0 if len(replica.placed) < self.cap else math.inf

    def short_to_grow(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        return 0.0

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        return math.inf

    def move_at(self, call: Call, home: Replica, outlook: Outlook) -> float:
        return math.inf
