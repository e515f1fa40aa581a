"""ThunderAgent's accounting and orders, on numbers worked out by hand."""

from __future__ import annotations

import pytest

from agentrt.scheduler.policies.thunderagent import ThunderAgent
from tests.unit.scheduler.policies.placed_programs import (
    make_call,
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
    # 1600 - (800 + 100) = 700 are left; 37 blocks and the margin are 692, 38 are 708
    assert ThunderAgent().has_room(replica, 37)
    assert not ThunderAgent().has_room(replica, 38)


def test_alone_a_program_enters_whatever_it_needs() -> None:
    assert ThunderAgent().has_room(make_replica(kv_blocks=1), 1_000)


def test_growth_beyond_the_capacity_is_stopped_while_somebody_can_be_paused() -> None:
    replica = make_replica(kv_blocks=100)
    place(replica, make_program("a", 1), 50, runs=True)
    acting = place(replica, make_program("b", 2), 30)
    # 900 + 580 are used of 1600: 7 blocks fit, 8 do not
    assert ThunderAgent().may_grow(replica, 7)
    assert not ThunderAgent().may_grow(replica, 8)
    replica.unplace(acting)
    assert ThunderAgent().may_grow(replica, 1_000)


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
    order = sorted(calls, key=lambda call: policy.rank(call, now=5.0))
    assert [call.program.program_id for call in order] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("now", [0.0, 123.456, 1e6])
def test_places_are_taken_back_smallest_first_whenever_the_calls_ended(now: float) -> None:
    replica = make_replica(kv_blocks=1_000)
    large = place(replica, make_program("a", 1), 31)
    small = place(replica, make_program("b", 2), 30)
    policy = ThunderAgent()
    early_end = now + policy.hold_s(large, replica, now)
    late_end = now + 77.7 + policy.hold_s(small, replica, now + 77.7)
    assert late_end < early_end
