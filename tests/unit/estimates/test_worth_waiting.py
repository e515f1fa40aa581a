"""How long a wait is worth it, against trying all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.estimates.distribution import Distribution
from agentrt.estimates.grid import SECONDS
from agentrt.estimates.log_logistic import LogLogistic
from agentrt.estimates.quantiles import Sketch

NOTHING_KNOWN = LogLogistic(median=1.0, shape=1.0).distribution(SECONDS)


def learned(values: list[float], weight: float = 1e-3) -> Distribution:
    sketch = Sketch(SECONDS)
    for value in values:
        sketch.observe(value)
    return sketch.distribution(NOTHING_KNOWN, weight)


def value(distribution: Distribution, wait: float, price: float) -> float:
    return distribution.cdf(wait) - price * distribution.expected_min(wait)


@given(
    values=st.lists(st.floats(1e-3, 1e4), max_size=20),
    weight=st.sampled_from([1e-6, 0.1, 3.0]),
    step=st.integers(-60, 40),
)
def test_no_other_wait_is_worth_more(values: list[float], weight: float, step: int) -> None:
    distribution = learned(values, weight)
    price = 2.0 ** (step / 4)  # one that is not rounded
    wait = distribution.worth_waiting(price)
    best = max(value(distribution, other, price) for other in (0.0, *SECONDS.edges))
    assert value(distribution, wait, price) == pytest.approx(max(best, 0.0), abs=1e-6)


@pytest.mark.parametrize("comes", [0.999, 0.8, 0.5, 1 / 9, 1e-6, 0.0])
def test_no_other_wait_is_worth_more_where_an_end_may_never_come(comes: float) -> None:
    distribution = learned([0.2, 1.0, 1.0, 3.0, 50.0], 0.1)
    against = 2.0 ** round(math.log2(min((1 - comes) / max(comes, 1e-12), 1e9)))  # as it is rounded
    for price in (0.5, 2.0**-6, 2.0**-12):
        wait = distribution.worth_waiting(price, comes=comes)
        worth = [
            value(distribution, other, price) - price * against * other
            for other in (wait, 0.0, *SECONDS.edges)
        ]
        assert worth[0] == pytest.approx(max(worth), abs=1e-6)


def test_who_may_never_come_is_waited_for_less_long() -> None:
    distribution = learned([1.0, 2.0, 4.0, 8.0] * 10)
    waits = [distribution.worth_waiting(0.02, comes=comes) for comes in (1.0, 0.9, 0.5, 0.1, 0.001)]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] > waits[3] > waits[4] == 0.0


@given(price=st.floats(1e-8, 1e8))
def test_prices_are_rounded_by_a_tenth_at_most(price: float) -> None:
    distribution = learned([0.5, 2.0, 30.0], 1.0)
    tenth = 2 ** (1 / 8)
    waits = [distribution.worth_waiting(p) for p in (price * tenth, price, price / tenth)]
    assert waits == sorted(waits)


def test_a_sure_end_is_waited_for_as_long_as_it_costs_less_than_it_is_worth() -> None:
    in_ten_seconds = learned([10.0] * 100)
    assert 10.0 < in_ten_seconds.worth_waiting(0.05) < 20.0  # past it hardly anything is paid
    assert in_ten_seconds.worth_waiting(0.2) < 1.0


def test_of_two_kinds_only_the_short_are_waited_for_where_it_is_dear() -> None:
    two_kinds = learned([1.0] * 50 + [100.0] * 50)
    assert two_kinds.worth_waiting(0.1) == pytest.approx(1.0, rel=0.1)
    assert 100.0 < two_kinds.worth_waiting(0.002) < 1_000.0


@pytest.mark.parametrize("price", [0.0, -1.0, -math.inf, math.nan])
def test_what_costs_nothing_is_worth_any_wait(price: float) -> None:
    assert NOTHING_KNOWN.worth_waiting(price) == math.inf


def test_what_costs_everything_is_worth_none_and_nearly_nothing_a_finite_wait() -> None:
    assert learned([5.0] * 10).worth_waiting(math.inf) == 0.0
    assert 1e3 < NOTHING_KNOWN.worth_waiting(5e-324) < math.inf
