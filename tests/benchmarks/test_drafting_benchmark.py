"""The drafting benchmark compares answers of the same turn in the same round."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.drafting import WISHES, Timed, rows, table
from tests.benchmarks.drafting_turns import COPY, OTHER, TURNS


def _timed(kind: str, wish: str, seconds: float, *, tokens: int = 100, text: str = "same") -> Timed:
    drafted = 0 if wish == "off" else 40
    return Timed(
        turn=kind,
        kind=kind,
        wish=wish,
        decoded_tokens=tokens,
        wall_s=seconds,
        cpu_s=2 * seconds,
        drafted_tokens=drafted,
        accepted_tokens=drafted // 2,
        text=text,
    )


def test_speedups_are_medians_of_seconds_a_token_by_pairs() -> None:
    found = [
        *(_timed(COPY, "off", s) for s in (2.0, 4.0, 2.0)),
        *(_timed(COPY, "on", s, tokens=200) for s in (2.0, 2.0, 8.0)),
        *(_timed(COPY, "measured", 2.0, text="other") for _ in range(3)),
        *(_timed(OTHER, wish, 1.0) for wish in WISHES),
    ]
    off, on, measured, *others = rows(found)
    assert (off.speedup, off.least_turn, off.identical, off.share_taken) == (1.0, 1.0, 3, 0.0)
    assert (on.speedup, on.least_turn, on.cpu_speedup) == (2.0, 2.0, 2.0)
    assert (on.drafted_tokens, on.share_taken, on.identical) == (120, 0.5, 3)
    assert (measured.speedup, measured.identical) == (1.0, 0)
    assert [row.speedup for row in others] == [1.0, 1.0, 1.0]
    assert len(table(rows(found)).splitlines()) == 1 + 2 * len(WISHES)


def test_the_least_turn_is_the_one_whose_median_is_least() -> None:
    plain = [replace(_timed(COPY, "off", 2.0), turn=turn) for turn in "aaabbb"]
    drafted = [
        replace(_timed(COPY, "on", seconds), turn=turn)
        for turn, seconds in zip("aaabbb", (1.0, 8.0, 1.0, 4.0, 1.0, 4.0), strict=True)
    ]
    others = [_timed(COPY, "measured", 2.0)] * 6
    both = [*plain, *drafted, *others, *(_timed(OTHER, wish, 1.0) for wish in WISHES)]
    assert [row.least_turn for row in rows(both)][1] == 0.5


def test_a_pair_that_lacks_its_answer_is_no_pair() -> None:
    found = [_timed(COPY, "off", 1.0), *(_timed(OTHER, wish, 1.0) for wish in WISHES)]
    with pytest.raises(ValueError, match="zip"):
        rows(found)


def test_turns_of_both_classes_alternate_so_that_the_first_two_are_one_of_each() -> None:
    assert [turn.kind for turn in TURNS] == [COPY, OTHER] * (len(TURNS) // 2)
