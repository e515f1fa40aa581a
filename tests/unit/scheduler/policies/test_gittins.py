"""The Gittins index as a bounded handicap."""

from __future__ import annotations

import pytest

from agentrt.estimates.book import Estimates
from agentrt.scheduler.policies.gittins import Gittins
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.state import Program
from tests.unit.scheduler.policies.placed_programs import (
    make_call,
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
    policy = Gittins(_learned(lengths={"short": 2, "long": 6}), turn_s=5.0)
    ranks = [policy.rank(make_call(_program("long", made), 5), now=1e9) for made in range(6)]
    assert ranks == pytest.approx([125.0, 120.0, 115.0, 110.0, 105.0, 100.0], abs=0.2)
    assert policy.rank(make_call(_program("short", 0), 5), now=1e9) == pytest.approx(105.0, abs=0.1)


def test_the_handicap_is_bounded_by_the_patience() -> None:
    estimates = _learned(lengths={"long": 12})
    policy = Gittins(estimates, turn_s=1e6, admission=ByOccupancy(patience_s=30.0))
    assert policy.rank(make_call(_program("long", 0), 5), now=0.0) == 130.0
    assert policy.patience_s == 30.0


def test_everything_but_the_order_is_as_by_occupancy() -> None:
    admission = ByOccupancy(headroom=0.5, hold_limit_s=3.0, move_after_s=7.0)
    policy = Gittins(Estimates(), admission=admission)
    replica = make_replica(kv_blocks=100)
    program = place(replica, make_program("a"), 30)
    call = make_call(program, 31, at=2.0)
    assert policy.has_room(replica, 20) == admission.has_room(replica, 20)
    assert not policy.has_room(replica, 21)
    assert policy.may_grow(replica, 70)
    assert not policy.may_grow(replica, 71)
    assert policy.hold_s(program, replica, now=0.0) == 3.0
    assert policy.move_at(call, replica) == 9.0
