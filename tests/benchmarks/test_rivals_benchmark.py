"""The comparison of rivals runs, and under each of them all programs end."""

from __future__ import annotations

from tests.benchmarks import rivals


def test_every_rival_brings_a_small_workload_to_its_end() -> None:
    load, other = rivals.make_load(5, 0, 2.0), rivals.make_load(5, 1, 2.0)
    found = rivals.run_all(load, other)
    assert {row: (r.programs, r.unfinished) for row, (_, r) in found.items()} == dict.fromkeys(
        found, (5, 0)
    )
    in_time = rivals.run_deadlines(load, other, 0)
    assert all(0.0 <= part <= 1.0 and r.unfinished == 0 for part, r in in_time.values())
