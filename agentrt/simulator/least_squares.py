"""Least squares without negative answers, for a handful of unknowns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

_TINY = 1e-12
_SAME = 1e-9  # so small a pivot of scaled columns is rounding


def non_negative(
    rows: Sequence[Sequence[float]], answers: Sequence[float], weights: Sequence[float]
) -> list[float]:
    """`x >= 0` with the least `sum(weight * (row . x - answer) ** 2)`.

    Every choice of which unknowns are not 0 is tried: with n of them, 2**n small systems. An unknown
    that no row tells from others is 0.
    """
    width = len(rows[0])
    scales = [
        math.sqrt(sum(w * row[i] ** 2 for row, w in zip(rows, weights, strict=True)))
        for i in range(width)
    ]
    products = [
        [
            _sum(w * row[i] * row[j] for row, w in zip(rows, weights, strict=True))
            / _or_one(scales[i] * scales[j])
            for j in range(width)
        ]
        for i in range(width)
    ]
    targets = [
        _sum(w * row[i] * y for row, y, w in zip(rows, answers, weights, strict=True))
        / _or_one(scales[i])
        for i in range(width)
    ]
    best, least = [0.0] * width, 0.0
    for size in range(1, width + 1):
        for free in combinations(range(width), size):
            found = _solved(
                [[products[i][j] for j in free] for i in free], [targets[i] for i in free]
            )
            if found is None or min(found) < 0.0:
                continue
            # At the minimum of a choice, the squares are less by this than with all at 0.
            gain = sum(x * targets[i] for x, i in zip(found, free, strict=True))
            if -gain < least - _TINY:
                least = -gain
                best = [0.0] * width
                for x, i in zip(found, free, strict=True):
                    best[i] = x / _or_one(scales[i])
    return best


def robust(
    rows: Sequence[Sequence[float]], answers: Sequence[float], *, rounds: int = 8
) -> list[float]:
    """The same, of relative errors; rows that are far off all others count less, the further off they are.

    Answers must be positive.
    """
    weights = [1.0 / answer**2 for answer in answers]
    found = non_negative(rows, answers, weights)
    for _ in range(rounds):
        errors = [abs(_dot(row, found) / y - 1.0) for row, y in zip(rows, answers, strict=True)]
        # Huber's weights; 1.345 of them keep 95 % of the efficiency where errors are normal.
        limit = max(1.345 * 1.4826 * sorted(errors)[len(errors) // 2], 1e-6)
        weights = [
            min(1.0, limit / max(error, _TINY)) / y**2
            for error, y in zip(errors, answers, strict=True)
        ]
        found = non_negative(rows, answers, weights)
    return found


def _solved(matrix: list[list[float]], answers: list[float]) -> list[float] | None:
    """Gauss elimination with pivots; None if the rows do not tell the unknowns apart."""
    rows = [[*line, answer] for line, answer in zip(matrix, answers, strict=True)]
    size = len(rows)
    for at in range(size):
        pivot = max(range(at, size), key=lambda line: abs(rows[line][at]))
        if abs(rows[pivot][at]) < _SAME:
            return None
        rows[at], rows[pivot] = rows[pivot], rows[at]
        for lower in rows[at + 1 :]:
            factor = lower[at] / rows[at][at]
            for column in range(at, size + 1):
                lower[column] -= factor * rows[at][column]
    found = [0.0] * size
    for at in reversed(range(size)):
        known = sum(rows[at][column] * found[column] for column in range(at + 1, size))
        found[at] = (rows[at][size] - known) / rows[at][at]
    return found


def _dot(row: Sequence[float], found: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(row, found, strict=True))


_sum = math.fsum


def _or_one(scale: float) -> float:
    return scale if scale > 0.0 else 1.0
