"""`Unmanaged`: everything goes at once: an engine's own FCFS, with prefix caching and affinity."""

from __future__ import annotations

import math

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import UNGUARDED
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext


class Unmanaged:
    """The rival that is always there: what a server does when nobody schedules for it.

    Programs stay on the replica that they were first sent to (the least occupied one).
    """

    name = "fcfs"
    patience_s = 0.0
    guarded_places = UNGUARDED
    limits_batches = False
    touches = False

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        return now

    def short_to_enter(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        return 0.0

    def short_to_grow(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        return 0.0

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        return math.inf

    def move_at(self, call: Call, home: Replica, outlook: Outlook) -> float:
        return math.inf
