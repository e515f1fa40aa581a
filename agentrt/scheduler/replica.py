"""`Replica`: one server as the scheduler sees it: what its cache holds, and who has a place there."""

from __future__ import annotations

from agentrt.ir.prefix import Chain, block_count, shared_blocks
from agentrt.scheduler.events import CallId, ProgramId, ReplicaId
from agentrt.scheduler.radix import RadixCache
from agentrt.scheduler.state import Call, PlacedContext, Program
from agentrt.scheduler.waiting import WaitingCalls

_UNBOUNDED = 1 << 62
MAX_BRANCHES = 16
"""Branches of one program whose contexts are kept in its place; the oldest goes first."""


class Replica:
    """One server.

    Attributes:
        shadow: What its prefix cache holds, as far as can be known from outside.
        running: Calls that were sent and have not ended.
        placed: Programs that have a place: their contexts are counted in `occupied_blocks`.
        returning: Calls of programs with a place that wait for room to grow.
    """

    def __init__(self, replica_id: ReplicaId, kv_blocks: int, max_running: int | None) -> None:
        self.replica_id = replica_id
        self.kv_blocks = kv_blocks
        self.max_running = max_running
        self.shadow = RadixCache(kv_blocks)
        self.running: dict[CallId, Call] = {}
        self.placed: dict[ProgramId, Program] = {}
        self.returning = WaitingCalls()
        # The contexts of programs with a place, shared prefixes once. Its capacity never binds.
        self._contexts = RadixCache(_UNBOUNDED)

    @property
    def occupied_blocks(self) -> int:
        """Blocks that programs with a place need, shared prefixes counted once."""
        return self._contexts.used_blocks

    @property
    def has_free_slot(self) -> bool:
        return self.max_running is None or len(self.running) < self.max_running

    def needed_blocks(self, chain: Chain) -> int:
        """Blocks of `chain` that no program with a place has already."""
        return block_count(chain) - self._contexts.match(chain)

    def place(self, program: Program, chain: Chain) -> None:
        """Give `program` a place, or let the one it has grow: `chain` counts from here on."""
        self._contexts.insert(chain)
        reference = self._contexts.acquire(chain)
        for context in list(program.contexts):
            if shared_blocks(context.chain, chain) == block_count(context.chain):
                self._give_up(program, context)  # the new context goes on where this one ended
        program.contexts.append(PlacedContext(chain, reference))
        if len(program.contexts) > MAX_BRANCHES:
            self._give_up(program, program.contexts[0])
        self.placed[program.program_id] = program
        program.replica_id = self.replica_id
        program.has_place = True

    def unplace(self, program: Program) -> None:
        """Take the place back; what it alone needed is free."""
        for context in list(program.contexts):
            self._give_up(program, context)
        program.has_place = False
        self.placed.pop(program.program_id, None)

    def _give_up(self, program: Program, context: PlacedContext) -> None:
        program.contexts.remove(context)
        self._contexts.release(context.reference)
        self._contexts.evict(self._contexts.evictable_blocks)
