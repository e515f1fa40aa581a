"""What is known of tools after which programs end."""

from __future__ import annotations

import json

import pytest

from agentrt.errors import StoreError
from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.estimates.returns import ReturnEstimates

SUBMIT, BASH = ToolUse("submit"), ToolUse("bash", "git")


def seen(use: ToolUse, *, came: int = 0, stayed: int = 0, workflow: str = "w") -> ReturnEstimates:
    estimates = ReturnEstimates()
    for _ in range(came):
        estimates.observe(workflow, use, came=True)
    for _ in range(stayed):
        estimates.observe(workflow, use, came=False)
    return estimates


@pytest.mark.parametrize("prior", [1.0, 0.9, 0.0])
def test_of_what_was_never_seen_only_the_prior_is_known(prior: float) -> None:
    assert ReturnEstimates().comes_back("w", SUBMIT, prior) == prior


def test_what_always_came_back_does_so_for_certain_where_nothing_else_is_assumed() -> None:
    assert seen(BASH, came=7).comes_back("w", BASH) == 1.0


def test_few_ends_are_enough_where_it_never_came_back_and_one_is_none_where_it_does() -> None:
    assert seen(SUBMIT, stayed=3).comes_back("w", SUBMIT, 0.95) < 0.2
    assert seen(BASH, came=100, stayed=1).comes_back("w", BASH, 0.95) > 0.98


def test_other_arguments_and_other_workflows_tell_less() -> None:
    estimates = seen(ToolUse("bash", "echo"), stayed=5)
    for _ in range(200):
        estimates.observe("w", BASH, came=True)
        estimates.observe("other", BASH, came=True)
    echo = ToolUse("bash", "echo")
    chances = [
        estimates.comes_back("w", echo),
        estimates.comes_back("w", BASH),
        estimates.comes_back("other", echo),
    ]
    assert chances[0] < 0.4
    assert min(chances[1:]) > 0.97


def test_one_that_came_after_all_had_not_stayed_away() -> None:
    estimates = seen(SUBMIT, came=2, stayed=1)
    estimates.came_after_all("w", SUBMIT)
    assert estimates.to_json() == seen(SUBMIT, came=2).to_json()
    estimates.came_after_all("w", SUBMIT)
    estimates.came_after_all("w", BASH)
    assert estimates.to_json() == seen(SUBMIT, came=2).to_json()


def test_it_is_bounded_and_forgets() -> None:
    estimates = ReturnEstimates(capacity=10, memory=8)
    for number in range(1000):
        estimates.observe("w", ToolUse(f"tool {number}", "x"), came=False)
    assert len(estimates.to_json()) == 10
    for _ in range(1000):
        estimates.observe("w", SUBMIT, came=False)
    for _ in range(8):
        estimates.observe("w", SUBMIT, came=True)
    assert estimates.comes_back("w", SUBMIT) > 0.7


def test_what_is_stored_and_what_is_merged_is_the_same() -> None:
    estimates = Estimates()
    estimates.returns.observe("w", SUBMIT, came=False)
    estimates.observe_next_call("w", 1, [(BASH, 1.0)], 2.0)
    again = Estimates.from_json(json.loads(json.dumps(estimates.to_json())))
    merged = Estimates()
    merged.merge(again)
    assert again.returns.to_json() == merged.returns.to_json() == estimates.returns.to_json()
    assert len(again.returns.to_json()) == 5


def test_what_was_stored_before_it_knew_of_this_is_read() -> None:
    stored = Estimates().to_json()
    del stored["returns"]
    assert Estimates.from_json(stored).returns.to_json() == []


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        {},
        [1],
        [["a", 1.0]],
        [[[], 1.0, 1.0]],
        [[["a", "b", "c", "d"], 1.0, 1.0]],
        [[[1], 1.0, 1.0]],
        [[["a"], -1.0, 1.0]],
        [[["a"], 1.0, float("inf")]],
        [[["a"], 1.0, 1e300]],
    ],
)
def test_what_is_damaged_is_not_read(damaged: object) -> None:
    with pytest.raises(StoreError):
        ReturnEstimates().load(damaged)
