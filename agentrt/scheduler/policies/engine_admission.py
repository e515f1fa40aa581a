"""`EngineAdmission`: what goes on inside an engine that was changed, seen from outside."""

from __future__ import annotations

import math

from agentrt.ir.prefix import block_count
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import UNGUARDED
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext, Program


class EngineAdmission:
    """A request begins when its blocks fit beside those that run and those that are kept.

    That is how an engine admits, first come, first served, nothing overtaking what does not fit.
    Rivals that are engines differ from it in what they keep (`hold_until`) and in their order. They pin
    it; here it is used again whenever the engine's own LRU comes to evict it. What they cannot be
    from outside: nothing that runs is preempted for anything.
    """

    name = "engine"
    patience_s = 0.0
    guarded_places = UNGUARDED
    limits_batches = False

    def __init__(self, *, touches: bool = True) -> None:
        """`touches`: whether what is kept is used again before the engine evicts it."""
        self.touches = touches

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        return call.program.arrived_at

    def short_to_enter(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        return self.short_to_grow(replica, call, needed_blocks) if replica.placed else 0.0

    def short_to_grow(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        is_over = replica.occupied_blocks + needed_blocks > replica.kv_blocks
        return math.inf if is_over else 0.0  # contexts are given up whole

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        return now

    def move_at(self, call: Call, home: Replica, outlook: Outlook) -> float:
        return math.inf


def context_blocks(program: Program) -> int:
    """Blocks of the newest context of a program with a place, shared ones included."""
    return block_count(program.contexts[-1].chain) if program.contexts else 0
