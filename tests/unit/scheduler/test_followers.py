"""Of calls that share a prefix one goes first, and the rest find it computed."""

from __future__ import annotations

import pytest

from agentrt.ir.prefix import Run
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import CancelCall, SchedulerAction, SendCall
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallCancelled,
    CallFailed,
    CallFinished,
    CallReady,
    FirstToken,
    ProgramArrived,
    ProgramCancelled,
    ReplicaDown,
    ReplicaUp,
    SchedulerEvent,
)
from agentrt.scheduler.followers import LEAST_BLOCKS
from agentrt.scheduler.policies.unmanaged import Unmanaged


def ready(call_id: str, shared: int = 40, program_id: str = "p") -> CallReady:
    """A prompt that begins as those of all its siblings do."""
    chain = (Run(0, shared), Run((int(call_id[1:]) + 1) << 20, 5))
    return CallReady(call_id=call_id, program_id=program_id, chain=chain, prompt_tokens=800)


class Fleet:
    """Replicas that everything may go to at once; one of them has told of a first token already."""

    def __init__(self, *, tells: bool = True) -> None:
        self.scheduler = Scheduler(Unmanaged())
        self.tell(ReplicaUp(replica_id="r0", kv_blocks=10_000))
        if tells:
            early = CallReady(call_id="c99", program_id="early", chain=(), prompt_tokens=1)
            for event in (
                ProgramArrived(program_id="early"),
                early,
                FirstToken("c99"),
                CallFinished("c99", Usage(), ()),
            ):
                self.tell(event)
        self.tell(ProgramArrived(program_id="p"))

    def tell(self, event: SchedulerEvent) -> list[SchedulerAction]:
        actions = self.scheduler.handle(event, 0.0)
        self.scheduler.check()
        return actions


def test_siblings_follow_at_the_first_token_of_the_first() -> None:
    fleet = Fleet()
    assert fleet.tell(ready("c0")) == [SendCall("c0", "r0")]
    assert [fleet.tell(ready("c1")), fleet.tell(ready("c2"))] == [[], []]
    assert fleet.tell(FirstToken("c0")) == [SendCall("c1", "r0"), SendCall("c2", "r0")]


def test_what_is_cached_already_is_not_waited_for() -> None:
    fleet = Fleet()
    fleet.tell(ready("c0"))
    fleet.tell(FirstToken("c0"))
    assert fleet.tell(ready("c1")) == [SendCall("c1", "r0")]
    assert fleet.tell(ready("c2")) == [SendCall("c2", "r0")]


@pytest.mark.parametrize(
    ("shared", "sent"),
    [(LEAST_BLOCKS, []), (LEAST_BLOCKS - 1, [SendCall("c1", "r0")])],
)
def test_a_few_blocks_are_not_waited_for(shared: int, sent: list[SchedulerAction]) -> None:
    fleet = Fleet()
    fleet.tell(ready("c0", shared))
    assert fleet.tell(ready("c1", shared)) == sent


def test_nobody_follows_one_of_another_program() -> None:
    fleet = Fleet()
    fleet.tell(ready("c0"))
    fleet.tell(ProgramArrived(program_id="q"))
    assert fleet.tell(ready("c1", program_id="q")) == [SendCall("c1", "r0")]


def test_nobody_follows_where_first_tokens_are_not_told_of() -> None:
    fleet = Fleet(tells=False)
    fleet.tell(ready("c0"))
    assert fleet.tell(ready("c1")) == [SendCall("c1", "r0")]


@pytest.mark.parametrize(
    "end",
    [CallFailed("c0"), CallFinished("c0", Usage(), (Run(0, 40),))],
)
def test_when_the_first_ends_without_a_token_the_next_goes_first(end: SchedulerEvent) -> None:
    fleet = Fleet()
    for call_id in ("c0", "c1", "c2"):
        fleet.tell(ready(call_id))
    sent = fleet.tell(end)
    # After an answer the prefix is there for all of them; after a failure as far as one can tell.
    assert sent == [SendCall("c1", "r0"), SendCall("c2", "r0")]


def test_when_the_first_is_cancelled_the_others_do_not_wait_for_ever() -> None:
    fleet = Fleet()
    for call_id in ("c0", "c1"):
        fleet.tell(ready(call_id))
    assert fleet.tell(CallCancelled("c0")) == [CancelCall("c0"), SendCall("c1", "r0")]


def test_one_that_follows_can_be_cancelled() -> None:
    fleet = Fleet()
    for call_id in ("c0", "c1", "c2"):
        fleet.tell(ready(call_id))
    assert fleet.tell(CallCancelled("c1")) == []
    assert fleet.tell(FirstToken("c0")) == [SendCall("c2", "r0")]


def test_a_program_can_be_cancelled_while_calls_follow() -> None:
    fleet = Fleet()
    for call_id in ("c0", "c1", "c2"):
        fleet.tell(ready(call_id))
    assert fleet.tell(ProgramCancelled("p")) == [CancelCall("c0")]
    assert fleet.scheduler.programs[0].program_id == "early"


def test_followers_on_a_replica_that_is_lost_go_elsewhere() -> None:
    fleet = Fleet()
    for call_id in ("c0", "c1", "c2"):
        fleet.tell(ready(call_id))
    fleet.tell(ReplicaDown("r0"))
    sent = fleet.tell(ReplicaUp(replica_id="r1", kv_blocks=1_000))
    assert sent == [SendCall(call_id, "r1") for call_id in ("c0", "c1", "c2")]
