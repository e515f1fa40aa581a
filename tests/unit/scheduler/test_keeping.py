"""How contexts between calls are kept: pinned where an engine takes holds, used again elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.ir.prefix import Chain, Run
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import HoldKV, Prewarm, ReleaseKV, SchedulerAction, SendCall
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFinished,
    CallReady,
    FirstToken,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    ProgramIdle,
    ReplicaUp,
    SchedulerEvent,
)
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Pause, PlacedContext


@dataclass
class KeepsFor(Unmanaged):
    """Everything goes at once, and every context is kept for so long."""

    seconds: float = 100.0
    name: str = "keeps"
    patience_s: float = 0.0
    touches: bool = True

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        return now + self.seconds


class Engine:
    """One replica, and programs that arrive when their first call does."""

    def __init__(self, policy: KeepsFor, *, kv_blocks: int = 1_000, takes_holds: bool) -> None:
        self.scheduler = Scheduler(policy)
        self.known: set[str] = set()
        self.tell(ReplicaUp(replica_id="r0", kv_blocks=kv_blocks, takes_holds=takes_holds))

    def tell(self, event: SchedulerEvent, at: float = 0.0) -> list[SchedulerAction]:
        actions = self.scheduler.handle(event, at)
        self.scheduler.check()
        return actions

    def ready(self, call_id: str, chain: Chain, at: float = 0.0) -> list[SchedulerAction]:
        name = call_id[0]
        if name not in self.known:
            self.known.add(name)
            self.tell(ProgramArrived(program_id=name), at)
        ready = CallReady(call_id=call_id, program_id=name, chain=chain, prompt_tokens=100)
        return self.tell(ready, at)

    def turn(self, call_id: str, chain: Chain, at: float = 0.0) -> list[SchedulerAction]:
        """A call that is answered at once; what its end leads to."""
        self.ready(call_id, chain, at)
        return self.tell(CallFinished(call_id, Usage(), chain), at)


def prefix(name: str, blocks: int = 20) -> Chain:
    return (Run(ord(name) << 20, blocks),)


def test_an_engine_that_takes_holds_is_asked_to_and_released_when_the_prompt_is_computed() -> None:
    engine = Engine(KeepsFor(), takes_holds=True)
    assert engine.turn("a0", prefix("a"), at=1.0) == [HoldKV("a", "r0", prefix("a"), 101.0)]
    assert engine.ready("a1", prefix("a", 30), at=5.0) == [SendCall("a1", "r0")]
    assert engine.tell(FirstToken("a1"), at=6.0) == [ReleaseKV("a", "r0")]


def test_a_hold_is_given_back_when_its_program_ends() -> None:
    for end in (ProgramFinished("a"), ProgramCancelled("a"), ProgramIdle("a")):
        engine = Engine(KeepsFor(), takes_holds=True)
        engine.turn("a0", prefix("a"))
        assert engine.tell(end, at=2.0) == [ReleaseKV("a", "r0")]


def test_the_other_branches_of_a_program_are_held_on() -> None:
    engine = Engine(KeepsFor(), takes_holds=True)
    left, right = (Run(0, 5), Run(1 << 20, 5)), (Run(0, 5), Run(2 << 20, 5))
    engine.turn("a0", left, at=1.0)
    engine.turn("a1", right, at=2.0)
    engine.ready("a2", (*left, Run(9 << 20, 5)), at=3.0)
    assert engine.tell(FirstToken("a2"), at=4.0) == [
        ReleaseKV("a", "r0"),
        HoldKV("a", "r0", right, 102.0),
    ]


def test_nothing_is_asked_of_an_engine_that_takes_no_holds_before_it_has_to_evict() -> None:
    engine = Engine(KeepsFor(), takes_holds=False)
    assert engine.turn("a0", prefix("a")) == []
    assert engine.tell(ProgramFinished("a")) == []


def test_a_context_about_to_be_evicted_is_used_again_before_the_call_that_evicts_it() -> None:
    engine = Engine(KeepsFor(), kv_blocks=50, takes_holds=False)  # 48 of them are relied on
    engine.turn("a0", prefix("a"))
    engine.turn("b0", prefix("b"))
    engine.tell(ProgramFinished("b"))
    assert engine.ready("c0", prefix("c")) == [
        Prewarm("a", "r0", prefix("a")),
        SendCall("c0", "r0"),
    ]


def test_what_is_kept_for_no_time_and_what_has_ended_is_not_used_again() -> None:
    for seconds, touches in ((0.0, True), (100.0, False)):
        policy = KeepsFor(seconds=seconds, touches=touches)
        engine = Engine(policy, kv_blocks=50, takes_holds=False)
        for name in ("a", "b"):
            engine.turn(f"{name}0", prefix(name))
        assert engine.ready("c0", prefix("c")) == [SendCall("c0", "r0")]
    engine = Engine(KeepsFor(), kv_blocks=50, takes_holds=False)
    for name in ("a", "b"):
        engine.turn(f"{name}0", prefix(name))
        engine.tell(ProgramFinished(name))
    assert engine.ready("c0", prefix("c")) == [SendCall("c0", "r0")]


def test_what_nothing_goes_on_from_is_not_kept() -> None:
    engine = Engine(KeepsFor(), takes_holds=True)
    engine.ready("a0", prefix("a"))
    assert engine.tell(CallFinished("a0", Usage(), prefix("a"), is_last=True)) == []
