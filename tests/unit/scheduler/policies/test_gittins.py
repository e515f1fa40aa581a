"""The Gittins index as a bounded handicap."""

from __future__ import annotations

import math

import pytest

from agentrt.estimates.book import Estimates
from agentrt.scheduler.policies.gittins import Gittins
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.state import Program
from tests.unit.scheduler.policies.placed_programs import (
    hold_s,
    make_call,
    make_outlook,
    make_pause,
    make_program,
    make_replica,
    place,
)


def _learned(*, lengths: dict[str, int]) -> Estimates:
    estimates = Estimates()
    for workflow, length in lengths.items():
        for _ in range(2_000):
            for turn in range(1, length + 1):
                estimates.turns.observe(workflow, turn, is_last=turn == length)
    return estimates


def _program(workflow: str, turns: int, arrived_at: float = 100.0) -> Program:
    program = make_program("a", arrived_at=arrived_at)
    program.workflow, program.turns = workflow, turns
    return program


def test_a_programs_last_turn_has_no_handicap_and_each_turn_before_one_more() -> None:
    policy, outlook = Gittins(turn_s=5.0), make_outlook(_learned(lengths={"short": 2, "long": 6}))
    calls = [make_call(_program("long", made), 5) for made in range(6)]
    ranks = [policy.rank(call, outlook, now=1e9) for call in calls]
    assert ranks == pytest.approx([125.0, 120.0, 115.0, 110.0, 105.0, 100.0], abs=0.2)
    short = make_call(_program("short", 0), 5)
    assert policy.rank(short, outlook, now=1e9) == pytest.approx(105.0, abs=0.1)


def test_the_handicap_is_bounded_by_the_patience() -> None:
    outlook = make_outlook(_learned(lengths={"long": 12}))
    policy = Gittins(turn_s=1e6, patience_s=30.0)
    assert policy.rank(make_call(_program("long", 0), 5), outlook, now=0.0) == 130.0
    assert policy.patience_s == 30.0


def test_everything_but_the_order_is_as_by_occupancy() -> None:
    admission, policy, outlook = ByOccupancy(), Gittins(), make_outlook()
    replica = make_replica(kv_blocks=100)
    program = place(replica, make_program("a"), 30)
    newcomer = make_call(make_program("b", 2), 80)
    short = policy.short_to_enter(replica, newcomer, 80)
    assert short == admission.short_to_enter(replica, newcomer, 80) > 0.0
    assert policy.short_to_grow(replica, newcomer, 70) == admission.short_to_grow(
        replica, newcomer, 70
    )
    pause = make_pause(program, ended_at=2.0, pending=["shell"])
    assert hold_s(policy, replica, pause) == hold_s(admission, replica, pause)
    call = make_call(program, 31, at=2.0)
    assert policy.move_at(call, replica, outlook) == admission.move_at(call, replica, outlook)
    assert policy.touches == admission.touches


def test_turns_of_infinite_weight_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Gittins(turn_s=math.inf)
