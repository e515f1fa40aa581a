"""Admission as an engine's, which the rivals that are engines share."""

from __future__ import annotations

import math

from agentrt.scheduler.policies.engine_admission import EngineAdmission
from tests.unit.scheduler.policies.placed_programs import (
    hold_s,
    make_call,
    make_outlook,
    make_pause,
    make_program,
    make_replica,
    place,
)

ADMISSION = EngineAdmission()


def test_what_fits_exactly_has_room_and_otherwise_whole_contexts_give_way() -> None:
    replica = make_replica(kv_blocks=100)
    place(replica, make_program("a"), 60)
    call = make_call(make_program("b", 2), 41)
    assert ADMISSION.short_to_enter(replica, call, 40) == 0.0
    assert ADMISSION.short_to_grow(replica, call, 40) == 0.0
    assert ADMISSION.short_to_enter(replica, call, 41) == math.inf
    assert ADMISSION.short_to_grow(replica, call, 41) == math.inf


def test_alone_a_program_enters_whatever_it_needs() -> None:
    call = make_call(make_program("a"), 50)
    assert ADMISSION.short_to_enter(make_replica(kv_blocks=1), call, 50) == 0.0


def test_the_order_is_that_of_the_programs_arrivals() -> None:
    call = make_call(make_program("a", arrived_at=3.0), 5)
    assert ADMISSION.rank(call, make_outlook(), now=50.0) == 3.0


def test_nothing_is_kept_and_nothing_moves() -> None:
    replica = make_replica()
    program = place(replica, make_program("a"), 5)
    assert hold_s(ADMISSION, replica, make_pause(program, ended_at=4.0)) == 0.0
    assert ADMISSION.move_at(make_call(program, 6), replica, make_outlook()) == math.inf
