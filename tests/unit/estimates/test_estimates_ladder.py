"""From the particular to the general."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.estimates.grid import SECONDS
from agentrt.estimates.ladder import Ladder, Path
from agentrt.estimates.log_logistic import LogLogistic

PRIOR = LogLogistic(median=1.0, shape=1.0)


def ladder(capacity: int = 512) -> Ladder:
    return Ladder(SECONDS, PRIOR, capacity=capacity)


def test_what_is_not_known_at_all_is_the_prior() -> None:
    assert ladder().distribution(("bash", "pytest")).quantile(0.5) == pytest.approx(1.0, rel=0.1)


def test_a_path_never_seen_is_expected_to_be_as_what_it_begins_with() -> None:
    steps = ladder()
    for _ in range(200):
        steps.observe(("bash", "ls"), 0.1)
        steps.observe(("search",), 20.0)
    of_bash = steps.distribution(("bash",))
    assert steps.distribution(("bash", "make")) is of_bash
    assert of_bash.quantile(0.5) == pytest.approx(0.1, rel=0.1)
    assert steps.distribution(("fetch",)) is steps.distribution()


def test_a_level_counts_the_more_the_more_it_has_seen() -> None:
    steps = ladder()
    for _ in range(100):
        steps.observe(("bash", "ls"), 0.1)
    below_a_second = [steps.distribution(("bash", "pytest")).cdf(1.0)]
    for _ in range(10):
        steps.observe(("bash", "pytest"), 60.0)
        below_a_second.append(steps.distribution(("bash", "pytest")).cdf(1.0))
    assert below_a_second == sorted(below_a_second, reverse=True)
    assert below_a_second[0] > 0.95
    assert below_a_second[-1] < 0.3


def test_past_all_a_tool_has_seen_the_other_tools_speak() -> None:
    steps = ladder()
    for _ in range(300):
        steps.observe(("read",), 0.02)
        steps.observe(("task",), 100.0)
    assert steps.distribution(("read",)).remaining_quantile(0.5, 30.0) == pytest.approx(70, rel=0.2)


def test_however_many_names_come_so_many_are_kept_and_all_are_counted() -> None:
    steps = ladder(capacity=50)
    for index in range(5_000):
        steps.observe((f"tool {index}", "class"), 3.0)
    assert len(steps) == 50
    assert steps.distribution().quantile(0.5) == pytest.approx(3.0, rel=0.1)
    assert steps.count(()) == pytest.approx(2000 / 0.6931, rel=0.2)


def test_the_path_that_was_not_updated_for_longest_goes_and_never_before_what_extends_it() -> None:
    steps = ladder(capacity=3)
    steps.observe(("a", "1"), 1.0)
    steps.observe(("b",), 1.0)
    steps.observe(("a", "2"), 1.0)
    kept = [path for path in (("a",), ("b",), ("a", "1"), ("a", "2")) if steps.count(path)]
    assert kept == [("a",), ("b",), ("a", "2")]


def test_a_path_is_kept_longer_than_what_extends_it() -> None:
    steps = ladder(capacity=1)
    steps.observe(("a", "1"), 1.0)
    assert [bool(steps.count(path)) for path in (("a",), ("a", "1"))] == [True, False]


def test_the_prior_is_drawn_to_what_is_seen() -> None:
    rng = random.Random(1)
    steps = ladder()
    steps.observe((), 0.01)
    assert steps.distribution().remaining_quantile(0.5, 1e4) > 5e3
    for _ in range(2_000):
        steps.observe((), rng.lognormvariate(4.6, 0.3))
    # Narrow as they are, a wait of a hundred times theirs is now less likely to go on as long.
    assert steps.distribution().remaining_quantile(0.5, 1e4) == pytest.approx(2_600, rel=0.1)


def test_the_median_and_the_shape_of_what_is_seen_are_found() -> None:
    rng = random.Random(2)
    counts = [0.0] * 256
    for _ in range(20_000):
        part = rng.random()
        counts[SECONDS.bucket(100.0 * (part / (1.0 - part)) ** 0.5)] += 1.0
    fitted = PRIOR.fitted(SECONDS, counts, 8.0)
    assert fitted.median == pytest.approx(100.0, rel=0.05)
    assert fitted.shape == pytest.approx(2.0, rel=0.05)
    nothing = PRIOR.fitted(SECONDS, [0.0] * 256, 8.0)
    assert (nothing.median, nothing.shape) == pytest.approx((PRIOR.median, PRIOR.shape))


def test_merging_in_either_order_expects_the_same() -> None:
    def half(seed: int) -> Ladder:
        rng = random.Random(seed)
        steps = Ladder(SECONDS, PRIOR, half_life=1e9)
        for _ in range(300):
            steps.observe((rng.choice("abc"), rng.choice("xy")), rng.lognormvariate(0, 1))
        return steps

    one, other = half(1), half(2)
    one.merge(half(2))
    other.merge(half(1))
    for path in ((), ("a",), ("b", "x"), ("c", "y")):
        assert one.count(path) == pytest.approx(other.count(path))
        assert one.distribution(path).masses() == pytest.approx(other.distribution(path).masses())


def test_a_stored_ladder_expects_the_same() -> None:
    steps = ladder()
    for index in range(100):
        steps.observe(("bash", "ls" if index % 2 else "make"), 0.1 * index)
    again = ladder()
    again.load(json.loads(json.dumps(steps.to_json())))
    for path in ((), ("bash",), ("bash", "make")):
        assert again.distribution(path).masses() == pytest.approx(steps.distribution(path).masses())


def test_a_ladder_without_shrinkage_is_refused() -> None:
    with pytest.raises(ValueError, match="no shrinkage"):
        Ladder(SECONDS, PRIOR, shrinkage=0.0)


@given(st.lists(st.tuples(st.sampled_from([(), ("a",), ("a", "b")]), st.floats(0.01, 100.0))))
def test_who_glances_changes_no_later_answer(seen: list[tuple[Path, float]]) -> None:
    watched, alone = ladder(), ladder()
    for number, (path, value) in enumerate(seen):
        watched.glance(path)
        for each in (watched, alone):
            each.observe(path, value)
        if number % 3 == 0:
            assert watched.distribution(path).quantile(0.5) == alone.distribution(path).quantile(
                0.5
            )
    assert watched.to_json() == alone.to_json()
