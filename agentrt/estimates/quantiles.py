"""A bounded sketch of a distribution: how often a value fell into which bucket, the old forgotten."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from agentrt.estimates.distribution import Distribution
from agentrt.estimates.grid import BUCKETS, Grid
from agentrt.estimates.stored_form import (
    Json,
    a_field,
    a_list,
    a_number,
    an_index,
    an_object,
    unfit,
)

_LARGEST_UNIT = 1e12
_PAIR_AND_INDEX = 3


class Sketch:
    """Counts on a grid, 4 KB whatever it is given; mergeable, in any order.

    An observation weighs half as much once `half_life` more have come; `count` is what all weigh
    together, so it does not grow beyond `half_life / ln 2`.
    """

    __slots__ = ("_counts", "_growth", "_sums", "_total", "_unit", "grid", "half_life", "observed")

    def __init__(self, grid: Grid, *, half_life: float = math.inf) -> None:
        self.grid = grid
        self.half_life = half_life
        self.observed = 0
        """Observations ever made here, forgotten ones too."""
        self._counts = array("d", bytes(8 * BUCKETS))
        self._sums = array("d", bytes(8 * BUCKETS))
        self._total = 0.0
        # New observations gain weight instead of old ones losing it: a step is one addition.
        self._unit = 1.0
        self._growth = 2.0 ** (1.0 / half_life)

    @property
    def count(self) -> float:
        """What the observations weigh together: as many as the newest would be."""
        return self._total / self._unit

    def observe(self, value: float) -> None:
        """Count `value`; a negative one, or NaN, as 0."""
        grid = self.grid
        value = grid.clamp(value)
        unit = self._unit = self._unit * self._growth
        index = grid.bucket(value)
        self._counts[index] += unit
        self._sums[index] += unit * value
        self._total += unit
        self.observed += 1
        if unit > _LARGEST_UNIT:
            self._rescale()

    def counts(self) -> list[float]:
        """What the observations of each bucket weigh."""
        unit = self._unit
        return [count / unit for count in self._counts]

    def merge(self, other: Sketch) -> None:
        """Add what `other` has seen, as if both had ended with the same observation."""
        if other.grid != self.grid:
            raise ValueError("sketches on different grids cannot be merged")
        scale = self._unit / other._unit
        for index in range(BUCKETS):
            self._counts[index] += scale * other._counts[index]
            self._sums[index] += scale * other._sums[index]
        self._total += scale * other._total
        self.observed += other.observed

    def distribution(self, back_off: Distribution, strength: float) -> Distribution:
        """What was seen, mixed with `back_off` as if that were `strength` observations."""
        weight = self._total + strength * self._unit
        return Distribution(
            self.grid,
            _mixed(self._counts, back_off.masses(), strength * self._unit, weight),
            _mixed(self._sums, back_off.sums(), strength * self._unit, weight),
        )

    def to_json(self) -> Json:
        """Plain data; only the buckets that have something."""
        unit = self._unit
        buckets = [
            [index, count / unit, self._sums[index] / unit]
            for index, count in enumerate(self._counts)
            if count > 0.0
        ]
        return {"observed": self.observed, "buckets": buckets}

    @classmethod
    def from_json(cls, data: Json, grid: Grid, *, half_life: float = math.inf) -> Sketch:
        """What `to_json` gave. Raises `StoreError` for anything else."""
        fields = an_object(data)
        sketch = cls(grid, half_life=half_life)
        sketch.observed = int(a_number(a_field(fields, "observed"), most=1e15))
        for entry in a_list(a_field(fields, "buckets")):
            bucket = a_list(entry)
            if len(bucket) != _PAIR_AND_INDEX:
                raise unfit(f"a bucket of {len(bucket)} numbers")
            index = an_index(bucket[0], BUCKETS)
            count = a_number(bucket[1], most=1e15)
            if sketch._counts[index]:
                raise unfit(f"bucket {index} twice")
            sketch._counts[index] = count
            sketch._sums[index] = a_number(bucket[2], most=count * grid.largest * (1 + 1e-9))
            sketch._total += count
        return sketch

    def _rescale(self) -> None:
        unit = self._unit
        self._counts = array("d", [count / unit for count in self._counts])
        self._sums = array("d", [total / unit for total in self._sums])
        self._total /= unit
        self._unit = 1.0


def _mixed(
    seen: Sequence[float], assumed: Sequence[float], strength: float, weight: float
) -> list[float]:
    """Both, weighed; all of `weight` together is 1."""
    own, lent = 1.0 / weight, strength / weight
    return [own * a + lent * b for a, b in zip(seen, assumed, strict=True)]
