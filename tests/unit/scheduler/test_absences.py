"""A context that was given up is computed again shortly before it is called for."""

from __future__ import annotations

import pytest

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.estimates.prefill import PrefillCost
from agentrt.ir.prefix import Chain, Run
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import Prewarm, SchedulerAction, SendCall, SetTimer
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFinished,
    CallReady,
    ProgramArrived,
    ProgramFinished,
    ReplicaDown,
    ReplicaUp,
    SchedulerEvent,
    TimerFired,
    ToolFinished,
    ToolStarted,
)
from agentrt.scheduler.policies.engine_admission import EngineAdmission

TOOL_S, PREFILL_S = 20.0, 2.0


def prefix(name: str, blocks: int = 60) -> Chain:
    return (Run(ord(name) << 20, blocks),)


def ready(name: str) -> CallReady:
    return CallReady(call_id=f"{name}0", program_id=name, chain=prefix(name), prompt_tokens=960)


class Engine:
    """One that holds one program's context, of which `a` gave its own up for `b`."""

    def __init__(self, *, touches: bool = True, ends_programs: bool = False) -> None:
        estimates = Estimates(prefill_prior=PrefillCost(PREFILL_S, 0.0, 0.0))
        for _ in range(1_000):
            estimates.observe_next_call("swe", 1, [(ToolUse("sh"), TOOL_S)], TOOL_S)
        for _ in range(5_000 * ends_programs):
            estimates.returns.observe("swe", ToolUse("sh"), came=False)
        self.scheduler = Scheduler(EngineAdmission(touches=touches), estimates=estimates)
        self.tell(ReplicaUp(replica_id="r0", kv_blocks=100), 0.0)
        for name in ("a", "b", "c"):
            self.tell(ProgramArrived(program_id=name, workflow="swe"), 0.0)
        self.tell(ready("a"), 0.0)
        self.tell(CallFinished("a0", Usage(), prefix("a")), 1.0)
        self.tell(ToolStarted("a", "t", "sh"), 1.0)
        self.given_up = self.tell(ready("b"), 2.0)

    def tell(self, event: SchedulerEvent, at: float) -> list[SchedulerAction]:
        actions = self.scheduler.handle(event, at)
        self.scheduler.check()
        return actions

    def end(self, name: str, at: float) -> list[SchedulerAction]:
        actions = self.tell(CallFinished(f"{name}0", Usage(), prefix(name)), at)
        return actions + self.tell(ProgramFinished(name), at)


def _timer(actions: list[SchedulerAction]) -> float:
    (timer,) = [action for action in actions if isinstance(action, SetTimer)]
    return timer.at


def test_it_is_computed_again_a_prefill_before_its_tool_is_expected_back() -> None:
    engine = Engine()
    assert engine.given_up[0] == SendCall("b0", "r0")
    due_at = _timer(engine.given_up)
    assert due_at == pytest.approx(1.0 + TOOL_S - PREFILL_S, rel=0.1)
    engine.end("b", 5.0)
    assert engine.tell(TimerFired("places"), due_at) == [Prewarm("a", "r0", prefix("a"))]
    assert engine.tell(TimerFired("places"), due_at + 1.0) == []


def test_what_hardly_any_program_comes_back_from_is_not_computed_again() -> None:
    engine = Engine(ends_programs=True)
    assert engine.given_up == [SendCall("b0", "r0")]


def test_it_counts_again_from_then_on() -> None:
    engine = Engine()
    engine.end("b", 5.0)
    engine.tell(TimerFired("places"), 20.0)
    (replica,) = engine.scheduler.replicas
    assert (list(replica.placed), replica.occupied_blocks) == (["a"], 60)


def test_it_is_not_where_there_is_no_room() -> None:
    engine = Engine()
    assert engine.tell(TimerFired("places"), _timer(engine.given_up)) == []


def test_it_is_not_where_somebody_waits() -> None:
    engine = Engine()
    engine.tell(ready("c"), 3.0)
    assert Prewarm("a", "r0", prefix("a")) not in engine.tell(TimerFired("places"), 30.0)


def test_it_is_not_once_its_program_has_come_back_or_ended() -> None:
    engine = Engine()
    engine.end("b", 5.0)
    engine.tell(ToolFinished("a", "t"), 6.0)
    again = CallReady(call_id="a1", program_id="a", chain=prefix("a", 70), prompt_tokens=1_120)
    assert engine.tell(again, 6.0) == [SendCall("a1", "r0")]
    assert engine.tell(TimerFired("places"), 30.0) == []
    engine = Engine()
    engine.end("b", 5.0)
    engine.tell(ProgramFinished("a"), 6.0)
    assert engine.tell(TimerFired("places"), 30.0) == []


def test_it_is_not_on_a_replica_that_was_lost_though_one_of_its_name_is_up_again() -> None:
    engine = Engine()
    engine.end("b", 5.0)
    engine.tell(ReplicaDown("r0"), 6.0)
    engine.tell(ReplicaUp(replica_id="r0", kv_blocks=100), 7.0)
    assert engine.tell(TimerFired("places"), 30.0) == []
    (replica,) = engine.scheduler.replicas
    assert replica.placed == {}
    assert not engine.scheduler.programs[0].has_place


def test_it_is_not_by_a_policy_that_leaves_caches_alone() -> None:
    engine = Engine(touches=False)
    assert engine.given_up == [SendCall("b0", "r0")]
