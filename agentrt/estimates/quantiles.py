"""A bounded sketch of a distribution: how often a value fell into which bucket, the old forgotten."""

from __future__ import annotations

import math
from array import array

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


class Sketch:
    """Counts on a grid, 2 KB whatever it is given; mergeable, in any order.

    An observation weighs half as much once `half_life` more have come; `count` is what all weigh
    together, so it does not grow beyond `half_life / ln 2`.
    """

    __slots__ = ("_counts", "_growth", "_total", "_unit", "grid", "half_life", "observed")

    def __init__(self, grid: Grid, *, half_life: float = math.inf) -> None:
        self.grid = grid
        self.half_life = half_life
        self.observed = 0
        """Observations ever made here, forgotten ones too."""
        self._counts = array("d", bytes(8 * BUCKETS))
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
        value = self.grid.clamp(value)
        self.add(self.grid.bucket(value))

    def add(self, index: int) -> None:
        """Count a value in a known bucket: several sketches can share the work of finding it."""
        unit = self._unit = self._unit * self._growth
        self._counts[index] += unit
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
        self._total += scale * other._total
        self.observed += other.observed

    def distribution(self, back_off: Distribution, strength: float) -> Distribution:
        """What was seen, mixed with `back_off` as if that were `strength` observations."""
        lent = strength * self._unit
        weight = self._total + lent
        return back_off.mixed(self._counts, own=1.0 / weight, lent=lent / weight)

    def to_json(self) -> Json:
        """Plain data; only the buckets that have something."""
        unit = self._unit
        buckets = [[index, count / unit] for index, count in enumerate(self._counts) if count > 0.0]
        return {"observed": self.observed, "buckets": buckets}

    @classmethod
    def from_json(cls, data: Json, grid: Grid, *, half_life: float = math.inf) -> Sketch:
        """What `to_json` gave. Raises `StoreError` for anything else."""
        fields = an_object(data)
        sketch = cls(grid, half_life=half_life)
        sketch.observed = int(a_number(a_field(fields, "observed"), most=1e15))
        for entry in a_list(a_field(fields, "buckets")):
            bucket = a_list(entry)
            if len(bucket) != len(("index", "count")):
                raise unfit(f"a bucket of {len(bucket)} numbers")
            index = an_index(bucket[0], BUCKETS)
            count = a_number(bucket[1], most=1e15)
            if sketch._counts[index]:
                raise unfit(f"bucket {index} twice")
            sketch._counts[index] = count
            sketch._total += count
        return sketch

    def _rescale(self) -> None:
        unit = self._unit
        self._counts = array("d", [count / unit for count in self._counts])
        self._total /= unit
        self._unit = 1.0
