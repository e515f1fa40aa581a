"""What holds of estimates whatever was observed, asked or stored."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from agentrt.errors import StoreError
from agentrt.estimates.book import Estimates
from agentrt.estimates.distribution import Distribution
from agentrt.estimates.durations import NextCallEstimates, ToolUse
from agentrt.estimates.grid import RATIO, SECONDS
from agentrt.estimates.ladder import Ladder
from agentrt.estimates.log_logistic import LogLogistic
from agentrt.estimates.quantiles import Sketch
from agentrt.estimates.turns import TurnEstimates

PRIOR = LogLogistic(median=1.0, shape=1.0)
times = st.floats(0.0, 1e7) | st.sampled_from([0.0, 1e-3, 1.0, 3.0, SECONDS.largest])
parts = st.floats(0.0, 0.999)
names = st.sampled_from(["", "a", "b", "c"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def distributions(draw: st.DrawFn) -> Distribution:
    ladder = Ladder(SECONDS, PRIOR, shrinkage=draw(st.floats(0.1, 10.0)))
    for value in draw(st.lists(times, max_size=40)):
        ladder.observe(("tool",), value)
    return ladder.distribution(("tool",))


@given(distributions(), times, times)
def test_the_survival_curve_falls_and_never_reaches_nought(
    distribution: Distribution, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert 0.0 < distribution.survival(high) <= distribution.survival(low) + 1e-12 <= 1.0 + 1e-12


@given(distributions(), parts, times)
def test_a_quantile_is_where_the_probability_is(
    distribution: Distribution, q: float, elapsed: float
) -> None:
    further = distribution.remaining_quantile(q, elapsed)
    # Where there is next to no mass, the place is not determined: what counts is the probability.
    assert distribution.within(elapsed, further * (1 + 1e-6) + 1e-9 * elapsed) >= q - 1e-3
    assert distribution.within(elapsed, further * (1 - 1e-6) - 1e-9 * elapsed) <= q + 1e-3


@given(distributions(), times, times, times)
def test_who_waits_longer_waits_longer_on_average(
    distribution: Distribution, one: float, other: float, elapsed: float
) -> None:
    low, high = sorted((one, other))
    short, long = (distribution.expected_min(limit, elapsed) for limit in (low, high))
    assert 0.0 <= short <= long * (1 + 1e-6) + 1e-9
    assert long <= high


@given(distributions(), times)
def test_rates_are_positive_and_finite(distribution: Distribution, elapsed: float) -> None:
    assert 0.0 <= distribution.hazard(elapsed) < math.inf
    assert 0.0 < distribution.gittins(elapsed) < math.inf


@given(st.lists(times, max_size=30), st.lists(times, max_size=30))
def test_merged_sketches_do_not_depend_on_the_order(one: list[float], other: list[float]) -> None:
    def of(values: list[float]) -> Sketch:
        sketch = Sketch(SECONDS, half_life=10.0)
        for value in values:
            sketch.observe(value)
        return sketch

    left, right = of(one), of(other)
    left.merge(of(other))
    right.merge(of(one))
    assert all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
        for a, b in zip(left.counts(), right.counts(), strict=True)
    )


@given(st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=50))
def test_a_sketch_knows_its_values_to_the_bucket(values: list[float]) -> None:
    sketch = Sketch(SECONDS)
    for value in values:
        sketch.observe(value)
    median = sketch.distribution(PRIOR.distribution(SECONDS), 1e-9).quantile(0.5)
    lower, upper = (sorted(values)[i] for i in ((len(values) - 1) // 2, len(values) // 2))
    assert lower / RATIO <= median * (1 + 1e-6)
    assert median <= upper * RATIO * (1 + 1e-6)


@given(st.lists(times, max_size=10), st.integers(2, 5), times, parts)
def test_a_join_is_no_shorter_than_its_parts(
    observed: list[float], width: int, elapsed: float, q: float
) -> None:
    estimates = NextCallEstimates()
    for value in observed:
        estimates.observe(ToolUse("a"), value)
    alone, together = (estimates.next_call([ToolUse("a")] * k) for k in (1, width))
    assert together.within(elapsed, 1.0) <= alone.within(elapsed, 1.0)
    slack = 1e-6 * elapsed + 1e-9
    assert together.remaining_quantile(q, elapsed) >= alone.remaining_quantile(q, elapsed) - slack
    assert 0.0 <= together.hazard(elapsed) < math.inf


@given(
    st.lists(st.tuples(names, st.integers(-2, 10_000), st.booleans()), max_size=40),
    st.integers(-2, 10_000),
    parts,
)
def test_turns_left_are_consistent(
    observed: list[tuple[str, int, bool]], turn: int, q: float
) -> None:
    turns = TurnEstimates()
    for workflow, made, is_last in observed:
        turns.observe(workflow, made, is_last=is_last)
    assert 0.0 < turns.goes_on("a", turn) < 1.0
    assert 0.0 <= turns.left("a", turn) < math.inf
    assert 0.0 < turns.gittins("a", turn) <= 1.0
    more = turns.left_quantile("a", turn, q)
    assert turns.left_within("a", turn, more) >= q - 1e-6


events = st.tuples(names, st.integers(1, 50), st.lists(st.tuples(names, times), max_size=3), times)


def book_of(observed: list[tuple[str, int, list[tuple[str, float]], float]]) -> Estimates:
    book = Estimates()
    for name, turn, tools, seconds in observed:
        uses = [(ToolUse(tool, tool), own) for tool, own in tools]
        book.observe_completion(name, turn, turn)
        book.observe_tool_started(name, name, name)
        book.observe_next_call(name, turn, uses, seconds)
        book.observe_prefill(name, uncached_tokens=turn, prompt_tokens=turn, seconds=seconds)
        book.observe_program_finished(name, turn, last_tool=name, service=seconds)
    return book


@given(st.lists(events, max_size=12))
def test_stored_estimates_are_read_back_as_they_were(
    observed: list[tuple[str, int, list[tuple[str, float]], float]],
) -> None:
    stored = json.loads(json.dumps(book_of(observed).to_json(), allow_nan=False))
    again = json.loads(json.dumps(Estimates.from_json(stored).to_json(), allow_nan=False))
    assert again == stored


@given(st.lists(events, max_size=3), st.data())
def test_damaged_estimates_are_refused_or_answer(
    observed: list[tuple[str, int, list[tuple[str, float]], float]], data: st.DataObject
) -> None:
    stored = book_of(observed).to_json()
    place, key = stored, data.draw(st.sampled_from(sorted(stored)))
    while data.draw(st.booleans()) and isinstance(place[key], dict | list) and place[key]:
        place = place[key]
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(keys))
    place[key] = data.draw(json_values)
    try:
        book = Estimates.from_json(stored)
    except StoreError:
        return
    assert book.next_call.next_call_of(ToolUse("a", "a")).quantile(0.9) >= 0.0
    assert book.turns.left("a", 3) >= 0.0
    assert book.service.gittins("a", 100.0) > 0.0
    assert book.prefill("a").rebuild_s(1_000) >= 0.0
    assert book.next_tool.probability("a", "a", "b") >= 0.0


@given(json_values)
def test_what_is_no_stored_estimates_is_refused(value: object) -> None:
    try:
        Estimates.from_json(value)
    except StoreError:
        return
    raise AssertionError("accepted")
