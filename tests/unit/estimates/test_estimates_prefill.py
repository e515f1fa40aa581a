"""What a prefill costs, from times that contain noise and waiting."""

from __future__ import annotations

import json
import math
import random

import pytest

from agentrt.errors import StoreError
from agentrt.estimates.prefill import PRIOR, PrefillCost, PrefillEstimates

FAST = PrefillCost(0.03, 1 / 8_000, 2e-9)
SLOW_CPU = PrefillCost(0.1, 1 / 90, 1e-7)


def learned(
    truth: PrefillCost,
    *,
    calls: int = 300,
    waiting: float = 0.0,
    noise: float = 0.05,
    seed: int = 1,
) -> PrefillEstimates:
    """Calls of an agent: prompts to 60k tokens, mostly cached; a part `waiting` of them queued."""
    rng = random.Random(seed)
    estimates = PrefillEstimates()
    for _ in range(calls):
        prompt = rng.randrange(500, 60_000)
        uncached = prompt if rng.random() < 0.2 else min(prompt, rng.randrange(100, 4_000))
        seconds = truth.seconds(uncached, prompt) * math.exp(rng.gauss(0, noise))
        if rng.random() < waiting:
            seconds += rng.expovariate(1 / 5.0)
        estimates.observe(uncached_tokens=uncached, prompt_tokens=prompt, seconds=seconds)
    return estimates


def errors(estimates: PrefillEstimates, truth: PrefillCost) -> list[float]:
    cases = [(500, 500), (500, 40_000), (4_000, 10_000), (20_000, 20_000), (60_000, 60_000)]
    return [estimates.seconds(u, p) / truth.seconds(u, p) - 1.0 for u, p in cases]


def test_before_anything_is_seen_the_prior_holds() -> None:
    assert PrefillEstimates().cost == PRIOR
    assert PrefillEstimates().rebuild_s(5_000) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("truth", [FAST, SLOW_CPU], ids=["gpu", "cpu"])
def test_the_cost_is_learned_whatever_the_prior_was(truth: PrefillCost) -> None:
    assert max(map(abs, errors(learned(truth), truth))) < 0.1


@pytest.mark.parametrize(("waiting", "most"), [(0.2, 0.03), (0.4, 0.06), (0.6, 0.1)])
def test_waiting_that_nobody_told_of_hardly_shows(waiting: float, most: float) -> None:
    assert max(map(abs, errors(learned(FAST, waiting=waiting, calls=600), FAST))) < most


def test_waiting_that_is_known_is_taken_off() -> None:
    estimates = PrefillEstimates()
    for index in range(200):
        tokens = 100 * (index % 50 + 1)
        seconds = FAST.seconds(tokens, tokens)
        estimates.observe(
            uncached_tokens=tokens, prompt_tokens=tokens, seconds=seconds + 7.0, waited_s=7.0
        )
    assert max(map(abs, errors(estimates, FAST)[:1])) < 0.05


def test_a_replica_that_has_become_slower_is_followed() -> None:
    estimates = learned(FAST)
    slower = PrefillCost(0.06, 1 / 4_000, 4e-9)
    rng = random.Random(5)
    for _ in range(3_000):
        prompt = rng.randrange(500, 60_000)
        estimates.observe(
            uncached_tokens=prompt, prompt_tokens=prompt, seconds=slower.seconds(prompt, prompt)
        )
    assert max(map(abs, errors(estimates, slower)[2:])) < 0.2


def test_rebuilding_a_prefix_costs_what_it_adds_to_the_whole() -> None:
    estimates = PrefillEstimates(FAST)
    added = estimates.seconds(10_000, 10_000) - estimates.seconds(2_000, 10_000)
    assert estimates.rebuild_s(8_000, 10_000) == pytest.approx(added)
    assert estimates.rebuild_s(0) == pytest.approx(0.0)


def test_no_term_is_ever_negative() -> None:
    rng = random.Random(7)
    estimates = PrefillEstimates()
    for _ in range(500):
        tokens = rng.randrange(0, 10**6)
        estimates.observe(
            uncached_tokens=tokens, prompt_tokens=tokens, seconds=rng.expovariate(1.0)
        )
        assert min(estimates.cost) >= 0.0


def test_impossible_observations_are_passed_over() -> None:
    estimates = PrefillEstimates()
    for seconds in (-1.0, 0.0, math.nan, math.inf):
        estimates.observe(uncached_tokens=10, prompt_tokens=10, seconds=seconds)
    estimates.observe(uncached_tokens=-1, prompt_tokens=10, seconds=1.0)
    assert (estimates.observed, estimates.cost) == (0, PRIOR)


def test_what_is_beyond_reason_is_cut_to_what_can_be_stored() -> None:
    estimates = PrefillEstimates()
    for seconds, tokens in ((1e-300, 10**30), (1e300, 1), (1e-300, 0)):
        estimates.observe(uncached_tokens=tokens, prompt_tokens=tokens, seconds=seconds)
    assert PrefillEstimates.from_json(estimates.to_json()).cost == pytest.approx(estimates.cost)


def test_replicas_of_one_kind_learn_together() -> None:
    one, other = learned(FAST, calls=40, seed=1), learned(FAST, calls=40, seed=2)
    one.merge(other)
    assert one.observed == 80
    assert max(map(abs, errors(one, FAST))) < 0.15


def test_nothing_and_something_learned_together_are_what_the_one_had_learned() -> None:
    known, rng = PrefillEstimates(), random.Random(1)
    for _ in range(40):
        tokens = rng.randint(10, 2000)
        known.observe(uncached_tokens=tokens, prompt_tokens=2500, seconds=5.0 + rng.random())
    stored = known.to_json()
    assert stored["low"] > 0.0
    nothing = PrefillEstimates()
    nothing.merge(known)
    assert nothing.to_json() == stored
    known.merge(PrefillEstimates())
    assert known.to_json() == stored


def test_a_stored_cost_is_the_same_and_goes_on_learning() -> None:
    estimates = learned(FAST)
    again = PrefillEstimates.from_json(json.loads(json.dumps(estimates.to_json())))
    for both in (estimates, again):
        for _ in range(8):
            both.observe(uncached_tokens=900, prompt_tokens=900, seconds=0.2)
    assert again.cost == pytest.approx(estimates.cost)


@pytest.mark.parametrize(
    "changed", [{"products": [1.0]}, {"answers": ["x"] * 3}, {"low": math.inf}, {"prior": None}]
)
def test_a_damaged_cost_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(StoreError):
        PrefillEstimates.from_json({**learned(FAST, calls=3).to_json(), **changed})
