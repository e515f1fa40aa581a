"""`Window`: how much happened in the last minute. Pure: it is told the time."""

from __future__ import annotations

import math
from typing import NewType

MINUTE_S = 60.0

Second = NewType("Second", int)
"""When something was counted: what takes it back has to name it."""


class Window:
    """A limit over any window of a minute.

    What happens is counted by the second it happens in, and counts until a whole minute after that
    second: a limit takes sixty numbers however high it is, and holds for up to a second longer. Time
    never runs backwards here.
    """

    __slots__ = ("_counted", "_seconds", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._seconds: dict[Second, int] = {}
        self._counted = 0

    def wait_s(self, amount: int, now: float) -> float:
        """Seconds until `amount` more fits, if nothing else comes; 0: now; infinity: it never will."""
        self._forget(now)
        excess = self._counted + amount - self.limit
        if excess <= 0:
            return 0.0
        for second, count in self._seconds.items():
            excess -= count
            if excess <= 0:
                return _end(second) - now
        return math.inf

    def add(self, amount: int, now: float) -> Second:
        """Count `amount`, which is not negative."""
        self._forget(now)
        second = Second(math.floor(now))
        self._seconds[second] = self._seconds.get(second, 0) + amount
        self._counted += amount
        return second

    def take_back(self, amount: int, second: Second) -> None:
        """What was counted in `second` did not happen after all."""
        if second in self._seconds:
            self._seconds[second] -= amount
            self._counted -= amount

    def _forget(self, now: float) -> None:
        while self._seconds:
            oldest = next(iter(self._seconds))
            if _end(oldest) > now:
                return
            self._counted -= self._seconds.pop(oldest)


def _end(second: Second) -> float:
    return second + 1 + MINUTE_S
