"""Least squares for three unknowns, as a stream: the old forgotten, none of them negative."""

from __future__ import annotations

from collections.abc import Sequence

TERMS = 3
PRODUCTS = 6
"""Products of two terms: the upper triangle, row by row."""


def add(
    products: list[float],
    answers: list[float],
    row: tuple[float, float, float],
    answer: float,
    *,
    weight: float,
    decay: float,
) -> None:
    """Take one more observation into both sums; what was there counts `decay` of what it did."""
    a, b, c = row
    products[0] = products[0] * decay + weight * a * a
    products[1] = products[1] * decay + weight * a * b
    products[2] = products[2] * decay + weight * a * c
    products[3] = products[3] * decay + weight * b * b
    products[4] = products[4] * decay + weight * b * c
    products[5] = products[5] * decay + weight * c * c
    weighed = weight * answer
    answers[0] = answers[0] * decay + weighed * a
    answers[1] = answers[1] * decay + weighed * b
    answers[2] = answers[2] * decay + weighed * c


def solved(
    products: Sequence[float], answers: Sequence[float], prior: Sequence[float], *, trust: float
) -> list[float]:
    """The terms that fit best, with `prior` as an observation of each that weighs `trust`."""
    held = [trust / max(value, 1e-12) ** 2 for value in prior]
    free = list(range(TERMS))
    while True:
        found = _eliminated(products, answers, prior, held, free)
        negative = [term for term in free if found[term] < 0.0]
        if not negative:
            return found
        # A negative price is noise: that term is nothing, and the others are fitted again.
        free.remove(min(negative, key=found.__getitem__))


def _eliminated(
    products: Sequence[float],
    answers: Sequence[float],
    prior: Sequence[float],
    held: Sequence[float],
    free: list[int],
) -> list[float]:
    """The terms `free`, the others 0, by Gauss elimination."""
    rows: list[list[float]] = []
    for term in free:
        row = [products[_place(term, other)] for other in free]
        row[free.index(term)] += held[term]
        rows.append([*row, answers[term] + held[term] * prior[term]])
    for index, pivot in enumerate(rows):
        for lower in rows[index + 1 :]:
            factor = lower[index] / pivot[index] if pivot[index] > 0.0 else 0.0
            for column in range(index, len(pivot)):
                lower[column] -= factor * pivot[column]
    found = [0.0] * TERMS
    for index in reversed(range(len(free))):
        row = rows[index]
        known = sum(row[column] * found[free[column]] for column in range(index + 1, len(free)))
        found[free[index]] = (row[-1] - known) / row[index] if row[index] > 0.0 else 0.0
    return found


def _place(a: int, b: int) -> int:
    """Where the product of two terms is kept."""
    low, high = min(a, b), max(a, b)
    return (0, 2, 3)[low] + high
