"""Where values are kept: buckets whose edges grow by a constant ratio, so that the error is relative."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise

BUCKETS = 256
RELATIVE_ERROR = 0.04
"""A value is known to lie in a bucket, whose middle is at most this far from it, relatively."""

RATIO = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_RATIO = math.log(RATIO)


@dataclass(frozen=True, slots=True)
class Grid:
    """Bucket 0 is `[0, smallest)`, bucket i is `[smallest * RATIO**(i-1), smallest * RATIO**i)`.

    What is beyond the last bucket (8.5 orders of magnitude above `smallest`) counts as in it.
    """

    smallest: float
    edges: tuple[float, ...] = field(init=False, repr=False, compare=False)
    """`edges[i]` is where bucket i begins; one more than there are buckets."""

    middles: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        edges = (0.0, *(self.smallest * RATIO**i for i in range(BUCKETS)))
        middles = tuple((low + high) / 2.0 for low, high in pairwise(edges))
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "middles", middles)

    @property
    def largest(self) -> float:
        return self.edges[BUCKETS]

    def clamp(self, value: float) -> float:
        """`value` as the grid can hold it. What is negative, or no number, is 0."""
        if value > 0.0:
            return min(self.largest, value)
        return 0.0

    def bucket(self, value: float) -> int:
        """The bucket of a clamped value."""
        if value < self.smallest:
            return 0
        index = int(math.log(value / self.smallest) / _LOG_RATIO) + 1
        return index if index < BUCKETS else BUCKETS - 1

    def place(self, value: float) -> tuple[int, float]:
        """The bucket of a clamped value, and the share of the bucket that is below it."""
        index = bisect_right(self.edges, value) - 1
        if index >= BUCKETS:
            return BUCKETS - 1, 1.0
        low = self.edges[index]
        return index, (value - low) / (self.edges[index + 1] - low)


SECONDS = Grid(1e-3)
"""From a millisecond to eight days."""

COUNTS = Grid(1.0)
"""From one to 700 million: tokens."""
