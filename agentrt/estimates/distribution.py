"""What is known of a positive quantity, as a table that answers in constant time.

Formulas and their sources: docs/estimates.md.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, chain

from agentrt.estimates.grid import BUCKETS, Grid

HAZARD_WINDOW = 0.25
"""A hazard is averaged over this part of the time already elapsed: three buckets."""

SHORTEST_WINDOW = 50.0
"""... but over no less than this many times the grid's smallest value."""

_EVERY_NEAR = 24  # the edges up to 7 times what was attained
_INDEX_STRIDE = 4
_NOTABLE_PART = 0.02  # the best rate is sought where enough ends to tell it from chance
_ALMOST_NONE = 1e-12
_PRICE_STEPS = 4  # to a doubling
_LEAST_PRICE, _MOST_PRICE = 1e-9, 1e9
_NO_DOUBT = 1e-3
_LONGEST = 1e30


class Distribution:
    """An immutable distribution on a grid: uniform within a bucket, Pareto with index 1 beyond the last.

    `elapsed` is always what is known to have passed: answers are about those that take longer, and
    what they speak of is counted from there. Probability one is never stated for a finite time.
    """

    __slots__ = ("_below", "_grid", "_indices", "_means", "_waits")

    def __init__(self, grid: Grid, below: array[float]) -> None:
        """`below`: for each edge of the grid P(S < edge)."""
        self._grid = grid
        self._below = below
        self._means: array[float] | None = None
        self._indices: dict[int, float] = {}
        self._waits: dict[tuple[int, int | None], float] = {}

    def mixed(self, counts: Sequence[float], *, own: float, lent: float) -> Distribution:
        """`own` times the counts of a sketch and `lent` times this, which together are 1."""
        pairs = zip(accumulate(counts, initial=0.0), self._below, strict=True)
        below = array("d", [own * seen + lent * assumed for seen, assumed in pairs])
        return Distribution(self._grid, below)

    @property
    def mean(self) -> float:
        """E[S], of what is within the grid."""
        return self._weighted()[BUCKETS]

    def masses(self) -> list[float]:
        """What each bucket has."""
        below = self._below
        return [below[i + 1] - below[i] for i in range(BUCKETS)]

    def cdf(self, value: float) -> float:
        """P(S <= value)."""
        return 1.0 - self.survival(value)

    def survival(self, value: float) -> float:
        """P(S > value)."""
        if not value > 0.0:
            return 1.0
        index = bisect_right(self._grid.edges, value) - 1
        if index >= BUCKETS:
            return self._beyond() * self._grid.largest / min(value, _LONGEST)
        low = self._grid.edges[index]
        share = (value - low) / (self._grid.edges[index + 1] - low)
        below = self._below[index] + share * (self._below[index + 1] - self._below[index])
        left = 1.0 - below
        beyond = self._beyond()
        return max(beyond, left)

    def quantile(self, q: float) -> float:
        """The value that a part `q` of all does not exceed, 0 <= q < 1."""
        return self._exceeded_by(1.0 - q)

    def _exceeded_by(self, part: float) -> float:
        """The value that a part `part` of all exceeds: exact far out, where `1 - part` is not."""
        if part >= 1.0:
            return 0.0
        beyond = self._beyond()
        if part < beyond:
            return self._grid.largest * beyond / part if part > 0.0 else math.inf
        q = 1.0 - part
        index = min(bisect_right(self._below, q) - 1, BUCKETS - 1)
        mass = self._below[index + 1] - self._below[index]
        low, high = self._grid.edges[index], self._grid.edges[index + 1]
        share = (q - self._below[index]) / mass if mass > 0.0 else 0.0
        return low + min(1.0, share) * (high - low)

    def within(self, elapsed: float, ahead: float) -> float:
        """P(S <= elapsed + ahead | S > elapsed)."""
        elapsed = max(0.0, elapsed)
        return 1.0 - self.survival(elapsed + ahead) / self.survival(elapsed)

    def remaining_quantile(self, q: float, elapsed: float) -> float:
        """The further time that a part `q` of those that take longer than `elapsed` do not exceed."""
        if not elapsed > 0.0:
            return self.quantile(q)
        return max(0.0, self._exceeded_by((1.0 - q) * self.survival(elapsed)) - elapsed)

    def hazard(self, elapsed: float) -> float:
        """The rate at which it ends now, per second: the mean over the time just ahead."""
        elapsed = max(0.0, elapsed)
        ahead = max(elapsed * HAZARD_WINDOW, SHORTEST_WINDOW * self._grid.smallest)
        return math.log(self.survival(elapsed) / self.survival(elapsed + ahead)) / ahead

    def expected_min(self, limit: float, elapsed: float = 0.0) -> float:
        """E[min(S - elapsed, limit) | S > elapsed]: what holding on for `limit` costs on average."""
        elapsed = self._grid.clamp(elapsed)
        limit = max(0.0, limit)
        end = self._grid.clamp(elapsed + limit)
        area = self._restricted_mean(end) - self._restricted_mean(elapsed)
        return min(limit, max(0.0, area / self.survival(elapsed)))

    def gittins(self, attained: float) -> float:
        """The Gittins index: the best `P(S - a <= d | S > a) / E[min(S - a, d) | S > a]` over d.

        `attained` counts as the start of its bucket.
        """
        start = self._grid.bucket(self._grid.clamp(attained))
        found = self._indices.get(start)
        if found is None:
            found = self._indices[start] = self._best_rate(start)
        return found

    def worth_waiting(self, price: float, *, comes: float = 1.0) -> float:
        """How long to wait for an end that is worth 1 to be there at, where each second costs `price`.

        With `comes` the chance that there is an end at all: the `d` that maximises
        `comes * P(S <= d) - price * (comes * E[min(S, d)] + (1 - comes) * d)`; 0 if no wait is worth it.
        Where the hazard falls this is when it has fallen to `price`. Prices are rounded to steps of a
        fifth, and the odds against an end to steps of two.
        """
        if not price > 0.0:
            return math.inf
        step = round(math.log2(min(max(price, _LEAST_PRICE), _MOST_PRICE)) * _PRICE_STEPS)
        odds = (1.0 - comes) / max(comes, _ALMOST_NONE)
        doubt = round(math.log2(min(odds, _MOST_PRICE))) if odds > _NO_DOUBT else None
        found = self._waits.get((step, doubt))
        if found is None:
            against = 0.0 if doubt is None else 2.0**doubt
            found = self._waits[step, doubt] = self._best_wait(
                2.0 ** (step / _PRICE_STEPS), against
            )
        return found

    def _best_wait(self, price: float, against: float) -> float:
        edges, below, weighted = self._grid.edges, self._below, self._weighted()
        best, best_value = 0.0, 0.0
        for end in range(1, BUCKETS + 1):
            waited = weighted[end] + edges[end] * (1.0 - below[end] + against)
            value = below[end] - price * waited
            if value > best_value:
                best, best_value = edges[end], value
        return best

    def _best_rate(self, start: int) -> float:
        edges, below, weighted = self._grid.edges, self._below, self._weighted()
        attained, under, used = edges[start], below[start], weighted[start]
        least = _NOTABLE_PART * (1.0 - under)
        best = 0.0
        near = min(start + _EVERY_NEAR, BUCKETS)
        for end in chain(range(BUCKETS, near, -_INDEX_STRIDE), range(near, start, -1)):
            ended = below[end] - under
            if ended < least:
                break
            cost = (
                weighted[end] - used - attained * ended + (edges[end] - attained) * (1 - below[end])
            )
            if cost > _ALMOST_NONE and ended > best * cost:
                best = ended / cost
        # Beyond everything known the tail is Pareto: its rate falls with what was attained.
        return best or 1.0 / (2.0 * max(attained, self._grid.smallest))

    def _beyond(self) -> float:
        return max(1.0 - self._below[BUCKETS], _ALMOST_NONE)

    def _restricted_mean(self, value: float) -> float:
        """E[min(S, value)]."""
        index, share = self._grid.place(value)
        mass = self._below[index + 1] - self._below[index]
        low = self._grid.edges[index]
        part = share * mass * (low + value) / 2.0
        above = 1.0 - self._below[index] - share * mass
        return self._weighted()[index] + part + value * above

    def _weighted(self) -> array[float]:
        """For each edge E[S; S < edge], with the middle of a bucket as the mean of what is in it.

        That is what a survival curve of straight lines implies. Made when first asked for.
        """
        if self._means is None:
            masses = map(float.__sub__, self._below[1:], self._below)
            products = map(float.__mul__, masses, self._grid.middles)
            self._means = array("d", accumulate(products, initial=0.0))
        return self._means
