"""The agent execution graph."""

from __future__ import annotations

import json

import pytest

from agentrt.errors import StoreError
from agentrt.estimates.next_tool import END, START, NextToolEstimates


def walk(estimates: NextToolEstimates, workflow: str, *tools: str, times: int = 1) -> None:
    for _ in range(times):
        for last, following in zip((START, *tools), (*tools, END), strict=True):
            estimates.observe(workflow, last, following)


def test_what_followed_is_expected_to_follow() -> None:
    estimates = NextToolEstimates()
    walk(estimates, "fix", "read", "edit", "test", times=30)
    walk(estimates, "fix", "read", "test", times=10)
    assert estimates.likeliest("fix", START) == ("read", 1.0)
    assert dict(estimates.probabilities("fix", "read")) == pytest.approx(
        {"edit": 0.75, "test": 0.25}
    )
    assert estimates.likeliest("fix", "test") == (END, 1.0)


def test_a_workflow_with_little_history_leans_on_the_others() -> None:
    estimates = NextToolEstimates()
    walk(estimates, "old", "read", "edit", times=100)
    assert estimates.likeliest("new", "read") == ("edit", 1.0)
    estimates.observe("new", "read", "test")
    few = estimates.probability("new", "read", "test")
    for _ in range(30):
        estimates.observe("new", "read", "test")
    assert few < 0.3
    assert estimates.probability("new", "read", "test") > 0.8


def test_probabilities_add_up_and_agree_with_the_single_query() -> None:
    estimates = NextToolEstimates()
    for index in range(20):
        walk(estimates, f"w{index % 3}", "a", "bcd"[index % 3], "a")
    for workflow in ("w0", "w1", "w2", "unknown", ""):
        after_a = estimates.probabilities(workflow, "a")
        assert sum(after_a.values()) == pytest.approx(1.0)
        assert list(after_a.values()) == sorted(after_a.values(), reverse=True)
        assert after_a == {name: estimates.probability(workflow, "a", name) for name in after_a}


def test_of_what_was_never_seen_nothing_is_stated() -> None:
    estimates = NextToolEstimates()
    assert dict(estimates.probabilities("w", "a")) == {}
    assert estimates.likeliest("w", "a") is None
    assert estimates.probability("w", "a", "b") == 0.0


def test_change_is_followed() -> None:
    estimates = NextToolEstimates(memory=100)
    for following in ["old"] * 10_000 + ["new"] * 300:
        estimates.observe("w", "a", following)
    assert estimates.probability("w", "a", "new") > 0.85


def test_memory_is_bounded_whatever_names_come() -> None:
    estimates = NextToolEstimates(rows=20, width=8)
    for index in range(2_000):
        estimates.observe(f"w{index}", f"tool {index}", f"tool {index + 1}")
        estimates.observe("hub", "a", f"tool {index}")
    rows = estimates.to_json()
    assert len(rows) == 20
    assert max(len(row[3]) for row in rows) == 8


def test_a_common_successor_survives_a_stream_of_rare_ones() -> None:
    estimates = NextToolEstimates(width=4)
    for index in range(1_000):
        estimates.observe("w", "a", "common" if index % 2 else f"rare {index}")
    assert next(iter(estimates.probabilities("w", "a"))) == "common"
    assert estimates.probability("w", "a", "common") == pytest.approx(0.5, abs=0.05)


def test_a_newcomer_has_a_chance_in_a_full_row() -> None:
    estimates = NextToolEstimates(width=2)
    for following in ["a"] * 10 + ["b"] * 5 + ["c"] * 20:
        estimates.observe("w", "x", following)
    assert [*estimates.probabilities("w", "x")] == ["c", "a"]


def test_stored_and_merged_histories_expect_the_same() -> None:
    one, other, whole = NextToolEstimates(), NextToolEstimates(), NextToolEstimates()
    for estimates in (one, whole):
        walk(estimates, "w", "a", "b", times=3)
    for estimates in (other, whole):
        walk(estimates, "w", "a", "c", times=2)
        walk(estimates, "v", "a", times=2)
    again = NextToolEstimates()
    again.load(json.loads(json.dumps(one.to_json())))
    again.merge(other)
    for workflow in ("w", "v", "unknown"):
        assert again.probabilities(workflow, "a") == whole.probabilities(workflow, "a")


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        [["w", "a", 1.0]],
        [["w", "a", 0.0, []]],
        [["w", "a", 1.0, [["b", 5.0]]]],
        [["w", "a", 1.0, [["b"]]]],
        [[1, "a", 1.0, []]],
    ],
)
def test_a_damaged_history_is_refused(damaged: object) -> None:
    with pytest.raises(StoreError):
        NextToolEstimates().load(damaged)
