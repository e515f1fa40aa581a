"""Continuum's time to live, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.estimates.prefill import PrefillCost
from agentrt.ir.prefix import Run
from agentrt.ir.request import Usage
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFinished,
    CallReady,
    ProgramArrived,
    ProgramFinished,
    ReplicaUp,
    ToolFinished,
    ToolStarted,
)
from agentrt.scheduler.policies.continuum import (
    ENOUGH,
    Continuum,
    ContinuumHistory,
    best_ttl_s,
    prior_ttl_s,
)
from agentrt.scheduler.state import Pause
from tests.unit.scheduler.policies.placed_programs import (
    hold_s,
    make_outlook,
    make_pause,
    make_program,
    make_replica,
    place,
)


@pytest.mark.parametrize(
    ("durations", "benefit_s", "expected"),
    [
        ([1.0, 2.0, 4.0], 6.0, 2.0),  # 6/3-1 = 1, 12/3-2 = 2, 6-4 = 2: a tie, the shorter
        ([1.0, 2.0, 4.0], 6.5, 4.0),  # 1.17, 2.33, 2.5
        ([1.0, 2.0, 4.0], 2.9, 0.0),  # -0.03, -0.07, -1.1
        ([1.0, 1.0, 1.0, 9.0], 2.0, 1.0),  # equal ones together: 2*3/4-1 = 0.5
        ([0.0, 5.0], 1.0, 0.0),
        ([3.0], 3.0, 0.0),  # nothing gained, nothing kept
        ([], 10.0, 0.0),
    ],
)
def test_the_time_kept_maximises_what_is_gained_less_what_it_takes(
    durations: list[float], benefit_s: float, expected: float
) -> None:
    assert best_ttl_s(durations, benefit_s) == expected


@given(
    durations=st.lists(st.floats(0.0, 1e3), max_size=30).map(sorted),
    benefit_s=st.floats(0.0, 1e3),
)
def test_no_other_duration_is_better(durations: list[float], benefit_s: float) -> None:
    def value(ttl_s: float) -> float:
        within = sum(duration <= ttl_s for duration in durations)
        return (within / len(durations) * benefit_s if within else 0.0) - ttl_s

    best = best_ttl_s(durations, benefit_s)
    assert value(best) >= max((value(d) for d in durations), default=0.0) - 1e-9
    assert value(best) >= 0.0


def test_the_prior_is_exponential_with_a_mean_of_a_second() -> None:
    assert prior_ttl_s(math.e**2) == 2.0
    assert prior_ttl_s(6.0, mean_s=2.0) == 2.0 * math.log(3.0)
    assert prior_ttl_s(1.0) == 0.0
    assert prior_ttl_s(0.5) == 0.0


def test_more_than_a_hundred_of_all_tools_replace_the_prior_and_of_one_tool_all() -> None:
    history = ContinuumHistory()
    for _ in range(ENOUGH):
        history.observe_gap("quick", 0.5)
    assert history.ttl_s("quick", 10.0) == math.log(10.0)
    history.observe_gap("slow", 5.0)
    assert history.ttl_s("slow", 10.0) == 0.5  # of all: 10*100/101-0.5 = 9.4, 10-5 = 5
    assert history.ttl_s("quick", 10.0) == 0.5
    for _ in range(ENOUGH - 1):
        history.observe_gap("slow", 5.0)
    assert history.ttl_s("slow", 9.8) == 5.0  # pooled: 4.9-0.5 = 4.4, 9.8-5 = 4.8
    assert history.ttl_s("slow", 6.0) == 0.5  # pooled: 2.5 and 1; a hundred are not enough
    history.observe_gap("slow", 5.0)
    assert history.ttl_s("slow", 6.0) == 5.0
    assert history.ttl_s(None, 6.0) == 0.5
    assert history.ttl_s("unheard of", 6.0) == 0.5


def test_nothing_is_kept_where_keeping_does_harm() -> None:
    history = ContinuumHistory()
    for _ in range(ENOUGH + 1):
        history.observe_gap("quick", 0.0)
    assert history.ttl_s("quick", 0.0) == 0.0
    assert history.ttl_s("quick", -1.0) == 0.0


def test_the_delay_is_the_mean_of_the_last_hundred() -> None:
    history = ContinuumHistory()
    assert history.mean_delay_s == 0.0
    history.observe_delay(1e9)
    for _ in range(50):
        history.observe_delay(2.0)
        history.observe_delay(4.0)
    assert history.mean_delay_s == 3.0


def _warm() -> ContinuumHistory:
    history = ContinuumHistory()
    for _ in range(ENOUGH + 1):
        history.observe_gap("shell", 2.0)
    return history


def test_programs_of_one_length_are_all_memory() -> None:
    history = _warm()
    assert history.memoryfulness == 1.0  # not known
    for _ in range(3):
        history.observe_program(5)
    assert history.memoryfulness == pytest.approx(1.0)


def test_memoryfulness_is_minus_the_correlation_of_turns_done_and_turns_left() -> None:
    history = _warm()
    history.observe_program(2)
    history.observe_program(4)
    # (done, left): (1, 1), (1, 3), (2, 2), (3, 1): means 7/4 and 7/4,
    # covariance 11/4 - 49/16 = -5/16, both variances 15/4 - 49/16 = 11/16
    assert history.memoryfulness == pytest.approx(5 / 11)


def test_before_a_hundred_gaps_programs_are_taken_to_be_all_memory() -> None:
    history = ContinuumHistory()
    history.observe_program(2)
    history.observe_program(4)
    assert history.memoryfulness == 1.0


def test_a_policy_keeps_for_what_the_queue_and_the_prefill_would_cost() -> None:
    replica = make_replica()
    program = place(replica, make_program("a"), 10)
    pause = make_pause(program, ended_at=7.0)
    outlook = make_outlook(prefill=PrefillCost(1.0, 0.01, 0.0))
    # Nothing was learned: what is gained is the prefill, 1 s and 160 tokens.
    assert hold_s(Continuum(), replica, pause, outlook) == pytest.approx(math.log(2.6))
    outlook.observer(ContinuumHistory).observe_delay(5.0)
    assert hold_s(Continuum(), replica, pause, outlook) == pytest.approx(math.log(7.6))


def test_the_tool_of_the_turn_decides_whether_it_is_at_work_or_has_returned() -> None:
    history = _warm()
    for _ in range(10 * ENOUGH):
        history.observe_gap("search", 0.25)
    outlook = make_outlook(prefill=PrefillCost(10.0, 0.0, 0.0))
    outlook.watch_with(history)
    replica = make_replica()
    program = place(replica, make_program("a"), 10)

    def ttl_s(pause: Pause) -> float:
        return hold_s(Continuum(), replica, pause, outlook)

    assert ttl_s(make_pause(program)) == 0.25
    assert ttl_s(make_pause(program, pending=["shell"])) == 2.0
    assert ttl_s(make_pause(program, returned=["shell"])) == 2.0
    assert ttl_s(make_pause(program, pending=["shell"] * 2)) == 2.0
    assert ttl_s(make_pause(program, pending=["search"], returned=["shell"])) == 0.25


def test_nothing_is_kept_of_what_nothing_goes_on_from() -> None:
    replica = make_replica()
    program = place(replica, make_program("a"), 10)
    outlook = make_outlook(prefill=PrefillCost(10.0, 0.0, 0.0))
    assert hold_s(Continuum(), replica, make_pause(program, is_last=True), outlook) == 0.0


def _watched(cache_blocks: int) -> ContinuumHistory:
    """Two programs on a replica: 40 blocks and 5 s of tools, then 60 blocks, twice over."""
    scheduler = Scheduler(Continuum())
    scheduler.handle(ReplicaUp(replica_id="r0", kv_blocks=cache_blocks, max_running=None), 0.0)
    for at, name in ((0.0, "a"), (1.0, "b")):
        first, grown = (Run(ord(name) << 32, 40),), (Run(ord(name) << 32, 60),)
        for event, after in (
            (ProgramArrived(program_id=name), 0.0),
            (CallReady(call_id=f"{name}0", program_id=name, chain=first, prompt_tokens=640), 0.0),
        ):
            scheduler.handle(event, at + after)
        scheduler.handle(CallFinished(f"{name}0", Usage(), first), at + 0.5)
        scheduler.handle(ToolStarted(name, f"{name}t", "shell"), at + 0.5)
    for at, name in ((5.5, "a"), (6.5, "b")):
        scheduler.handle(ToolFinished(name, f"{name}t"), at)
        grown = (Run(ord(name) << 32, 60),)
        ready = CallReady(call_id=f"{name}1", program_id=name, chain=grown, prompt_tokens=960)
        scheduler.handle(ready, at)
    for at, name in ((8.5, "a"), (9.5, "b")):
        scheduler.handle(CallFinished(f"{name}1", Usage(), (Run(ord(name) << 32, 60),)), at)
        scheduler.handle(ProgramFinished(name), at)
    return scheduler.outlook.observer(ContinuumHistory)


def test_it_learns_gaps_by_tool_and_turns_from_what_happens() -> None:
    history = _watched(cache_blocks=1_000)
    assert history.gaps("shell") == [5.0, 5.0]
    assert history.gaps(None) == [5.0, 5.0]
    assert history.gaps("bash") == []
    assert history.delays() == []  # both found their contexts kept


def test_it_learns_what_waiting_costs_only_from_those_that_had_been_given_up() -> None:
    # 80 blocks: b enters beside a; a grows at 5.5 s, b is given up, and waits from 6.5 s to 8.5 s.
    assert _watched(cache_blocks=80).delays() == [2.0]
