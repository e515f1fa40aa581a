"""KVFlow's steps to the next use, and the order they give."""

from __future__ import annotations

import math

from agentrt.estimates.book import Estimates
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.kvflow import KVFlow, StepsSeen, steps_to_use
from agentrt.scheduler.state import Pause
from tests.unit.scheduler.policies.placed_programs import (
    hold_s,
    make_call,
    make_outlook,
    make_pause,
    make_program,
    make_replica,
    place,
)


def _sure() -> Outlook:
    """Programs always go on."""
    estimates = Estimates()
    for turn in range(1, 40):
        for _ in range(500):
            estimates.turns.observe("swe", turn, is_last=False)
    return make_outlook(estimates)


def _pause(*tools: str, is_last: bool = False, ended_at: float = 0.0) -> Pause:
    program = place(make_replica(), make_program("a"), 10)
    program.turns = 1
    return make_pause(program, pending=tools, is_last=is_last, ended_at=ended_at)


def _seen(pause: Pause, calls: int) -> None:
    """So many calls of its program have ended since, when one goes on from it."""
    pause.program.turns = pause.turn + calls


def test_before_anything_was_seen_every_context_is_one_step_away() -> None:
    assert steps_to_use(_pause("shell"), _sure()) == 1


def test_steps_are_the_calls_that_others_of_the_kind_were_passed_by() -> None:
    outlook = _sure()
    seen = outlook.observer(StepsSeen)
    for calls in (5, 6, 7):
        over = _pause("agents")
        _seen(over, calls)
        seen.gap(over, 30.0)
    over = _pause("shell")
    seen.gap(over, 1.0)
    assert steps_to_use(_pause("agents"), outlook) == 7  # those six, and the one that goes on
    assert steps_to_use(_pause("shell"), outlook) == 1
    assert steps_to_use(_pause("agents", "shell"), outlook) == 1  # a kind of its own
    assert steps_to_use(_pause(), outlook) == 1


def test_what_is_not_likely_to_be_used_is_further_away_and_what_will_not_be_furthest() -> None:
    estimates = Estimates()
    for index in range(4_000):
        estimates.turns.observe("swe", 1, is_last=index % 4 > 0)
    outlook = make_outlook(estimates)
    assert steps_to_use(_pause("shell"), outlook) == 4
    assert steps_to_use(_pause("shell", is_last=True), outlook) == math.inf


def test_a_context_is_spared_where_another_one_has_more_steps_to_wait() -> None:
    outlook, replica = _sure(), make_replica()
    over = _pause("agents")
    _seen(over, 5)
    outlook.observer(StepsSeen).gap(over, 1.0)
    near = make_pause(place(replica, make_program("near", 1), 5), pending=["shell"], ended_at=3.0)
    assert hold_s(KVFlow(), replica, near, outlook) == 0.0
    far = make_pause(place(replica, make_program("far", 2), 5), pending=["agents"], ended_at=3.0)
    assert hold_s(KVFlow(), replica, near, outlook) == math.inf
    assert hold_s(KVFlow(), replica, far, outlook) == 0.0
    make_pause(place(replica, make_program("gone", 3), 5), is_last=True)
    assert hold_s(KVFlow(), replica, far, outlook) == math.inf


def test_nothing_is_spared_where_it_would_not_fit_even_so() -> None:
    outlook, replica = _sure(), make_replica(kv_blocks=20)
    near = make_pause(place(replica, make_program("near", 1), 15), pending=["shell"])
    gone = make_pause(place(replica, make_program("gone", 2), 15), is_last=True)
    assert hold_s(KVFlow(), replica, near, outlook) == math.inf
    place(replica, make_program("runs", 3), 6, runs=True)
    assert hold_s(KVFlow(), replica, near, outlook) == 0.0
    assert hold_s(KVFlow(), replica, gone, outlook) == 0.0


def test_everything_goes_at_once_in_the_order_in_which_it_comes() -> None:
    replica = make_replica(kv_blocks=10)
    place(replica, make_program("a"), 60)
    call = make_call(make_program("b", 2), 50)
    assert KVFlow().short_to_enter(replica, call, 50) == 0.0
    assert KVFlow().short_to_grow(replica, call, 50) == 0.0
    assert KVFlow().rank(call, _sure(), now=50.0) == 50.0


def test_kinds_that_were_seen_long_ago_are_forgotten() -> None:
    outlook = _sure()
    seen = outlook.observer(StepsSeen)
    for index in range(1_500):
        over = _pause(f"tool{index}")
        _seen(over, 9)
        seen.gap(over, 1.0)
    assert steps_to_use(_pause("tool1499"), outlook) == 10
    assert steps_to_use(_pause("tool0"), outlook) == 1
