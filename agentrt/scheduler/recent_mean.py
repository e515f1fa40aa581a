"""`RecentMean`: the mean of the latest values, from the first one on."""

from __future__ import annotations


class RecentMean:
    """Of all values while they are few; then each counts 1 in `memory`, and less with every later one.

    Attributes:
        mean: 0 before the first value.
        count: Values so far, up to `memory`.
    """

    __slots__ = ("count", "mean", "memory")

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.mean = 0.0
        self.count = 0

    def add(self, value: float) -> None:
        """Take one more."""
        self.count = min(self.count + 1, self.memory)
        self.mean += (value - self.mean) / self.count
