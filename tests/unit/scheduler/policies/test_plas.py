"""Autellix's queues of attained service, on numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.scheduler.actions import SendCall
from agentrt.scheduler.policies.plas import Plas
from tests.property.scheduler_driver import World
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
    ("attained_s", "start_s"),
    [
        (0.0, 0.0),
        (0.9, 0.0),
        (1.0, 1.0),
        (1.9, 1.0),
        (2.0, 2.0),
        (3.9, 2.0),
        (4.0, 4.0),
        (1e6, 4.0),
    ],
)
def test_four_queues_from_a_second_on_double(attained_s: float, start_s: float) -> None:
    assert Plas(cap=1, queues=4, quantum_s=1.0).queue_start_s(attained_s) == start_s


def test_the_cap_is_in_the_name() -> None:
    assert Plas(cap=7).name == "plas-7"


def test_one_queue_is_first_come_first_served() -> None:
    program = make_program("a")
    program.attained_s = 1e6
    assert Plas(cap=1, queues=1).rank(make_call(program, 5), OUTLOOK, now=8.0) == 8.0


def test_a_call_is_promoted_after_waiting_beta_times_its_programs_service() -> None:
    policy = Plas(cap=1, queues=8, quantum_s=1.0, beta=3.0)
    old = make_program("a")
    old.attained_s = 5.0  # in the queue from 4 s on
    waiting_since_10 = policy.rank(make_call(old, 5), OUTLOOK, now=10.0)
    fresh = make_program("b", 2)
    assert waiting_since_10 == 22.0
    assert policy.rank(make_call(fresh, 5), OUTLOOK, now=21.9) < waiting_since_10
    assert policy.rank(make_call(fresh, 5), OUTLOOK, now=22.1) > waiting_since_10


def test_of_one_queue_the_first_to_come_goes_first() -> None:
    policy = Plas(cap=1)
    less, more = make_program("a"), make_program("b", 2)
    less.attained_s, more.attained_s = 4.5, 7.5
    assert policy.rank(make_call(more, 5), OUTLOOK, now=1.0) < policy.rank(
        make_call(less, 5), OUTLOOK, now=1.1
    )


def test_short_calls_go_to_any_engine_and_long_ones_to_their_own() -> None:
    policy, home = Plas(cap=1), make_replica()
    program = make_program("a")
    assert policy.move_at(make_call(program, 200, tokens=2048), home, OUTLOOK) == -math.inf
    assert policy.move_at(make_call(program, 200, tokens=2049), home, OUTLOOK) == math.inf


def test_programs_that_only_act_have_no_room_of_their_own() -> None:
    replica = make_replica()
    program = place(replica, make_program("a"), 5)
    assert hold_s(Plas(cap=1), replica, make_pause(program, ended_at=9.0)) == 0.0


@pytest.mark.parametrize("cap", [1, 2, 5])
@given(seed=st.integers(0, 10**6), width=st.integers(1, 3))
def test_the_cap_is_never_exceeded(cap: int, seed: int, width: int) -> None:
    world = World(Plas(cap=cap), seed, replicas=1, max_running=None, width=width).run()
    under_way = most = 0
    for _, event, actions in world.log:
        under_way -= type(event).__name__ in {"CallFinished", "CallFailed"}
        under_way += sum(isinstance(action, SendCall) for action in actions)
        most = max(most, under_way)
    assert most <= cap


def test_thousands_of_queues_are_as_many_as_there_are_doublings() -> None:
    many = Plas(cap=1, queues=5_000, quantum_s=0.5)
    assert many.queue_start_s(1e300) == 0.5 * 2.0**997
    assert many.queue_start_s(3.0) == 2.0


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (partial(Plas, cap=0), "positive"),
        (partial(Plas, cap=1, queues=0), "positive"),
        (partial(Plas, cap=1, quantum_s=0), "positive"),
        (partial(Plas, cap=1, quantum_s=math.nan), "positive"),
        (partial(Plas, cap=1, beta=-1), "finite"),
        (partial(Plas, cap=1, beta=math.inf), "finite"),
        (partial(Plas, cap=1, beta=math.nan), "finite"),
    ],
)
def test_settings_that_order_nothing_are_refused(make: Callable[[], Plas], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make()
