"""`EngineAdmission`: what goes on inside an engine that was changed, seen from outside."""

from __future__ import annotations

import math

from agentrt.ir.prefix import block_count
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program


class EngineAdmission:
    """A request begins when its blocks fit beside those that run and those that are kept.

    That is how an engine admits, first come, first served, nothing overtaking what does not fit.
    Rivals that are engines differ from it in what they keep (`hold_s`) and in their order. What they
    cannot be from outside: kept blocks are not pinned (their programs keep others out, but the
    engine's own LRU may still evict them), and nothing that runs is preempted for anything.
    """

    patience_s = 0.0

    def rank(self, call: Call, now: float) -> float:
        return call.program.arrived_at

    def has_room(self, replica: Replica, needed_blocks: int) -> bool:
        return not replica.placed or self.may_grow(replica, needed_blocks)

    def may_grow(self, replica: Replica, needed_blocks: int) -> bool:
        return replica.occupied_blocks + needed_blocks <= replica.kv_blocks

    def hold_s(self, program: Program, replica: Replica, now: float) -> float:
        return 0.0

    def move_at(self, call: Call, home: Replica) -> float:
        return math.inf


def context_blocks(program: Program) -> int:
    """Blocks of the newest context of a program with a place, shared ones included."""
    return block_count(program.contexts[-1].chain) if program.contexts else 0
