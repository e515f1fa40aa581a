"""What the benchmark says of its rounds is what they were, and its clock stands still with its engine."""

from __future__ import annotations

import os
import time

import pytest

from tests.benchmarks.agreement import workload_of
from tests.benchmarks.agreement_report import Row, line_of, summary_lines, summary_of
from tests.benchmarks.engine_cpu_clock import EngineCpuClock


def row(number: int, real_s: float, simulated_s: float, hits: tuple[float, float]) -> Row:
    return Row(
        engine="e",
        policy="p",
        round=number,
        real_mean_completion_s=real_s,
        simulated_mean_completion_s=simulated_s,
        real_hit_ratio=hits[0],
        simulated_hit_ratio=hits[1],
        real_prompt_tokens=1,
        simulated_prompt_tokens=1,
        real_mean_ttft_s=1.0,
        simulated_mean_ttft_s=1.0,
        real_makespan_s=1.0,
        simulated_makespan_s=1.0,
        load_average=0.0,
        drift=1.25,
    )


def test_errors_are_those_of_the_means_over_all_rounds() -> None:
    rows = [row(0, 10.0, 8.0, (0.5, 0.6)), row(1, 30.0, 34.0, (0.5, 0.48))]
    (found,) = summary_of(rows)
    assert found["time_error"] == pytest.approx(42 / 40 - 1)
    assert found["hit_error"] == pytest.approx(0.04)
    assert summary_lines(rows) == [
        "e                  p          all  completion +5.0%  hits +4.0 points"
    ]
    assert rows[0].drift_error == pytest.approx(0.0)
    assert "(-20.0%, drift 1.25:  +0.0%)" in line_of(rows[0])


def test_the_workload_is_small_and_the_same_each_time() -> None:
    first, again = workload_of(8, 1, 4), workload_of(8, 1, 4)
    assert first == again
    contexts = [
        step.prompt_tokens + step.completion_tokens
        for program in first.programs
        for step in program.steps
        if step.kind == "call"
    ]
    assert 256 < max(contexts) < 2048


def test_a_clock_goes_with_the_wall_until_a_request_is_under_way() -> None:
    clock = EngineCpuClock(os.getpid())
    wall, before = time.monotonic(), clock.now()
    time.sleep(0.02)
    assert clock.now() - before >= 0.02
    clock.begin()
    cpu, begun = time.process_time(), clock.now()
    time.sleep(0.02)
    assert clock.now() - begun <= time.process_time() - cpu + 1e-6
    clock.end()
    assert clock.now() - before <= time.monotonic() - wall + 1e-6
