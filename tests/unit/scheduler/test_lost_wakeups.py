"""What must wake the scheduler: the end of a hold, a call that kept others back, a change missed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentrt.ir.prefix import Run
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import SendCall, SetTimer
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallCancelled,
    CallFinished,
    CallReady,
    ProgramArrived,
    ReplicaUp,
    TimerFired,
)
from agentrt.scheduler.policies.occupancy import ByOccupancy
from tests.property.scheduler_driver import World

CHAINS = {name: (Run(index << 32, 60),) for index, name in enumerate("abc", start=1)}


def _ready(call_id: str, blocks: int | None = None) -> CallReady:
    name = call_id[0]
    first = CHAINS[name][0].first
    chain = CHAINS[name] if blocks is None else (Run(first, blocks),)
    return CallReady(call_id=call_id, program_id=name, chain=chain, prompt_tokens=960)


def _scheduler(policy: ByOccupancy) -> Scheduler:
    scheduler = Scheduler(policy)
    scheduler.handle(ReplicaUp(replica_id="r0", kv_blocks=100), 0.0)
    for name in "abc":
        scheduler.handle(ProgramArrived(program_id=name), 0.0)
    return scheduler


def test_the_end_of_a_hold_wakes_one_that_may_move_already() -> None:
    scheduler = _scheduler(ByOccupancy(space_price=0.0, hold_limit_s=10.0, growth_turns=0.0))
    scheduler.handle(_ready("b1"), 0.0)
    scheduler.handle(CallFinished("b1", Usage(), CHAINS["b"]), 1.0)
    scheduler.handle(_ready("a1", 90), 12.0)
    scheduler.handle(CallFinished("a1", Usage(), (Run(CHAINS["a"][0].first, 91),)), 13.0)
    moves_at = 14.0 + scheduler.outlook.rebuild_s("r0", 5, 5)
    assert scheduler.handle(_ready("b2"), 14.0) == [SetTimer("places", moves_at)]
    assert scheduler.handle(TimerFired("places"), moves_at) == [SetTimer("places", 23.0)]
    assert scheduler.handle(TimerFired("places"), 23.0) == [SendCall("b2", "r0")]


def test_who_was_kept_back_by_a_call_goes_when_that_is_cancelled() -> None:
    scheduler = _scheduler(ByOccupancy(patience_s=0.0, growth_turns=0.0))
    assert scheduler.handle(_ready("a1"), 0.0) == [SendCall("a1", "r0")]
    assert scheduler.handle(_ready("b1", 90), 1.0) == []
    assert scheduler.handle(_ready("c1", 30), 2.0) == []
    assert scheduler.handle(CallCancelled("b1"), 3.0) == [SendCall("c1", "r0")]


@given(seed=st.integers(0, 10**6), patience_s=st.sampled_from([0.0, 5.0]))
def test_a_change_is_not_missed_by_those_that_were_kept_back(seed: int, patience_s: float) -> None:
    policy = ByOccupancy(patience_s=patience_s, growth_turns=0.0)
    World(policy, seed, replicas=2, kv_blocks=20, max_running=None).run()
