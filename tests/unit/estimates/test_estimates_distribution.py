"""The table that answers: against closed forms of known distributions."""

from __future__ import annotations

import math
import random

import pytest

from agentrt.estimates.distribution import Distribution
from agentrt.estimates.grid import RELATIVE_ERROR, SECONDS
from agentrt.estimates.log_logistic import LogLogistic
from agentrt.estimates.quantiles import Sketch

NOTHING_KNOWN = LogLogistic(median=1.0, shape=1.0).distribution(SECONDS)


def learned(values: list[float]) -> Distribution:
    sketch = Sketch(SECONDS)
    for value in values:
        sketch.observe(value)
    return sketch.distribution(NOTHING_KNOWN, 1e-3)


@pytest.fixture(scope="module")
def exponential() -> Distribution:
    rng = random.Random(1)
    return learned([rng.expovariate(1 / 10.0) for _ in range(100_000)])


def test_quantiles_are_those_of_the_values_within_the_relative_error() -> None:
    values = [float(value) for value in range(1, 10_001)]
    distribution = learned(values)
    for q in (0.01, 0.1, 0.5, 0.9, 0.99):
        assert distribution.quantile(q) == pytest.approx(q * 10_000, rel=2 * RELATIVE_ERROR)
        within = 2 * RELATIVE_ERROR
        assert distribution.cdf(q * 10_000 * (1 - within)) < q
        assert distribution.cdf(q * 10_000 * (1 + within)) > q
    assert distribution.mean == pytest.approx(5000.5, rel=RELATIVE_ERROR)


def test_a_memoryless_wait_is_the_same_whatever_has_elapsed(exponential: Distribution) -> None:
    for elapsed in (0.0, 3.0, 10.0, 30.0):
        assert exponential.hazard(elapsed) == pytest.approx(0.1, rel=0.1)
        assert exponential.remaining_quantile(0.5, elapsed) == pytest.approx(6.93, rel=0.08)
        assert exponential.within(elapsed, 10.0) == pytest.approx(1 - math.exp(-1), abs=0.02)
        assert exponential.expected_min(10.0, elapsed) == pytest.approx(6.32, rel=0.05)


def test_the_gittins_index_of_a_memoryless_service_is_its_rate(exponential: Distribution) -> None:
    for attained in (0.0, 5.0, 20.0):
        assert exponential.gittins(attained) == pytest.approx(0.1, rel=0.15)


def test_the_gittins_index_grows_towards_a_known_end_and_falls_past_it() -> None:
    two_kinds = learned([1.0] * 500 + [100.0] * 500)
    start, just_past_the_short, near_the_long = (two_kinds.gittins(a) for a in (0.0, 1.2, 90.0))
    assert start == pytest.approx(0.5 / 1.0, rel=0.2)  # half of them end within a second
    assert just_past_the_short == pytest.approx(1 / 99, rel=0.2)
    assert near_the_long > 5 * just_past_the_short


def test_the_gittins_index_counts_what_those_cost_that_do_not_end() -> None:
    near_the_short = learned([10.0] * 500 + [10_000.0] * 500).gittins(5.0)
    assert near_the_short == pytest.approx(0.5 / 5.0, rel=0.15)  # all of them take the 5 s


def test_of_two_kinds_of_waits_the_long_one_is_expected_once_the_short_one_is_past() -> None:
    distribution = learned([1.0] * 900 + [100.0] * 100)
    assert distribution.quantile(0.5) == pytest.approx(1.0, rel=0.1)
    assert distribution.remaining_quantile(0.5, 5.0) == pytest.approx(95.0, rel=0.1)
    assert distribution.within(5.0, 80.0) < 0.01


def test_past_all_that_was_seen_the_longer_it_lasted_the_longer_it_will() -> None:
    distribution = learned([1.0] * 1000)
    waits = [distribution.remaining_quantile(0.5, elapsed) for elapsed in (10.0, 100.0, 1e4, 1e8)]
    assert waits == [pytest.approx(elapsed, rel=0.15) for elapsed in (10.0, 100.0, 1e4, 1e8)]
    assert 0 < distribution.hazard(1e8) < distribution.hazard(100.0) < distribution.hazard(10.0)


def test_the_expected_wait_is_bounded_by_the_limit_and_by_the_mean() -> None:
    distribution = learned([2.0] * 100)
    assert distribution.expected_min(1.0) == pytest.approx(1.0, rel=1e-3)
    assert distribution.expected_min(50.0) == pytest.approx(2.0, rel=RELATIVE_ERROR)
    assert distribution.expected_min(0.0) == 0.0


@pytest.mark.parametrize("bad", [-5.0, math.nan, -math.inf])
def test_impossible_times_count_as_none_elapsed(bad: float) -> None:
    distribution = learned([2.0] * 100)
    assert distribution.survival(bad) == 1.0
    assert distribution.within(bad, 10.0) == distribution.within(0.0, 10.0)
    assert distribution.remaining_quantile(0.5, bad) == distribution.quantile(0.5)
    assert distribution.gittins(bad) == distribution.gittins(0.0)


def test_endless_times_are_answered() -> None:
    distribution = learned([2.0] * 100)
    assert 0.0 < distribution.survival(math.inf) < 1e-20
    assert distribution.within(1.0, math.inf) == pytest.approx(1.0)
    assert distribution.within(math.inf, math.inf) == 0.0
    assert distribution.quantile(1.0) == math.inf
    assert math.isfinite(distribution.expected_min(math.inf, 3.0))
