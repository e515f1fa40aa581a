"""`Replica`: one server as the scheduler sees it: what runs there, and who has a place."""

from __future__ import annotations

from agentrt.ir.prefix import Chain, block_count, shared_blocks
from agentrt.scheduler.events import CallId, ProgramId, ReplicaId
from agentrt.scheduler.radix import RadixCache
from agentrt.scheduler.state import Call, PlacedContext, Program
from agentrt.scheduler.waiting import WaitingCalls

_UNBOUNDED = 1 << 62
_GROWTHS_REMEMBERED = 64


class Replica:
    """One server.

    Attributes:
        running: Calls that were sent and have not ended.
        placed: Programs that have a place: their contexts are counted in `occupied_blocks`.
        returning: Calls of programs with a place that wait for room to grow.
        growth_blocks: By how much a branch grows at a time, on average lately: once when its call
            is sent, with what tools have said, and once with its answer.
    """

    def __init__(
        self,
        replica_id: ReplicaId,
        kv_blocks: int | None,
        max_running: int | None = None,
        *,
        takes_holds: bool = False,
    ) -> None:
        self.replica_id = replica_id
        self.kv_blocks = _UNBOUNDED if kv_blocks is None else kv_blocks
        self.takes_holds = takes_holds
        self.max_running = max_running
        self.running: dict[CallId, Call] = {}
        self.placed: dict[ProgramId, Program] = {}
        self.returning = WaitingCalls()
        self.growth_blocks = 0.0
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

    def place(self, program: Program, chain: Chain) -> PlacedContext:
        """Give `program` a place, or let the one it has grow: `chain` counts from here on.

        What was counted of the branch that `chain` goes on with is counted as part of it.
        """
        self._contexts.insert(chain)
        context = PlacedContext(chain, self._contexts.acquire(chain))
        earlier = self.branch_of(program, chain)
        if earlier is not None:
            grown = block_count(chain) - block_count(earlier.chain)
            self.growth_blocks += (grown - self.growth_blocks) / _GROWTHS_REMEMBERED
            self._give_up(program, earlier)
        program.contexts.append(context)
        self.placed[program.program_id] = program
        program.replica_id = self.replica_id
        program.has_place = True
        return context

    def branch_of(self, program: Program, chain: Chain) -> PlacedContext | None:
        """The longest branch that `chain` goes on with, if there is one."""
        found: PlacedContext | None = None
        longest = -1
        for context in program.contexts:
            blocks = block_count(context.chain)
            if blocks > longest and shared_blocks(context.chain, chain) == blocks:
                found, longest = context, blocks
        return found

    def drop(self, program: Program, context: PlacedContext) -> None:
        """Count one branch no more; without calls and branches the program has no place."""
        self._give_up(program, context)
        if not program.contexts:
            program.has_place = False
            self.placed.pop(program.program_id, None)

    def unplace(self, program: Program) -> None:
        """Take the place back; what it alone needed is free."""
        for context in list(program.contexts):
            self.drop(program, context)

    def _give_up(self, program: Program, context: PlacedContext) -> None:
        program.contexts.remove(context)
        context.is_counted = False
        self._contexts.release(context.reference)
        self._contexts.evict(self._contexts.evictable_blocks)
