"""Programs enter one after another where a larger batch brings nothing."""

from __future__ import annotations

import pytest

from agentrt.ir.prefix import Run
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import SchedulerAction, SendCall
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFinished,
    CallReady,
    FirstToken,
    ProgramArrived,
    ProgramFinished,
    ReplicaUp,
)
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policy import Policy


class Engine:
    """One replica on which `step_s` is what a step takes for all, `prefill_s` a call's prompt alone."""

    def __init__(self, policy: Policy, *, kv_blocks: int, step_s: float, prefill_s: float) -> None:
        self.core = Scheduler(policy)
        self.step_s, self.prefill_s = step_s, prefill_s
        self.now = 0.0
        self.blocks: dict[str, int] = {}
        self.core.handle(ReplicaUp(replica_id="r", kv_blocks=kv_blocks), 0.0)

    def arrive(self, programs: range, *, blocks: int = 20) -> list[str]:
        """All of them make their first call, of so many blocks; those that are sent."""
        sent: list[str] = []
        for index in programs:
            name = str(index)
            self.blocks[name] = blocks
            self.core.handle(ProgramArrived(program_id=name), self.now)
            call = CallReady(
                call_id=name,
                program_id=name,
                chain=(Run(1_000 * index, blocks),),
                prompt_tokens=16 * blocks,
            )
            sent += self._sent(self.core.handle(call, self.now))
        return sent

    def serve(self, calls: list[str], *, is_end: bool = True) -> list[str]:
        """`calls` are answered with 100 tokens each, at once; calls that are sent then.

        Their programs end, or go into their tools.
        """
        self.now += self.prefill_s * len(calls)
        for call in calls:
            self.core.handle(FirstToken(call), self.now)
        self.now += 99 * self.step_s
        sent: list[str] = []
        for call in calls:
            context = (Run(1_000 * int(call), self.blocks[call] + 6),)
            done = CallFinished(call, Usage(16 * self.blocks[call], 0, 100), context)
            sent += self._sent(self.core.handle(done, self.now))
            if is_end:
                sent += self._sent(self.core.handle(ProgramFinished(call), self.now))
        self.core.check()
        return sent

    @staticmethod
    def _sent(actions: list[SchedulerAction]) -> list[str]:
        return [action.call_id for action in actions if isinstance(action, SendCall)]


def most_at_once(engine: Engine, programs: int) -> list[int]:
    """How many calls were at work in each round, until none waits."""
    running = engine.arrive(range(1, programs + 1))
    rounds = []
    while running:
        rounds.append(len(running))
        running = engine.serve(running)
    return rounds


def test_few_at_once_where_each_call_takes_the_whole_engine() -> None:
    engine = Engine(ByOccupancy(), kv_blocks=300, step_s=0.001, prefill_s=2.0)
    rounds = most_at_once(engine, 40)
    assert sum(rounds) == 40
    assert rounds[0] == 4  # nothing is known yet
    assert max(rounds[1:10]) == 2
    assert max(rounds[10:]) > 2  # those that are left fit all at once


def test_many_at_once_where_a_step_serves_all() -> None:
    engine = Engine(ByOccupancy(), kv_blocks=300, step_s=0.02, prefill_s=0.01)
    rounds = most_at_once(engine, 40)
    assert sum(rounds) == 40
    assert max(rounds) > 8


@pytest.mark.parametrize("kv_blocks", [1_000_000, None])
def test_where_all_fit_nobody_waits(kv_blocks: int | None) -> None:
    engine = Engine(ByOccupancy(), kv_blocks=kv_blocks or 1 << 40, step_s=0.001, prefill_s=2.0)
    assert most_at_once(engine, 40) == [40]


@pytest.mark.parametrize("policy", [ByOccupancy(limits_batches=False), FixedCap(12)])
def test_policies_that_do_not_ask_are_not_limited(policy: Policy) -> None:
    engine = Engine(policy, kv_blocks=300, step_s=0.001, prefill_s=2.0)
    assert max(most_at_once(engine, 40)) >= 12


def test_programs_in_tools_leave_room_for_others() -> None:
    engine = Engine(ByOccupancy(), kv_blocks=300, step_s=0.001, prefill_s=2.0)
    first = engine.arrive(range(1, 41))
    while first and len(engine.core.replicas[0].placed) < 8:
        engine.now += 1.0
        first = engine.serve(first, is_end=False)  # into their tools, while others compute
    assert engine.core.replicas[0].duty.part < 0.9
    assert len(engine.core.replicas[0].placed) >= 8


def test_where_as_many_come_as_go_no_batch_is_too_large() -> None:
    engine = Engine(ByOccupancy(), kv_blocks=300, step_s=0.001, prefill_s=2.0)
    running = engine.arrive(range(1, 11))
    most = 0
    for index in range(11, 400):
        running = [
            *running[1:],
            *engine.serve(running[:1]),
            *engine.arrive(range(index, index + 1)),
        ]
        most = max(most, len(running))
    assert most > 8


def test_a_few_short_calls_do_not_tell_that_programs_stay_small() -> None:
    engine = Engine(ByOccupancy(), kv_blocks=1_100, step_s=0.001, prefill_s=2.0)
    for index in range(101, 105):
        engine.serve(engine.arrive(range(index, index + 1), blocks=1))
    # All 24 have room as they are, and not with what they add in a turn.
    assert len(engine.arrive(range(1, 25), blocks=35)) <= 8


def test_the_first_program_that_ends_does_not_tell_that_as_many_come_as_go() -> None:
    engine = Engine(ByOccupancy(), kv_blocks=1_200, step_s=0.001, prefill_s=2.0)
    for index in range(101, 141):
        engine.serve(engine.arrive(range(index, index + 1), blocks=1), is_end=False)
    assert len(engine.arrive(range(1, 41))) <= 4
    sent = engine.core.handle(ProgramFinished("101"), engine.now)
    assert [action for action in sent if isinstance(action, SendCall)] == []
