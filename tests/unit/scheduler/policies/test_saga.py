"""SAGA's time to live and urgency, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.scheduler.policies.saga import Saga, SagaHistory, ttl_s, urgency_of
from tests.unit.scheduler.policies.placed_programs import (
    hold_s,
    make_call,
    make_outlook,
    make_pause,
    make_program,
    make_replica,
    place,
)

OUTLOOK = make_outlook()


@pytest.mark.parametrize(
    ("p95_s", "used_share", "expected"),
    [
        (2.5, 0.0, 2.5),
        (2.5, 0.7, 2.5),
        (2.5, 0.8, 1.875),  # pressure 1/2: a quarter less
        (2.5, 0.9, 1.25),
        (2.5, 1.3, 1.25),
        (45.0, 0.75, 39.375),
        (1_000.0, 0.0, 300.0),
        (1_000.0, 0.9, 300.0),
        (500.0, 0.9, 250.0),
        (math.inf, 0.9, 300.0),
    ],
)
def test_the_time_kept_is_the_tools_tail_less_the_fuller_the_cache_is(
    p95_s: float, used_share: float, expected: float
) -> None:
    assert ttl_s(p95_s, used_share) == pytest.approx(expected)


def _learned() -> Estimates:
    estimates = Estimates()
    for _ in range(500):
        estimates.observe_next_call("swe", 1, [(ToolUse("edit"), 0.1)], 0.1)
        estimates.observe_next_call("swe", 1, [(ToolUse("pytest"), 40.0)], 40.0)
    return estimates


def test_the_tools_of_the_turn_are_asked_for_and_any_tool_where_none_is_known() -> None:
    estimates = _learned()
    policy, outlook = Saga(), make_outlook(estimates)
    replica = make_replica(kv_blocks=100)
    program = place(replica, make_program("a"), 80)
    any_tool = estimates.next_call.next_call_of(ToolUse("")).quantile(0.95)
    edit = estimates.next_call.next_call_of(ToolUse("edit")).quantile(0.95)
    unknown = make_pause(program, ended_at=1.0)
    at_work = make_pause(program, ended_at=1.0, pending=["edit"])
    back = make_pause(program, ended_at=1.0, returned=["edit"])
    assert hold_s(policy, replica, unknown, outlook) == pytest.approx(0.75 * any_tool)
    assert hold_s(policy, replica, at_work, outlook) == pytest.approx(0.75 * edit)
    assert hold_s(policy, replica, back, outlook) == pytest.approx(0.75 * edit)
    assert edit < 1.0
    assert any_tool > 30.0


def test_nothing_is_kept_of_what_nothing_goes_on_from() -> None:
    replica = make_replica()
    program = place(replica, make_program("a"), 10)
    assert hold_s(Saga(), replica, make_pause(program, is_last=True)) == 0.0


def _history(*programs: tuple[float, float]) -> SagaHistory:
    """Of programs with so much engine time that took so long."""
    history = SagaHistory()
    for served_s, took_s in programs:
        program = make_program("ended")
        program.attained_s = served_s
        history.finished(program, took_s)
    return history


def test_what_programs_need_is_the_mean_of_those_that_ended() -> None:
    assert (_history().work_s, _history().completion_s) == (60.0, 300.0)
    history = _history((10.0, 100.0), (30.0, 300.0))
    assert (history.work_s, history.completion_s) == (20.0, 200.0)


def test_urgency_is_the_work_left_over_the_time_left() -> None:
    history = _history((60.0, 300.0))
    program = make_program("a", arrived_at=100.0)
    assert urgency_of(program, history, now=100.0) == 60.0 / 450.0
    program.attained_s = 45.0
    assert urgency_of(program, history, now=520.0) == 0.5
    assert urgency_of(program, history, now=550.0) == math.inf
    program.deadline_at = 250.0
    assert urgency_of(program, history, now=220.0) == 0.5
    program.attained_s = 99.0
    assert urgency_of(program, history, now=220.0) == 0.0


def test_the_most_urgent_is_ranked_earlier_by_a_bounded_time() -> None:
    policy, outlook = Saga(urgency_s=40.0), make_outlook()
    outlook.watch_with(_history((60.0, 300.0)))
    program = make_program("a", arrived_at=100.0)
    program.deadline_at = 220.0
    assert policy.rank(make_call(program, 5), outlook, now=100.0) == 80.0
    assert policy.rank(make_call(program, 5), outlook, now=219.0) == 60.0
    assert policy.rank(make_call(program, 5), outlook, now=999.0) == 60.0


def test_an_urgency_without_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Saga(urgency_s=math.inf)


def test_a_call_leaves_a_full_home_at_once_and_is_stolen_from_another_after_an_epoch() -> None:
    replica = make_replica(kv_blocks=100)
    program = place(replica, make_program("a"), 79)
    call = make_call(make_program("b", 2), 30, at=5.0)
    assert Saga().move_at(call, replica, OUTLOOK) == 5.1
    replica.unplace(program)
    place(replica, program, 80)
    assert Saga().move_at(call, replica, OUTLOOK) == 5.0


def test_on_a_replica_without_a_cache_contexts_are_kept_for_half_the_tail() -> None:
    replica = make_replica(kv_blocks=0)
    program = place(replica, make_program("a"), 5)
    tail_s = OUTLOOK.estimates.next_call.next_call_of(ToolUse("")).quantile(0.95)
    assert hold_s(Saga(), replica, make_pause(program)) == pytest.approx(0.5 * tail_s)
