"""How much longer something takes that has not ended yet, and what to ask of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agentrt.estimates.distribution import HAZARD_WINDOW, SHORTEST_WINDOW, Distribution
from agentrt.estimates.grid import SECONDS

_STEPS = 12
_AREA_STEPS = 10
_CLOSE = 0.01  # a quarter of what a bucket is wide


class Remaining(Protocol):
    """What can be asked of a wait that has lasted `elapsed` so far. All times in seconds."""

    def within(self, elapsed: float, ahead: float) -> float:
        """The probability that it ends in the next `ahead`."""
        ...

    def remaining_quantile(self, q: float, elapsed: float) -> float:
        """The further time it does not exceed with probability `q`."""
        ...

    def hazard(self, elapsed: float) -> float:
        """The rate at which it ends now, per second."""
        ...

    def expected_min(self, limit: float, elapsed: float = 0.0) -> float:
        """How long it is waited for on average by one who gives up after `limit`."""
        ...


@dataclass(frozen=True, slots=True)
class Join:
    """The last of several that run at once, none of which has ended.

    They are taken to be independent: `P(all end) = prod P(each ends)`, each given that it has not
    ended. Where they are slow together (one machine, one repository), the join is a little shorter
    than stated.
    """

    parts: Sequence[Distribution]

    def within(self, elapsed: float, ahead: float) -> float:
        return _all_end(self._left(elapsed), max(0.0, elapsed) + ahead)

    def remaining_quantile(self, q: float, elapsed: float) -> float:
        if q <= 0.0:
            return 0.0
        elapsed = max(0.0, elapsed)
        # The slowest alone is not later; that each part is done so surely that all are is not earlier.
        surely = q ** (1.0 / len(self.parts))
        pending = self._left(elapsed)
        low = max(part.remaining_quantile(q, elapsed) for part in self.parts)
        high = max(part.remaining_quantile(surely, elapsed) for part in self.parts)
        for _ in range(_STEPS):
            if high <= low * (1.0 + _CLOSE):
                break
            middle = (low + high) / 2.0
            if _all_end(pending, elapsed + middle) < q:
                low = middle
            else:
                high = middle
        return high

    def hazard(self, elapsed: float) -> float:
        ahead = max(elapsed * HAZARD_WINDOW, SHORTEST_WINDOW * SECONDS.smallest)
        return -math.log1p(-min(self.within(elapsed, ahead), 1.0 - 1e-12)) / ahead

    def expected_min(self, limit: float, elapsed: float = 0.0) -> float:
        """The area under the survival curve, by trapezoids that grow like the square of the time."""
        elapsed = max(0.0, elapsed)
        pending = self._left(elapsed)
        area, before, left = 0.0, 0.0, 1.0
        for step in range(1, _AREA_STEPS + 1):
            time = limit * (step / _AREA_STEPS) ** 2
            survival = 1.0 - _all_end(pending, elapsed + time)
            area += (time - before) * (left + survival) / 2.0
            before, left = time, survival
        return area

    def _left(self, elapsed: float) -> list[tuple[Distribution, float]]:
        """The parts, each with the probability that it takes longer than `elapsed`."""
        return [(part, part.survival(elapsed)) for part in self.parts]


def _all_end(pending: Sequence[tuple[Distribution, float]], time: float) -> float:
    """P(all take at most `time`), each given that it is still pending."""
    product = 1.0
    for part, left in pending:
        product *= 1.0 - part.survival(time) / left
    return product
