"""Time to the next call: one tool, several, none."""

from __future__ import annotations

import random

import pytest

from agentrt.estimates.durations import NextCallEstimates, ToolUse

BASH, READ, TASK = ToolUse("bash"), ToolUse("read"), ToolUse("task")


def learned(seed: int = 1, turns: int = 4_000) -> NextCallEstimates:
    """`bash` about 10 s, `task` about 60 s, both exponential."""
    rng = random.Random(seed)
    estimates = NextCallEstimates()
    for _ in range(turns):
        estimates.observe(BASH, rng.expovariate(1 / 10))
        estimates.observe(TASK, rng.expovariate(1 / 60))
    return estimates


def test_several_tools_at_once_take_as_long_as_the_last() -> None:
    estimates, rng = learned(), random.Random(2)
    join = estimates.next_call([BASH, BASH, TASK])
    longest = sorted(
        max(rng.expovariate(1 / 10), rng.expovariate(1 / 10), rng.expovariate(1 / 60))
        for _ in range(20_000)
    )
    for q in (0.1, 0.5, 0.9):
        assert join.remaining_quantile(q, 0.0) == pytest.approx(longest[int(q * 20_000)], rel=0.12)
    mean = sum(min(value, 50.0) for value in longest) / 20_000
    assert join.expected_min(50.0) == pytest.approx(mean, rel=0.08)


def test_the_tools_of_a_join_that_have_returned_no_longer_count() -> None:
    estimates = learned()
    alone = estimates.next_call([BASH])
    assert alone is estimates.next_call_of(BASH)
    together = estimates.next_call([BASH, TASK])
    assert together.within(20.0, 10.0) < alone.within(20.0, 10.0)


def test_a_join_of_memoryless_tools_waits_as_long_from_any_time() -> None:
    join = learned().next_call([BASH, BASH])
    from_the_start = join.remaining_quantile(0.5, 0.0)
    assert from_the_start == pytest.approx(12.28, rel=0.08)  # 1 - (1 - e^(-t/10))^2 = 1/2
    assert join.remaining_quantile(0.5, 15.0) == pytest.approx(from_the_start, rel=0.15)
    assert join.hazard(15.0) < 0.1  # neither is more likely to end, and both have to


def test_tools_learn_from_a_join_when_a_call_would_have_followed_them_alone() -> None:
    estimates = NextCallEstimates()
    for _ in range(100):
        estimates.observe_join([(READ, 0.1), (BASH, 9.0)], 10.0)
    assert estimates.next_call_of(READ).quantile(0.5) == pytest.approx(1.1, rel=0.1)
    assert estimates.next_call_of(BASH).quantile(0.5) == pytest.approx(10.0, rel=0.1)


def test_once_all_tools_have_returned_only_the_client_is_waited_for() -> None:
    estimates = NextCallEstimates()
    for _ in range(100):
        estimates.observe_after_tools(0.5)
    assert estimates.next_call([]) is estimates.after_tools()
    assert estimates.after_tools().quantile(0.5) == pytest.approx(0.5, rel=0.1)


def test_what_people_take_is_not_mixed_with_what_tools_take() -> None:
    estimates = NextCallEstimates()
    for _ in range(100):
        estimates.observe(READ, 0.1)
        estimates.observe_no_tool("chat", 120.0)
    assert estimates.next_call_of(ToolUse("unknown")).quantile(0.9) < 1.0
    assert estimates.next_call_without_tool("chat").quantile(0.5) == pytest.approx(120.0, rel=0.1)


def test_arguments_tell_durations_apart() -> None:
    estimates = NextCallEstimates()
    for _ in range(50):
        estimates.observe(ToolUse("bash", "ls"), 0.05)
        estimates.observe(ToolUse("bash", "pytest"), 40.0)
    assert estimates.next_call_of(ToolUse("bash", "ls")).quantile(0.5) < 0.1
    assert estimates.next_call_of(ToolUse("bash", "pytest")).quantile(0.5) > 30.0


def test_a_join_answers_the_ends_of_what_can_be_asked() -> None:
    join = learned(turns=50).next_call([BASH, TASK])
    assert join.remaining_quantile(0.0, 5.0) == 0.0
    assert join.within(5.0, 0.0) == 0.0
    assert join.expected_min(0.0, 5.0) == 0.0
    assert 0.0 <= join.hazard(1e9) < 1e-6
