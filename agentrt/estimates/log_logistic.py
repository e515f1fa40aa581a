"""The shape that is assumed where nothing, or too little, was seen."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from agentrt.estimates.distribution import Distribution
from agentrt.estimates.grid import Grid

_SMALLEST_SHAPE = 0.4
_LARGEST_SHAPE = 3.0


@dataclass(frozen=True, slots=True)
class LogLogistic:
    """`P(S > x) = 1 / (1 + (x / median)**shape)`: a bell in log time with a Pareto tail.

    The longer it has lasted, the longer it will: beyond what was ever seen the hazard is
    `shape / x`. A tool that hangs, or a person who went away, is like that; an exponential tail
    would promise a return within the mean, again and again.
    """

    median: float
    shape: float

    def distribution(self, grid: Grid) -> Distribution:
        """As a table, with what is beyond the grid left out of the buckets."""
        return _table(self, grid)

    def fitted(self, grid: Grid, masses: Sequence[float], strength: float) -> LogLogistic:
        """This, drawn to the mean and the variance of the logarithms of `masses`.

        `strength` is how many observations this counts for.
        """
        logs = _log_centres(grid)
        count = sum(masses)
        total = count + strength
        own_variance = (math.pi / self.shape) ** 2 / 3.0
        own_mean = math.log(self.median)
        mean = (sum(map(float.__mul__, logs, masses)) + strength * own_mean) / total
        spread = sum(m * (x - mean) ** 2 for x, m in zip(logs, masses, strict=True) if m)
        variance = (spread + strength * (own_variance + (own_mean - mean) ** 2)) / total
        shape = math.pi / math.sqrt(3.0 * variance)
        return LogLogistic(math.exp(mean), min(max(shape, _SMALLEST_SHAPE), _LARGEST_SHAPE))


@lru_cache(maxsize=64)
def _table(prior: LogLogistic, grid: Grid) -> Distribution:
    within = (1.0 / (1.0 + (edge / prior.median) ** -prior.shape) for edge in grid.edges[1:])
    return Distribution(grid, array("d", (0.0, *within)))


@lru_cache(maxsize=8)
def _log_centres(grid: Grid) -> tuple[float, ...]:
    return tuple(map(math.log, grid.middles))
