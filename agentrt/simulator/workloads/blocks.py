"""Where the blocks of a workload's prompts get their ids."""

from __future__ import annotations

from collections.abc import Iterable

from agentrt.ir.prefix import BlockId, Chain, Run, block_count, chained, first_blocks


class BlockIds:
    """Hands out block ids that nothing else in the workload has."""

    def __init__(self, first: BlockId = 0) -> None:
        self._next = first

    @property
    def next_id(self) -> BlockId:
        return self._next

    def grown(self, chain: Chain, count: int) -> Chain:
        """`chain` cut or, with new blocks, extended to `count` blocks."""
        missing = count - block_count(chain)
        if missing < 0:
            return first_blocks(chain, count)
        if not missing:
            return chain
        first = self._next
        self._next += missing
        return chained((*chain, Run(first, missing)))


def chain_of(ids: Iterable[BlockId]) -> Chain:
    """Single ids, in the order of the prompt, as a chain."""
    return chained(Run(block_id, 1) for block_id in ids)
