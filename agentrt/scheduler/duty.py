"""`Duty`: which part of the time the programs that are expected back have calls at work."""

from __future__ import annotations

_REMEMBERED = 8
"""Changes for each such program."""
_LEAST_REMEMBERED = 32


class Duty:
    """Lately: each change of what runs makes what was before count a little less.

    Attributes:
        part: Calls at work for each active program, at most 1: the rest is in tools. 1 before anything
            was seen.
    """

    __slots__ = ("_active", "_at", "_running", "part")

    def __init__(self) -> None:
        self.part = 1.0
        self._at = 0.0
        self._running = 0.0
        self._active = 0.0

    def until(self, now: float, running: int, active: int) -> None:
        """Up to now so many calls were at work, and so many programs were active."""
        passed, self._at = now - self._at, now
        if not active:
            return
        kept = 1.0 - 1.0 / max(_LEAST_REMEMBERED, _REMEMBERED * active)
        self._running = self._running * kept + passed * running
        self._active = self._active * kept + passed * active
        if self._active > 0.0:
            self.part = min(self._running / self._active, 1.0)
