"""`Shadow`: what a replica's prefix cache holds, as far as one can tell from outside."""

from __future__ import annotations

from agentrt.ir.prefix import Chain
from agentrt.scheduler.radix import RadixCache, Reference
from agentrt.scheduler.radix_node import Claim
from agentrt.scheduler.state import PlacedContext

MARGIN = 0.04
"""Share of the cache by which the shadow is smaller: what it is about to lose is still there."""


class Shadow:
    """LRU like the engine's, told of all calls that were sent, as large as answers say it is.

    An engine evicts what was used least recently, and knows no better: a program's context while
    its tool runs goes before that of one that has just ended. So when the shadow comes to evict
    blocks that are held, it uses them instead, and asks for the same to be done to the engine.
    """

    def __init__(self, kv_blocks: int) -> None:
        self._cache = RadixCache(int(kv_blocks * (1.0 - MARGIN)), on_spared=self._spare)
        self._kv_blocks = float(kv_blocks)
        self._reserved = 0.0
        self._spared: list[PlacedContext] = []

    def cached_blocks(self, chain: Chain) -> int:
        """How many blocks of the chain are there, from its start."""
        return self._cache.match(chain)

    def send(self, chain: Chain) -> Reference:
        """A call with this prompt is at work from now on."""
        self._cache.insert(chain)
        return self._cache.acquire(chain)

    def end(self, reference: Reference, context: Chain | None) -> None:
        """A call is over; None: it came to no answer."""
        if context is not None:
            self._cache.insert(context)
        self._cache.release(reference)

    @property
    def in_use_blocks(self) -> int:
        """Blocks that calls at work reference."""
        return self._cache.referenced_blocks

    def resize(self, kv_blocks: float) -> None:
        """Take the cache to be of another size; what is too much goes, least recently used first."""
        self._kv_blocks = kv_blocks
        self._fit()

    def reserve(self, blocks: float) -> None:
        """So many blocks are taken, or will be, by answers that are being written."""
        self._reserved = blocks
        self._fit()

    def hold(self, context: PlacedContext) -> Claim:
        """Have the blocks of `context` used again before they are evicted."""
        return self._cache.claim(context.chain, context)

    def to_touch(self) -> list[PlacedContext]:
        """Held contexts that have been used since this was last asked, in order."""
        spared, self._spared = self._spared, []
        return spared

    def _spare(self, claim: Claim) -> None:
        if isinstance(claim.owner, PlacedContext):
            self._spared.append(claim.owner)

    def _fit(self) -> None:
        self._cache.capacity_blocks = int(self._kv_blocks * (1.0 - MARGIN) - self._reserved)
        self._cache.evict(-self._cache.free_blocks)
