"""Counting, forgetting, merging and storing."""

from __future__ import annotations

import json
import math
import random

import pytest

from agentrt.errors import StoreError
from agentrt.estimates.grid import BUCKETS, COUNTS, SECONDS
from agentrt.estimates.log_logistic import LogLogistic
from agentrt.estimates.quantiles import Sketch

PRIOR = LogLogistic(median=1.0, shape=1.0).distribution(SECONDS)


def sketch_of(values: list[float], half_life: float = math.inf) -> Sketch:
    sketch = Sketch(SECONDS, half_life=half_life)
    for value in values:
        sketch.observe(value)
    return sketch


def test_every_value_lands_in_the_bucket_whose_edges_hold_it() -> None:
    for value in (0.0, 1e-9, 1e-3, 0.37, 1.0, 59.9, 3600.0, SECONDS.largest):
        index = SECONDS.bucket(value)
        assert SECONDS.edges[index] <= value * (1 + 1e-9)
        assert value <= SECONDS.edges[index + 1] * (1 + 1e-9)


@pytest.mark.parametrize(
    ("value", "bucket"), [(-1.0, 0), (math.nan, 0), (-math.inf, 0), (math.inf, BUCKETS - 1)]
)
def test_impossible_values_are_counted_at_the_ends(value: float, bucket: int) -> None:
    counts = sketch_of([value]).counts()
    assert [index for index, count in enumerate(counts) if count] == [bucket]


def test_an_observation_weighs_half_after_its_half_life() -> None:
    sketch = sketch_of([1.0] + [5.0] * 100, half_life=100.0)
    assert sketch.counts()[SECONDS.bucket(1.0)] == pytest.approx(0.5)


def test_the_weight_of_all_is_bounded_and_follows_the_newest_for_ever() -> None:
    sketch = sketch_of([1.0] * 20_000 + [100.0] * 2_000, half_life=100.0)
    assert sketch.count == pytest.approx(100 / math.log(2), rel=0.01)
    assert sketch.distribution(PRIOR, 1e-6).quantile(0.01) == pytest.approx(100.0, rel=0.1)
    assert sketch.observed == 22_000


def test_merging_is_as_having_seen_both() -> None:
    rng = random.Random(3)
    left, right = ([rng.lognormvariate(1, 2) for _ in range(500)] for _ in range(2))
    merged, other = sketch_of(left), sketch_of(right)
    merged.merge(other)
    whole = sketch_of(left + right)
    assert merged.counts() == whole.counts()
    assert merged.observed == whole.observed
    assert merged.distribution(PRIOR, 1.0).mean == pytest.approx(
        whole.distribution(PRIOR, 1.0).mean
    )


def test_merging_weighs_both_as_if_they_had_ended_together() -> None:
    short, long = sketch_of([1.0] * 10, half_life=5.0), sketch_of([9.0] * 500, half_life=5.0)
    counts = (short.count, long.count)
    short.merge(long)
    assert short.counts()[SECONDS.bucket(1.0)] == pytest.approx(counts[0])
    assert short.counts()[SECONDS.bucket(9.0)] == pytest.approx(counts[1])


def test_sketches_on_different_grids_are_not_merged() -> None:
    with pytest.raises(ValueError, match="different grids"):
        Sketch(SECONDS).merge(Sketch(COUNTS))


def test_a_stored_sketch_answers_as_before_and_goes_on_forgetting() -> None:
    sketch = sketch_of([1.0, 2.0, 3.0] * 100, half_life=50.0)
    again = Sketch.from_json(json.loads(json.dumps(sketch.to_json())), SECONDS, half_life=50.0)
    for both in (sketch, again):
        both.observe(7.0)
    assert again.counts() == pytest.approx(sketch.counts())
    assert again.to_json()["observed"] == sketch.to_json()["observed"]


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        [],
        {"observed": 1},
        {"observed": "1", "buckets": []},
        {"observed": 1, "buckets": [[1]]},
        {"observed": 1, "buckets": [[1, 2.0, 3.0]]},
        {"observed": 1, "buckets": [[BUCKETS, 1.0]]},
        {"observed": 1, "buckets": [[-1, 1.0]]},
        {"observed": 1, "buckets": [[True, 1.0]]},
        {"observed": 1, "buckets": [[1, math.nan]]},
        {"observed": 1, "buckets": [[1, -1.0]]},
        {"observed": 1, "buckets": [[1, 1.0], [1, 1.0]]},
        {"observed": 1, "buckets": [[1, 1e300]]},
    ],
)
def test_a_damaged_sketch_is_refused(damaged: object) -> None:
    with pytest.raises(StoreError, match="discard them"):
        Sketch.from_json(damaged, SECONDS)
