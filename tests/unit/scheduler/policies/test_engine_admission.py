"""Admission as an engine's, which the rivals that are engines share."""

from __future__ import annotations

import math

from agentrt.scheduler.policies.engine_admission import EngineAdmission
from tests.unit.scheduler.policies.placed_programs import (
    make_call,
    make_program,
    make_replica,
    place,
)

ADMISSION = EngineAdmission()


def test_what_fits_exactly_has_room() -> None:
    replica = make_replica(kv_blocks=100)
    place(replica, make_program("a"), 60)
    assert ADMISSION.has_room(replica, 40)
    assert ADMISSION.may_grow(replica, 40)
    assert not ADMISSION.has_room(replica, 41)
    assert not ADMISSION.may_grow(replica, 41)


def test_alone_a_program_enters_whatever_it_needs() -> None:
    assert ADMISSION.has_room(make_replica(kv_blocks=1), 50)


def test_the_order_is_that_of_the_programs_arrivals() -> None:
    call = make_call(make_program("a", arrived_at=3.0), 5)
    assert ADMISSION.rank(call, now=50.0) == 3.0


def test_nothing_is_kept_and_nothing_moves() -> None:
    replica = make_replica()
    program = place(replica, make_program("a"), 5)
    assert ADMISSION.hold_s(program, replica, now=0.0) == 0.0
    assert ADMISSION.move_at(make_call(program, 6), replica) == math.inf
