"""Deadlines that move with every piece of an answer, at the price of reading the clock."""

from __future__ import annotations

import asyncio


class StallWatch:
    """Ends an exchange in which nothing has come for `stall_s`.

    Where thousands of pieces come each second, a timer moved by each of them costs more than the
    piece does. This one looks when it goes off, and waits for what is left.

    Attributes:
        has_stalled: It has ended the exchange.
    """

    __slots__ = ("_end", "_heard_at", "_now", "_stall_s", "_timeout", "_timer", "has_stalled")

    def __init__(self, timeout: asyncio.Timeout, *, end: float, stall_s: float) -> None:
        """Watch from now on. `timeout` is to be left on at `end`, on the loop's clock."""
        loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._end = end
        self._stall_s = stall_s
        self._now = loop.time
        self._heard_at = self._now()
        self.has_stalled = False
        self._timer = loop.call_later(stall_s, self._look)

    def heard(self) -> None:
        """A piece has come."""
        self._heard_at = self._now()

    def stop(self) -> None:
        """It does not matter any more."""
        self._timer.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        stalls_at = self._heard_at + self._stall_s
        now = loop.time()
        # A loop may be early by its clock's resolution.
        if stalls_at - now > 0.001:  # noqa: PLR2004  seconds
            self._timer = loop.call_at(stalls_at, self._look)
        elif now < self._end:
            self.has_stalled = True
            self._timeout.reschedule(now)
