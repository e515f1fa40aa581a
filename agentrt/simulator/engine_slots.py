"""An engine whose cache is its slots': each keeps the one sequence that it last worked on.

As llama.cpp has it, with slots handed out as `agentrt.backends.embedded_prefixes` does: a call goes
to the free slot where least is computed now, or again later for what is overwritten. With host
memory, what prompts begin with in common is there for every slot, and so is a conversation that lost
its slot. What else a slot holds beyond what its next call begins with is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.ir.prefix import BlockId, Chain, block_count, first_blocks, shared_blocks
from agentrt.scheduler.radix import RadixCache
from agentrt.simulator.engine_model import EngineModel, EngineSettings
from agentrt.simulator.engine_places import Places
from agentrt.simulator.engine_request import CallId
from agentrt.simulator.engine_sequence import Sequence, blocks_of

# How much of what prompts began with is remembered, to see what new ones have in common with them.
_SEEN_BLOCKS = 1 << 20


@dataclass(slots=True)
class _Slot:
    """A slot.

    Attributes:
        holds: The sequence that it last had.
        is_conversation: That sequence went on from another one, so another may go on from it.
        used_at: Counts up with every use.
    """

    holds: Chain = ()
    is_conversation: bool = False
    used_at: int = 0
    is_free: bool = True


class SlotPlaces(Places):
    """Running sequences, each in its slot. Nobody is preempted: each slot has room of its own."""

    def __init__(self, model: EngineModel, settings: EngineSettings) -> None:
        super().__init__(model, settings)
        self._slots = [_Slot() for _ in range(model.max_running)]
        self._slot_of: dict[CallId, _Slot] = {}
        self._uses = 0
        self._seen = RadixCache(_SEEN_BLOCKS)
        self._ended: set[BlockId] = set()

    @property
    def most_blocks(self) -> int:
        return self.blocks.total // len(self._slots)

    @property
    def cached_blocks(self) -> int:
        return sum(block_count(slot.holds) for slot in self._slots)

    def give_up(self, sequence: Sequence) -> Chain:
        self._leave(sequence)
        tokens = max(sequence.computed, sequence.target)
        self.blocks.take_private(-blocks_of(tokens, self._block_tokens))
        context = sequence.chain_of(sequence.computed, self._block_tokens)
        self._uses += 1
        self._ended.update(run.first + run.count - 1 for run in context[-1:])
        slot = self._slot_of.pop(sequence.request.call_id)
        slot.holds, slot.used_at, slot.is_free = context, self._uses, True
        return context

    def _admit(self, sequence: Sequence, growth: int) -> bool:  # noqa: ARG002  slots have room
        target = sequence.request.prompt_tokens + sequence.generated
        chain = sequence.chain_of(target, self._block_tokens)
        slot = min(
            (slot for slot in self._slots if slot.is_free), key=lambda slot: _cost(slot, chain)
        )
        is_conversation = self._goes_on(chain)
        if self.blocks.host.capacity_blocks:
            self._set_aside(slot, chain)
            if not is_conversation:
                # Who has the same prefix waits for it, and copies it.
                self.blocks.host.insert(first_blocks(chain, self._seen.match(chain)))
                self._seen.insert(chain)
        self._slot_of[sequence.request.call_id] = slot
        slot.is_free, slot.is_conversation = False, is_conversation
        self._enter(sequence, chain, target, shared_blocks(slot.holds, chain))
        self.blocks.take_private(blocks_of(target, self._block_tokens))
        return True

    def _set_aside(self, slot: _Slot, chain: Chain) -> None:
        """Have host memory keep what a slot is about to lose, if anybody may come back for it."""
        held = block_count(slot.holds)
        kept = shared_blocks(slot.holds, chain)
        # Left to itself, llama.cpp keeps only what has little in common with what comes.
        if kept < held and (slot.is_conversation or 2 * kept < held):
            self.blocks.host.insert(slot.holds)

    def _goes_on(self, chain: Chain) -> bool:
        """Whether a prompt has all of a context that has ended."""
        return any(
            block in self._ended
            for run in chain
            for block in range(run.first, run.first + run.count)
        )


def _cost(slot: _Slot, chain: Chain) -> tuple[int, int]:
    """Blocks to compute for `chain` there, and those that are lost; then who was idle for longest.

    What the chain itself takes is the same everywhere.
    """
    shared = shared_blocks(slot.holds, chain)
    return block_count(slot.holds) - 2 * shared, slot.used_at
