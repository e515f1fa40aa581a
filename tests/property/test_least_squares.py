from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.simulator.least_squares import non_negative, robust

NUMBERS = st.floats(-10, 10).map(lambda value: round(value, 3))


def squares(rows: list[list[float]], answers: list[float], found: list[float]) -> float:
    return sum(
        (sum(a * x for a, x in zip(row, found, strict=True)) - y) ** 2
        for row, y in zip(rows, answers, strict=True)
    )


@given(
    st.lists(st.tuples(st.lists(NUMBERS, min_size=3, max_size=3), NUMBERS), min_size=1, max_size=8),
    st.lists(st.floats(0, 5), min_size=3, max_size=3),
)
def test_no_other_answer_that_is_not_negative_is_better(
    system: list[tuple[list[float], float]], other: list[float]
) -> None:
    rows, answers = [row for row, _ in system], [answer for _, answer in system]
    found = non_negative(rows, answers, [1.0] * len(rows))
    assert min(found) >= 0.0
    assert squares(rows, answers, found) <= squares(rows, answers, other) + 1e-4
    for at in range(3):
        for step in (1e-2, -1e-2):
            moved = [max(0.0, x + step * (i == at)) for i, x in enumerate(found)]
            assert squares(rows, answers, found) <= squares(rows, answers, moved) + 1e-4


def test_what_no_row_tells_is_nothing() -> None:
    assert non_negative([[1.0, 0.0], [2.0, 0.0]], [3.0, 6.0], [1.0, 1.0]) == pytest.approx([3, 0])


def test_one_row_far_off_moves_the_answer_little() -> None:
    rows = [[1.0, float(n)] for n in range(1, 12)]
    answers = [5.0 + 2.0 * n for n in range(1, 12)]
    answers[5] *= 4.0
    assert robust(rows, answers) == pytest.approx([5.0, 2.0], rel=0.02)
