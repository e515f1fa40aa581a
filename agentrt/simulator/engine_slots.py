"""An engine whose cache is its slots': each keeps the one sequence that it last worked on.

As llama.cpp has it, with slots handed out as `agentrt.backends.slots` does: a call goes to the free
slot where least is computed now, or again later for what is overwritten. What a slot holds beyond
what its next call begins with is lost, unless host memory has it.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.ir.prefix import Chain, block_count, shared_blocks
from agentrt.simulator.engine_model import EngineModel, EngineSettings
from agentrt.simulator.engine_places import Places
from agentrt.simulator.engine_request import CallId
from agentrt.simulator.engine_sequence import Sequence, blocks_of


@dataclass(slots=True)
class _Slot:
    """`holds` is the sequence that it last had, `used_at` counts up with every use."""

    holds: Chain = ()
    used_at: int = 0
    is_free: bool = True


class SlotPlaces(Places):
    """Running sequences, each in its slot. Nobody is preempted: each slot has room of its own."""

    def __init__(self, model: EngineModel, settings: EngineSettings) -> None:
        super().__init__(model, settings)
        self._slots = [_Slot() for _ in range(model.max_running)]
        self._slot_of: dict[CallId, _Slot] = {}
        self._uses = 0

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
        if self.blocks.host.capacity_blocks:
            self.blocks.host.insert(context)
        self._uses += 1
        slot = self._slot_of.pop(sequence.request.call_id)
        slot.holds, slot.used_at, slot.is_free = context, self._uses, True
        return context

    def _admit(self, sequence: Sequence, growth: int) -> bool:  # noqa: ARG002  slots have room
        target = sequence.request.prompt_tokens + sequence.generated
        chain = sequence.chain_of(target, self._block_tokens)
        slot = min(
            (slot for slot in self._slots if slot.is_free), key=lambda slot: _cost(slot, chain)
        )
        slot.is_free = False
        self._slot_of[sequence.request.call_id] = slot
        self._enter(sequence, chain, target, shared_blocks(slot.holds, chain))
        if self.blocks.host.capacity_blocks:
            self.blocks.host.insert(chain)  # who has the same prefix waits for it, and copies it
        self.blocks.take_private(blocks_of(target, self._block_tokens))
        return True


def _cost(slot: _Slot, chain: Chain) -> tuple[int, int]:
    """Blocks to compute for `chain` there, and those that are lost; then who was idle for longest.

    What the chain itself takes is the same everywhere.
    """
    shared = shared_blocks(slot.holds, chain)
    return block_count(slot.holds) - 2 * shared, slot.used_at
