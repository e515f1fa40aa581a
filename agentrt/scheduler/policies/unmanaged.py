"""`Unmanaged`: everything goes at once: an engine's own FCFS, with prefix caching and affinity."""

from __future__ import annotations

import math

from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program


class Unmanaged:
    """The rival that is always there: what a server does when nobody schedules for it.

    Programs stay on the replica that they were first sent to (the least occupied one).
    """

    name = "fcfs"
    patience_s = 0.0

    def rank(self, call: Call, now: float) -> float:
        return now

    def has_room(self, replica: Replica, needed_blocks: int) -> bool:
        return True

    def may_grow(self, replica: Replica, needed_blocks: int) -> bool:
        return True

    def hold_s(self, program: Program, replica: Replica, now: float) -> float:
        return math.inf

    def move_at(self, call: Call, home: Replica) -> float:
        return math.inf
