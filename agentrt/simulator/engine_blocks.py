"""The KV blocks of an engine: cached prefixes, what running sequences have beside them, and holds."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.ir.prefix import Chain, first_blocks
from agentrt.scheduler.radix import RadixCache, Reference


@dataclass(frozen=True, slots=True)
class _Hold:
    until: float
    reference: Reference


class Blocks:
    """`total` blocks. Each is cached, private to a running sequence, or free.

    A hold references cached blocks for nobody in particular. All holds together reference at most
    `held_limit` blocks, those that two of them share counted twice, and they give way where nothing
    could run otherwise.
    """

    def __init__(self, total: int, *, held_limit: int, host_blocks: int) -> None:
        self.total = total
        self.prefixes = RadixCache(total)
        self.host = RadixCache(host_blocks)
        self.private = 0
        self.held = 0
        self._held_limit = held_limit
        self._holds: dict[str, _Hold] = {}

    @property
    def available(self) -> int:
        """Blocks that a sequence could get: free ones, and cached ones nobody references."""
        return self.total - self.private - self.prefixes.referenced_blocks

    @property
    def used(self) -> int:
        """Blocks that are not free: cached ones included."""
        return self.private + self.prefixes.used_blocks

    def take_private(self, count: int) -> None:
        """Give running sequences `count` blocks, evicting cached ones; take back if negative."""
        self.private += count
        self.prefixes.capacity_blocks = self.total - self.private
        self.prefixes.evict(-self.prefixes.free_blocks)

    def keep(self, chain: Chain) -> None:
        """Cache a chain, here and in host memory."""
        self.prefixes.insert(chain)
        if self.host.capacity_blocks:
            self.host.insert(chain)

    def hold(self, key: str, chain: Chain, until: float) -> None:
        """Reference what is cached of the chain, as far as the limit allows.

        A new hold of the same key replaces the old one.
        """
        self.release(key)
        reference = self.prefixes.acquire(first_blocks(chain, self._held_limit - self.held))
        self.held += reference.blocks
        self._holds[key] = _Hold(until, reference)

    def release(self, key: str) -> None:
        """End a hold, if there is one of that key."""
        hold = self._holds.pop(key, None)
        if hold is not None:
            self.held -= hold.reference.blocks
            self.prefixes.release(hold.reference)

    def next_expiry(self) -> float | None:
        """When the next hold ends; None without holds."""
        return min((hold.until for hold in self._holds.values()), default=None)

    def expire(self, now: float) -> None:
        """End the holds whose time is over."""
        for key in [key for key, hold in self._holds.items() if hold.until <= now]:
            self.release(key)

    def break_hold(self) -> bool:
        """End the hold that would end next anyway; False if there is none."""
        if not self._holds:
            return False
        self.release(min(self._holds, key=lambda key: self._holds[key].until))
        return True
