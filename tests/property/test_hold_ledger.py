"""What is held in an engine: within the budget, for no longer than asked, and given back on demand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agentrt.backends.hold_ledger import HoldLedger, seconds

PROGRAMS = st.sampled_from(["a", "b", "c"])
CONTEXTS = st.lists(st.integers(1, 12), unique=True, max_size=8)


def ledger(budget_blocks: int = 100, most_s: float = 600.0) -> HoldLedger:
    return HoldLedger(budget_blocks=budget_blocks, most_s=most_s)


def run(
    holds: HoldLedger, program: str, *blocks: int, now: float = 0.0, hold_s: float | None = 10.0
) -> tuple[int, ...]:
    holds.arrived(program)
    return holds.ended(program, blocks, now=now, hold_s=hold_s)


def held(holds: HoldLedger, among: int = 20) -> list[int]:
    return [block for block in range(among) if holds.is_held(block)]


def test_a_context_is_held_until_its_time_is_up() -> None:
    holds = ledger()
    run(holds, "a", 1, 2, hold_s=10)
    run(holds, "b", 1, 3, hold_s=20)
    holds.expire(9.9)
    assert held(holds) == [1, 2, 3]
    holds.expire(10)
    assert held(holds) == [1, 3]
    holds.expire(20)
    assert (held(holds), holds.programs) == ([], 0)


def test_no_hold_lasts_longer_than_the_longest() -> None:
    holds = ledger(most_s=5)
    run(holds, "a", 1, hold_s=float("inf"))
    holds.expire(5)
    assert held(holds) == []


def test_the_next_context_of_a_program_takes_the_place_of_the_one_it_contains() -> None:
    holds = ledger()
    run(holds, "a", 1, 2)
    run(holds, "a", 1, 2, 3, now=1, hold_s=2)
    holds.expire(3)
    assert held(holds) == []


def test_branches_of_a_program_are_held_beside_one_another() -> None:
    holds = ledger()
    run(holds, "a", 1, 2)
    run(holds, "a", 1, 3)
    assert held(holds) == [1, 2, 3]


def test_a_hold_does_not_expire_while_a_request_of_its_program_is_there() -> None:
    holds = ledger()
    run(holds, "a", 1, 2, hold_s=10)
    holds.arrived("a")
    holds.expire(100)
    assert held(holds) == [1, 2]
    holds.ended("a", (), now=100, hold_s=0)  # it never ran
    assert held(holds) == [1, 2]
    holds.expire(100)
    assert (held(holds), holds.programs) == ([], 0)


def test_the_program_that_returns_last_gives_back_first_and_one_that_has_returned_last() -> None:
    holds = ledger()
    run(holds, "a", 1, 2, hold_s=30)
    run(holds, "b", 1, 3, hold_s=10)
    run(holds, "c", 4, hold_s=20)
    holds.arrived("a")
    assert [holds.give_back() for _ in range(4)] == [(4,), (3,), (1, 2), ()]


def test_over_its_budget_the_program_that_returns_last_is_not_held() -> None:
    holds = ledger(budget_blocks=3)
    run(holds, "a", 1, 2, hold_s=10)
    run(holds, "b", 3, 4, hold_s=20)
    assert held(holds) == [1, 2]
    run(holds, "c", 5, 6, hold_s=5)
    assert held(holds) == [5, 6]


def test_at_the_end_of_a_program_what_others_use_is_not_needless() -> None:
    holds = ledger()
    run(holds, "a", 1, 2, 3)
    run(holds, "b", 1, 4, hold_s=None)
    assert holds.finish("a") == (2, 3)
    assert (held(holds), holds.programs) == ([], 0)
    assert holds.finish("nobody") == ()


def test_a_context_that_is_not_wanted_is_needless_and_one_without_a_wish_is_not() -> None:
    holds = ledger()
    assert run(holds, "a", 1, 2, hold_s=0) == (1, 2)
    assert run(holds, "b", 3, hold_s=None) == ()
    assert run(holds, "b", 1, 5, hold_s=0) == (5,)


def test_a_block_with_other_content_has_other_users() -> None:
    holds = ledger()
    run(holds, "a", 1, 2, hold_s=None)
    holds.taken([1, 2])
    assert run(holds, "b", 1, 2, hold_s=0) == (1, 2)


def test_an_empty_cache_holds_nothing() -> None:
    holds = ledger()
    run(holds, "a", 1, 2)
    holds.arrived("b")
    holds.clear()
    assert (held(holds), holds.held_blocks, holds.programs) == ([], 0, 1)
    assert holds.ended("b", (1,), now=0, hold_s=0) == (1,)


class AnyRequests(RuleBasedStateMachine):
    """Whatever requests do, holds end; nothing is remembered of programs that are not there."""

    @initialize(budget=st.integers(0, 12), most_s=st.sampled_from([0.0, 3.0, 1e9]))
    def start(self, budget: int, most_s: float) -> None:
        self.budget, self.most_s = budget, most_s
        self.ledger = HoldLedger(budget_blocks=budget, most_s=most_s)
        self.now = 0.0
        self.running: list[str] = []

    @rule(program=PROGRAMS)
    def arrive(self, program: str) -> None:
        self.ledger.arrived(program)
        self.running.append(program)

    @rule(data=st.data(), context=CONTEXTS, hold_s=st.sampled_from([None, 0.0, 1.0, 5.0, 1e12]))
    def end(self, data: st.DataObject, context: list[int], hold_s: float | None) -> None:
        if not self.running:
            return
        program = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        needless = self.ledger.ended(program, context, now=self.now, hold_s=hold_s)
        assert set(needless) <= set(context)
        assert not any(self.ledger.is_held(block) for block in needless)

    @rule(program=PROGRAMS)
    def finish(self, program: str) -> None:
        needless = self.ledger.finish(program)
        assert not any(self.ledger.is_held(block) for block in needless)

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.ledger.expire(self.now)
        if self.most_s == 0 and not self.running:
            assert self.ledger.held_blocks == 0

    @rule()
    def give_back(self) -> None:
        before = self.ledger.held_blocks
        free = self.ledger.give_back()
        assert self.ledger.held_blocks == before - len(free)

    @rule(blocks=CONTEXTS)
    def take(self, blocks: list[int]) -> None:
        self.ledger.taken(block for block in blocks if not self.ledger.is_held(block))

    @rule()
    def clear(self) -> None:
        self.ledger.clear()

    @invariant()
    def the_budget_holds(self) -> None:
        assert 0 <= self.ledger.held_blocks <= self.budget
        assert sum(self.ledger.is_held(block) for block in range(1, 13)) == self.ledger.held_blocks

    def teardown(self) -> None:
        if not hasattr(self, "ledger"):
            return
        # An engine that needs all of its room gets it, in as many steps as there are holds.
        for program in self.running:
            self.ledger.ended(program, (), now=self.now, hold_s=None)
        for _ in range(1000):
            if not self.ledger.held_blocks:
                break
            self.ledger.give_back()
        assert (self.ledger.held_blocks, self.ledger.programs) == (0, 0)


TestAnyRequests = AnyRequests.TestCase


@pytest.mark.parametrize("budget", [-1, 0, 1])
@given(contexts=st.lists(st.tuples(PROGRAMS, CONTEXTS), max_size=10))
@settings(max_examples=50)
def test_with_no_budget_nothing_is_held(budget: int, contexts: list[tuple[str, list[int]]]) -> None:
    holds = ledger(budget_blocks=budget)
    for program, context in contexts:
        run(holds, program, *context)
        assert holds.held_blocks <= max(budget, 0)


@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        (7, 7.0),
        (0.5, 0.5),
        (-3, 0.0),
        (10**400, math.inf),
        (-(10**400), 0.0),
        (math.inf, math.inf),
        (math.nan, None),
        (True, None),
        ("7", None),
        (None, None),
        ([7], None),
    ],
)
def test_seconds_are_seconds_whatever_a_client_sends(sent: Any, heard: float | None) -> None:
    assert seconds(sent) == heard
