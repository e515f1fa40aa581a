"""Deadlines that move as an answer comes in."""

from __future__ import annotations

import asyncio


class Patience:
    """How long an exchange may still take: to its end, and to its next byte."""

    def __init__(self, timeout: asyncio.Timeout, *, end: float, stall_timeout_s: float) -> None:
        self._timeout = timeout
        self._end = end
        self._stall_timeout_s = stall_timeout_s
        self.has_heard = False

    def heard(self) -> None:
        """A piece of the answer has come."""
        self.has_heard = True
        now = asyncio.get_running_loop().time()
        self._timeout.reschedule(min(self._end, now + self._stall_timeout_s))

    def end_within(self, seconds: float) -> None:
        """The answer is whole; all that may still come is the end."""
        self._end = min(self._end, asyncio.get_running_loop().time() + seconds)
        self._timeout.reschedule(self._end)
