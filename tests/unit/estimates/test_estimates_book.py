"""All estimates together, as a scheduler feeds them."""

from __future__ import annotations

import json
import random

import pytest

from agentrt.errors import StoreError
from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.estimates.grid import COUNTS
from agentrt.estimates.next_tool import END, START
from agentrt.estimates.outputs import OutputEstimates

BASH = ToolUse("bash", "pytest")


def run_programs(estimates: Estimates, workflow: str, count: int, seed: int = 1) -> Estimates:
    """`count` programs of five turns, each but the last with one call of bash of about 4 s."""
    rng = random.Random(seed)
    for _ in range(count):
        last = ""
        for turn in range(1, 6):
            estimates.observe_prefill(
                "r0", uncached_tokens=1_000, prompt_tokens=2_000 * turn, seconds=0.4
            )
            estimates.observe_completion(workflow, turn, 100 * turn)
            if turn < 5:
                estimates.observe_tool_started(workflow, last, "bash")
                last, tool_s = "bash", rng.uniform(3.0, 5.0)
                estimates.observe_next_call(workflow, turn, [(BASH, tool_s)], tool_s + 0.2)
        estimates.observe_program_finished(workflow, 5, last_tool=last, service=12_000)
    return estimates


def answers(estimates: Estimates) -> list[float]:
    return [
        estimates.next_call.next_call_of(BASH).quantile(0.5),
        estimates.next_call.after_tools().quantile(0.5),
        estimates.turns.left("fix", 1),
        estimates.service.gittins("fix", 3_000),
        estimates.outputs.completion_tokens("fix", 4).quantile(0.9),
        estimates.next_tool.probability("fix", "bash", END),
        estimates.prefill("r0").seconds(1_000, 6_000),
    ]


def test_what_programs_do_is_expected_of_programs() -> None:
    estimates = run_programs(Estimates(), "fix", 200)
    assert answers(estimates) == [
        pytest.approx(4.2, rel=0.1),
        pytest.approx(0.2, rel=0.1),
        pytest.approx(4.0, rel=0.1),
        pytest.approx(1 / 9_000, rel=0.2),
        pytest.approx(500, rel=0.1),
        pytest.approx(0.25, rel=0.1),
        pytest.approx(0.4, rel=0.1),
    ]
    assert estimates.next_tool.likeliest("fix", START) == ("bash", 1.0)


def test_a_replica_not_seen_costs_what_the_prior_says() -> None:
    estimates = run_programs(Estimates(), "fix", 3)
    assert estimates.prefill("new").observed == 0


def test_a_person_between_turns_is_no_tool() -> None:
    estimates = Estimates()
    for _ in range(50):
        estimates.observe_next_call("chat", 1, [], 90.0)
    assert estimates.next_call.next_call_without_tool("chat").quantile(0.5) == pytest.approx(
        90.0, rel=0.1
    )
    assert estimates.next_call.next_call_of(ToolUse("any")).quantile(0.5) < 2.0


def test_a_join_is_learned_from_each_of_its_tools() -> None:
    estimates = Estimates()
    read = ToolUse("read")
    for _ in range(50):
        estimates.observe_next_call("fix", 1, [(BASH, 4.0), (read, 0.5)], 4.5)
    assert estimates.next_call.next_call_of(read).quantile(0.5) == pytest.approx(1.0, rel=0.1)
    assert estimates.next_call.next_call_of(BASH).quantile(0.5) == pytest.approx(4.5, rel=0.1)


def test_stored_estimates_answer_the_same() -> None:
    estimates = run_programs(Estimates(), "fix", 50)
    again = Estimates.from_json(json.loads(json.dumps(estimates.to_json())))
    assert answers(again) == pytest.approx(answers(Estimates.from_json(estimates.to_json())))
    assert again.to_json() == Estimates.from_json(again.to_json()).to_json()


def test_the_same_events_leave_the_same_estimates() -> None:
    one, other = (run_programs(Estimates(), "fix", 30) for _ in range(2))
    assert json.dumps(one.to_json()) == json.dumps(other.to_json())
    assert answers(one) == answers(other)


def test_estimates_of_two_schedulers_are_merged() -> None:
    one, other = (run_programs(Estimates(), "fix", 100, seed) for seed in (1, 2))
    one.merge(other)
    assert one.turns.left("fix", 1) == pytest.approx(4.0, rel=0.1)
    assert one.prefill("r0").observed == 1_000
    assert one.next_call.next_call_of(BASH).quantile(0.5) == pytest.approx(4.2, rel=0.1)


def test_what_is_stored_is_bounded_whatever_names_come() -> None:
    estimates = Estimates()
    for index in range(3_000):
        name = f"name {index}"
        use = ToolUse(name, name)
        estimates.observe_completion(name, index, index)
        estimates.observe_next_call(name, index, [(use, 1.0)], 1.0)
        estimates.observe_next_call(name, index, [], 1.0)
        estimates.observe_tool_started(name, name, name)
        estimates.observe_program_finished(name, index, last_tool=name, service=index)
        estimates.observe_prefill(name, uncached_tokens=1, prompt_tokens=1, seconds=1.0)
    size = len(json.dumps(estimates.to_json()))
    for index in range(3_000, 4_000):
        estimates.observe_next_call(f"name {index}", 1, [(ToolUse(f"name {index}"), 1.0)], 1.0)
    assert len(json.dumps(estimates.to_json())) < 1.1 * size < 2_000_000


@pytest.mark.parametrize("damaged", [None, {}, {"version": 3}, {"version": 2}, {"version": 1}, [1]])
def test_estimates_of_another_form_are_refused(damaged: object) -> None:
    with pytest.raises(StoreError, match="discard them"):
        Estimates.from_json(damaged)


def test_answers_differ_by_turn_and_what_was_answered_so_far_counts() -> None:
    outputs = OutputEstimates()
    for _ in range(100):
        outputs.observe("w", 1, 50)
        outputs.observe("w", 5, 1_000)
    assert outputs.completion_tokens("w", 1).quantile(0.5) == pytest.approx(50, rel=0.1)
    assert outputs.completion_tokens("w", 6).quantile(0.5) == pytest.approx(1_000, rel=0.1)
    assert outputs.completion_tokens("w", 1).remaining_quantile(0.5, 200.0) > 500.0
    assert outputs.completion_tokens("w", -1).quantile(0.5) <= COUNTS.largest
