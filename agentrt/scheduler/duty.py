"""`Duty`: which part of the time the programs with a place have calls at work."""

from __future__ import annotations

_REMEMBERED = 8
"""Changes for each program with a place."""
_LEAST_REMEMBERED = 32


class Duty:
    """Lately: each change of what runs makes what was before count a little less.

    Attributes:
        part: Calls at work for each program with a place, at most 1: the rest is in tools. 1 before
            anything was seen.
    """

    __slots__ = ("_at", "_placed", "_running", "part")

    def __init__(self) -> None:
        self.part = 1.0
        self._at = 0.0
        self._running = 0.0
        self._placed = 0.0

    def until(self, now: float, running: int, placed: int) -> None:
        """Up to now so many calls were at work, and so many programs had a place."""
        if not placed:
            self._at = now
            return
        kept = 1.0 - 1.0 / max(_LEAST_REMEMBERED, _REMEMBERED * placed)
        passed = now - self._at
        self._running = self._running * kept + passed * running
        self._placed = self._placed * kept + passed * placed
        self._at = now
        if self._placed > 0.0:
            self.part = min(self._running / self._placed, 1.0)
