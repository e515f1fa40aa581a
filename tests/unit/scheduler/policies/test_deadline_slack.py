"""Least slack first, within bounds."""

from __future__ import annotations

import pytest

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.scheduler.policies.deadline_slack import DeadlineSlack
from agentrt.scheduler.state import Program
from tests.unit.scheduler.policies.placed_programs import make_call, make_outlook, make_program


def _learned() -> Estimates:
    """Programs of five turns, two seconds between one and the next."""
    estimates = Estimates()
    for _ in range(5_000):
        for turn in range(1, 5):
            estimates.observe_next_call("swe", turn, [(ToolUse("sh"), 2.0)], 2.0)
        estimates.turns.observe("swe", 5, is_last=True)
    return estimates


def _program(deadline_at: float | None, *, turns: int = 0, attained_s: float = 0.0) -> Program:
    program = make_program("a", arrived_at=100.0)
    program.deadline_at, program.turns, program.attained_s = deadline_at, turns, attained_s
    return program


OUTLOOK = make_outlook(_learned())
POLICY = DeadlineSlack(turn_s=4.0, patience_s=60.0)


def _rank(program: Program, now: float) -> float:
    return POLICY.rank(make_call(program, 5), OUTLOOK, now)


def test_what_is_left_are_this_turn_and_those_to_come_with_the_time_between() -> None:
    # 4 + 4 * (2 + 4), and after three turns of 3 s each 3 + 1 * (2 + 3)
    assert OUTLOOK.left_s(_program(None), 4.0) == pytest.approx(28.0, rel=0.05)
    begun = _program(None, turns=3, attained_s=9.0)
    assert OUTLOOK.left_s(begun, 4.0) == pytest.approx(8.0, rel=0.05)


def test_the_rank_is_the_latest_start() -> None:
    assert _rank(_program(150.0), now=101.0) == pytest.approx(122.0, abs=1.0)
    assert _rank(_program(150.0), now=101.0) == _rank(_program(150.0), now=110.0)


def test_a_program_without_a_deadline_goes_by_its_arrival() -> None:
    assert _rank(_program(None), now=500.0) == 100.0


def test_one_with_much_time_waits_for_no_more_than_the_patience() -> None:
    assert _rank(_program(1e6), now=101.0) == 160.0


def test_one_that_cannot_be_in_time_goes_with_the_last() -> None:
    assert _rank(_program(127.0), now=100.5) == 160.0
    assert _rank(_program(1.0), now=100.5) == 160.0


def test_one_that_can_just_be_in_time_goes_first() -> None:
    in_time, late = _program(150.0), _program(140.0)
    assert _rank(in_time, now=120.0) < _rank(late, now=120.0)


def test_nobody_goes_before_those_that_came_a_patience_earlier() -> None:
    policy = DeadlineSlack(patience_s=5.0)
    program = _program(95.0)
    # Its deadline is in the past of its arrival, and now earlier still: nothing but the bound holds.
    assert policy.rank(make_call(program, 5), OUTLOOK, now=-1e6) == 95.0
