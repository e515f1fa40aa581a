"""ThunderAgent's accounting and orders, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from agentrt.scheduler.policies.thunderagent import ThunderAgent
from tests.unit.scheduler.policies.placed_programs import (
    make_call,
    make_outlook,
    make_pause,
    make_program,
    make_replica,
    place,
)


def test_reasoning_counts_whole_acting_by_its_weight_and_each_program_a_hundred() -> None:
    replica = make_replica()
    place(replica, make_program("a", 1), 10, runs=True)
    place(replica, make_program("b", 2), 5)
    # 10 * 16 + 100, and 0.5 * 5 * 16 + 100
    assert ThunderAgent(acting_weight=0.5).used_tokens(replica) == 260 + 140
    assert ThunderAgent().used_tokens(replica) == 260 + 180


def test_a_shared_prefix_counts_for_each_that_has_it() -> None:
    replica = make_replica()
    twin = make_program("b", 1)  # the same sequence, so the same blocks
    place(replica, make_program("a", 1), 10)
    place(replica, twin, 10)
    assert replica.occupied_blocks == 10
    assert ThunderAgent().used_tokens(replica) == 2 * (160 + 100)


def test_one_enters_up_to_the_last_token_of_the_capacity() -> None:
    replica = make_replica(kv_blocks=100)
    place(replica, make_program("a", 1), 50, runs=True)
    call = make_call(make_program("b", 2), 40)
    # 1600 - (800 + 100) = 700 are left; 37 blocks and the margin are 692, 38 are 708
    assert ThunderAgent().short_to_enter(replica, call, 37) == 0.0
    assert ThunderAgent().short_to_enter(replica, call, 38) == math.inf


def test_alone_a_program_enters_whatever_it_needs() -> None:
    call = make_call(make_program("a"), 1_000)
    assert ThunderAgent().short_to_enter(make_replica(kv_blocks=1), call, 1_000) == 0.0


def test_growth_beyond_the_capacity_is_stopped_while_somebody_can_be_paused() -> None:
    replica = make_replica(kv_blocks=100)
    running = place(replica, make_program("a", 1), 50, runs=True)
    acting = place(replica, make_program("b", 2), 30)
    call = make_call(running, 1_000)
    # 900 + 580 are used of 1600: 7 blocks fit, 8 do not
    assert ThunderAgent().short_to_grow(replica, call, 7) == 0.0
    assert ThunderAgent().short_to_grow(replica, call, 8) == math.inf
    replica.unplace(acting)
    assert ThunderAgent().short_to_grow(replica, call, 1_000) == 0.0


def test_restored_first_are_begun_programs_and_the_smallest_of_each_class() -> None:
    policy = ThunderAgent()
    begun_small, begun_large = make_program("a", 1), make_program("b", 2)
    begun_small.turns = begun_large.turns = 1
    calls = [
        make_call(make_program("c", 3), 1),
        make_call(begun_large, 900),
        make_call(make_program("d", 4), 2),
        make_call(begun_small, 30),
    ]
    order = sorted(calls, key=lambda call: policy.rank(call, make_outlook(), now=5.0))
    assert [call.program.program_id for call in order] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("now", [0.0, 123.456, 1e6])
def test_places_are_taken_back_smallest_first_whenever_the_calls_ended(now: float) -> None:
    replica = make_replica(kv_blocks=1_000)
    large = place(replica, make_program("a", 1), 31)
    small = place(replica, make_program("b", 2), 30)
    ends = [
        ThunderAgent().hold_until(
            program.contexts[-1], make_pause(program, ended_at=at), replica, make_outlook(), at
        )
        for program, at in ((small, now + 77.7), (large, now))
    ]
    assert ends == sorted(ends)
    assert ends[0] > now + 1e6


def test_a_token_of_infinite_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        ThunderAgent(acting_weight=math.inf)
