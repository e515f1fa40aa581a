"""What calls at once bring, from how long answers took beside others."""

from __future__ import annotations

import json
import math
import random

import pytest

from agentrt.errors import StoreError
from agentrt.estimates.batching import PRIOR, BatchEstimates, StepCost

GPU = StepCost(0.010, 0.0004, 0.0001)
CPU = StepCost(0.016, 0.004, 0.0010)


def learned(truth: StepCost, *, calls: int = 300, noise: float = 0.05) -> BatchEstimates:
    rng = random.Random(7)
    estimates = BatchEstimates()
    for _ in range(calls):
        steps, beside = rng.randrange(10, 400), rng.uniform(1.0, 12.0)
        computed = rng.choice((0, 0, rng.randrange(100, 3_000)))
        seconds = steps * (truth.step_s + beside * truth.sequence_s) + computed * truth.prefill_s
        estimates.observe_call(computed_tokens=300, prompt_tokens=2_000, completion_tokens=steps)
        estimates.observe_answer(
            steps=steps,
            seconds=seconds * math.exp(rng.gauss(0.0, noise)),
            calls=beside,
            computed_tokens=computed,
        )
    return estimates


@pytest.mark.parametrize("truth", [GPU, CPU], ids=["gpu", "cpu"])
def test_the_cost_of_a_step_is_learned_whatever_the_prior_was(truth: StepCost) -> None:
    assert learned(truth).cost == pytest.approx(truth, rel=0.15)


def test_nothing_is_known_before_anything_is_seen() -> None:
    estimates = BatchEstimates()
    assert estimates.cost == PRIOR
    assert estimates.worth_running(100, 1.0) == math.inf


def test_what_is_worth_running_follows_its_formula() -> None:
    estimates = learned(CPU, noise=0.0)
    answered = 200  # on average
    alone, shared = 0.3 + answered * CPU.sequence_s, answered * CPU.step_s
    for programs in (4, 16, 1_000):
        worth = math.sqrt(programs * shared / (2 * alone))
        assert estimates.worth_running(programs, 0.3) == pytest.approx(worth, rel=0.1)


def test_an_engine_that_batches_well_is_worth_many_calls_and_one_that_computes_few() -> None:
    many = learned(GPU).worth_running(64, prefill_s=0.03)
    few = learned(CPU).worth_running(64, prefill_s=2.0)
    assert many > 20
    assert 1.0 <= few < 8


def test_one_call_is_always_worth_running() -> None:
    assert learned(CPU).worth_running(0.001, prefill_s=100.0) == 1.0


def test_an_engine_that_has_become_slower_is_followed() -> None:
    estimates = learned(GPU)
    for index in range(3_000):
        estimates.observe_answer(
            steps=100,
            seconds=100 * (CPU.step_s + (1 + index % 8) * CPU.sequence_s),
            calls=1 + index % 8,
            computed_tokens=0.0,
        )
    assert estimates.cost[:2] == pytest.approx(CPU[:2], rel=0.1)


@pytest.mark.parametrize(
    "worst",
    [
        {"steps": 0, "seconds": 1.0, "calls": 1.0, "computed_tokens": 0.0},
        {"steps": -5, "seconds": 1.0, "calls": 1.0, "computed_tokens": 0.0},
        {"steps": 5, "seconds": 0.0, "calls": 1.0, "computed_tokens": 0.0},
        {"steps": 5, "seconds": -1.0, "calls": 1.0, "computed_tokens": 0.0},
        {"steps": 5, "seconds": math.nan, "calls": 1.0, "computed_tokens": 0.0},
        {"steps": 5, "seconds": math.inf, "calls": 1.0, "computed_tokens": 0.0},
        {"steps": 5, "seconds": 1.0, "calls": math.nan, "computed_tokens": 0.0},
    ],
)
def test_what_cannot_be_is_not_learned_from(worst: dict[str, float]) -> None:
    estimates = learned(GPU)
    before = estimates.cost
    for _ in range(10):
        estimates.observe_answer(**worst)  # type: ignore[arg-type]  # worst values
    assert estimates.cost == before


def test_huge_values_leave_finite_ones() -> None:
    estimates = BatchEstimates()
    estimates.observe_call(computed_tokens=10**30, prompt_tokens=10**30, completion_tokens=10**30)
    for _ in range(100):
        estimates.observe_answer(steps=10**30, seconds=1e-4, calls=1e300, computed_tokens=1e300)
    assert all(map(math.isfinite, estimates.cost))
    assert estimates.worth_running(1e9, 1e9) >= 1.0


def test_what_was_learned_is_stored_and_added() -> None:
    estimates = learned(CPU)
    stored = json.loads(json.dumps(estimates.to_json()))
    again = BatchEstimates.from_json(stored)
    assert again.to_json() == estimates.to_json()
    assert again.worth_running(9, 0.5) == pytest.approx(estimates.worth_running(9, 0.5))
    both = learned(CPU, calls=100)
    both.merge(estimates)
    assert both.observed == 400
    assert both.cost == pytest.approx(CPU, rel=0.15)


@pytest.mark.parametrize("broken", [None, [], {"prior": [1.0]}, {"prior": [1.0, 2.0, "x"]}])
def test_something_else_is_no_stored_form(broken: object) -> None:
    with pytest.raises(StoreError):
        BatchEstimates.from_json(broken)
