"""The comparison of rivals runs, and under each of them all programs end."""

from __future__ import annotations

import pytest

from tests.benchmarks import rivals


@pytest.mark.parametrize("kind", ["swe", "browser", "fanout"])
def test_every_rival_brings_a_small_workload_to_its_end(kind: str) -> None:
    load, other = rivals.make_load(kind, 5, 0, 2.0), rivals.make_load(kind, 5, 1, 2.0)
    found = [
        *rivals.run_rivals(load, other).items(),
        *rivals.run_unlearned(load).items(),
        *rivals.run_pinned(load, other).items(),
    ]
    ended = [(row, run.report.programs, run.report.unfinished) for row, run in found]
    assert ended == [(row, 5, 0) for row, _ in found]


def test_programs_in_a_hurry_come_to_their_end_too() -> None:
    load, other = rivals.make_load("swe", 5, 0, 2.0), rivals.make_load("swe", 5, 1, 2.0)
    in_time = rivals.run_deadlines(load, other, 0)
    assert all(0.0 <= part <= 1.0 and r.unfinished == 0 for part, r in in_time.values())
