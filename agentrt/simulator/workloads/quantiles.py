"""A distribution as its quantiles: what a recorded set gives, and enough to draw from."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from agentrt.errors import InputError

LEVELS = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
"""Where a fitted distribution is fixed; between them it is taken to be log-linear."""

_TINY = 1e-3


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Values that are not negative, at rising levels from 0.0 to 1.0."""

    levels: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.levels, self.levels[1:], strict=False))
        # NaN has no place in an order, so it would pass for sorted.
        is_finite = all(math.isfinite(value) for value in self.values)
        sorted_values = is_finite and list(self.values) == sorted(self.values)
        if not rising or self.levels[:1] != (0.0,) or self.levels[-1] != 1.0:
            raise InputError(f"levels must rise from 0 to 1: {self.levels}")
        if not sorted_values or len(self.values) != len(self.levels) or self.values[0] < 0:
            raise InputError(f"values must rise, one a level, from 0 or more: {self.values}")

    def times(self, factor: float) -> Quantiles:
        """Each value `factor` times as large."""
        return Quantiles(self.levels, tuple(value * factor for value in self.values))

    def at(self, level: float) -> float:
        """The value that a share `level` of the distribution does not exceed."""
        above = min(max(bisect_right(self.levels, level), 1), len(self.levels) - 1)
        low, high = self.values[above - 1], self.values[above]
        span = self.levels[above] - self.levels[above - 1]
        share = (level - self.levels[above - 1]) / span
        if low < _TINY:
            return low + (high - low) * share
        return low * math.exp(math.log(high / low) * share)

    def draw(self, rng: random.Random) -> float:
        return self.at(rng.random())

    def draw_count(self, rng: random.Random, least: int = 0) -> int:
        return max(least, round(self.at(rng.random())))


def constant(value: float) -> Quantiles:
    """Always `value`."""
    return Quantiles((0.0, 1.0), (value, value))


def log_normal(median: float, p90: float, most: float = math.inf) -> Quantiles:
    """A log-normal distribution by its median and its p90, cut off at `most` (or at its p99.9).

    Raises:
        InputError: the median is not positive, or the p90 not above it.
    """
    if not 0 < median <= p90 < math.inf:
        raise InputError(f"a log-normal has 0 < median <= p90, not {median} and {p90}")
    normal = NormalDist()
    sigma = math.log(p90 / median) / normal.inv_cdf(0.9)
    levels = [0.001, 0.01, *(step / 20 for step in range(1, 20)), 0.975, 0.99, 0.999]
    values = [median * math.exp(sigma * normal.inv_cdf(level)) for level in levels]
    top = values[-1] if math.isinf(most) else most
    return Quantiles(
        (0.0, *levels, 1.0), tuple(min(value, top) for value in (values[0], *values, top))
    )


def uniform(least: float, most: float) -> Quantiles:
    """All values between two alike; in steps of a tenth, since between levels it is log-linear."""
    levels = tuple(step / 10 for step in range(11))
    return Quantiles(levels, tuple(least + (most - least) * level for level in levels))


def exponential(mean: float) -> Quantiles:
    """An exponential distribution, cut off at its p99.9.

    Raises:
        InputError: the mean is not positive.
    """
    if not 0 < mean < math.inf:
        raise InputError(f"an exponential distribution has a positive mean, not {mean}")
    levels = [0.01, *(step / 20 for step in range(1, 20)), 0.975, 0.99, 0.999]
    values = [-mean * math.log(1 - level) for level in levels]
    return Quantiles((0.0, *levels, 1.0), (0.0, *values, values[-1]))


def quantile(ordered: Sequence[float], level: float) -> float:
    """The value at `level` of sorted values, between two of them linearly; 0.0 of none."""
    if not ordered:
        return 0.0
    at = level * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def quantiles_of(values: Iterable[float]) -> Quantiles:
    """The distribution of measured values; all zero if there are none."""
    ordered = sorted(values)
    return Quantiles(LEVELS, tuple(quantile(ordered, level) for level in LEVELS))
