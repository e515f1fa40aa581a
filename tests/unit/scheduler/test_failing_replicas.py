"""A call that failed at a replica is made at another one, where there is one."""

from __future__ import annotations

import pytest

from agentrt.ir.prefix import Chain, Run
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import SchedulerAction, SendCall
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallCancelled,
    CallFailed,
    CallFinished,
    CallReady,
    ProgramArrived,
    ProgramFinished,
    ReplicaDown,
    ReplicaUp,
    SchedulerEvent,
)
from agentrt.scheduler.policies.occupancy import ByOccupancy

PATIENCE_S = 60.0


def chain(program: int, blocks: int) -> Chain:
    return (Run(1000 * (program + 1), blocks),)


def ready(call: str, blocks: int = 20) -> CallReady:
    """A call `NAME.TURN` of the program `NAME`, which is a number."""
    program = call.split(".", maxsplit=1)[0]
    return CallReady(
        call_id=call, program_id=program, chain=chain(int(program), blocks), prompt_tokens=1
    )


def finished(call: str, blocks: int = 22) -> CallFinished:
    return CallFinished(call, Usage(), chain(int(call.split(".", maxsplit=1)[0]), blocks))


class Core:
    """A scheduler that is recounted after every event."""

    def __init__(self, *, replicas: int, programs: int = 2, max_running: int | None = None) -> None:
        self.scheduler = Scheduler(ByOccupancy(patience_s=PATIENCE_S, limits_batches=False))
        for index in range(replicas):
            up = ReplicaUp(replica_id=f"r{index}", kv_blocks=1000, max_running=max_running)
            self.tell(up, 0.0)
        for index in range(programs):
            self.tell(ProgramArrived(program_id=str(index)), 0.0)

    def tell(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        actions = self.scheduler.handle(event, now)
        self.scheduler.check()
        return [action for action in actions if isinstance(action, SendCall)]

    def places(self) -> dict[str, str | None]:
        return {
            program.program_id: program.replica_id
            for program in self.scheduler.programs
            if program.has_place
        }


def test_the_program_goes_on_at_another_replica_and_stays_there() -> None:
    core = Core(replicas=2, programs=1)
    assert core.tell(ready("0.0"), 1.0) == [SendCall("0.0", "r0")]
    assert core.tell(CallFailed("0.0", moves=True), 2.0) == []
    assert core.places() == {}
    assert core.tell(ready("0.1"), 3.0) == [SendCall("0.1", "r1")]
    core.tell(finished("0.1"), 4.0)
    assert core.tell(ready("0.2", 24), 5.0) == [SendCall("0.2", "r1")]


def test_what_says_nothing_of_the_replica_does_not_move_the_program() -> None:
    core = Core(replicas=2, programs=1)
    core.tell(ready("0.0"), 1.0)
    core.tell(CallFailed("0.0"), 2.0)
    assert core.tell(ready("0.1"), 3.0) == [SendCall("0.1", "r0")]


def test_with_one_replica_it_goes_there_again() -> None:
    core = Core(replicas=1, programs=1)
    for turn in range(3):
        assert core.tell(ready(f"0.{turn}"), 1.0) == [SendCall(f"0.{turn}", "r0")]
        core.tell(CallFailed(f"0.{turn}", moves=True), 1.0)


def test_one_that_fails_everywhere_goes_on_where_it_failed_last() -> None:
    core = Core(replicas=3, programs=1)
    sent = []
    for turn in range(4):
        sent += core.tell(ready(f"0.{turn}"), float(turn))
        core.tell(CallFailed(f"0.{turn}", moves=True), turn + 0.5)
    assert [send.replica_id for send in sent if isinstance(send, SendCall)] == [
        *("r0", "r1", "r2", "r2")
    ]


def test_a_replica_that_comes_up_is_somewhere_else_to_go() -> None:
    core = Core(replicas=1, programs=1)
    core.tell(ready("0.0"), 1.0)
    core.tell(CallFailed("0.0", moves=True), 2.0)
    core.tell(ReplicaUp(replica_id="r9", kv_blocks=1000), 3.0)
    assert core.tell(ready("0.1"), 4.0) == [SendCall("0.1", "r9")]


def test_it_goes_back_where_all_others_are_gone() -> None:
    core = Core(replicas=2, programs=1)
    core.tell(ready("0.0"), 1.0)
    core.tell(CallFailed("0.0", moves=True), 2.0)
    core.tell(ready("0.1"), 3.0)
    assert core.tell(ReplicaDown("r1"), 4.0) == [SendCall("0.1", "r0")]


def test_an_answer_since_then_makes_up_for_it_and_one_from_before_does_not() -> None:
    core = Core(replicas=2, programs=1)
    core.tell(ready("0.0"), 1.0)
    core.tell(ready("0.1", 30), 1.0)
    core.tell(CallFailed("0.0", moves=True), 2.0)
    core.tell(finished("0.1", 32), 3.0)
    assert core.tell(ready("0.2"), 4.0) == [SendCall("0.2", "r1")]
    core.tell(finished("0.2"), 5.0)
    core.tell(ready("0.3", 24), 6.0)
    core.tell(CallFailed("0.3", moves=True), 7.0)
    assert core.tell(ready("0.4", 24), 8.0) == [SendCall("0.4", "r0")]


def test_its_other_calls_at_work_there_are_let_end_and_then_it_moves() -> None:
    core = Core(replicas=2, programs=1)
    core.tell(ready("0.0"), 1.0)
    core.tell(ready("0.1", 30), 1.0)
    core.tell(CallFailed("0.0", moves=True), 2.0)
    assert core.places() == {"0": "r0"}
    core.tell(CallFailed("0.1", moves=True), 3.0)
    assert core.places() == {}
    sent = core.tell(ready("0.2"), 4.0) + core.tell(ready("0.3", 30), 4.0)
    assert sent == [SendCall("0.2", "r1"), SendCall("0.3", "r1")]


def test_calls_that_wait_there_for_a_slot_move_with_it() -> None:
    core = Core(replicas=2, programs=1, max_running=1)
    core.tell(ready("0.0"), 1.0)
    assert core.tell(ready("0.1", 30), 1.0) == []
    assert core.tell(CallFailed("0.0", moves=True), 2.0) == [SendCall("0.1", "r1")]


@pytest.mark.parametrize("other_end", ["answered", "cancelled"])
def test_calls_that_wait_there_are_not_sent_there_while_others_of_it_are_let_end(
    other_end: str,
) -> None:
    core = Core(replicas=2, programs=1, max_running=2)
    core.tell(ready("0.0"), 1.0)
    core.tell(ready("0.1", 30), 1.0)
    assert core.tell(ready("0.2", 40), 1.0) == []
    assert core.tell(CallFailed("0.0", moves=True), 2.0) == []
    end = finished("0.1", 32) if other_end == "answered" else CallCancelled("0.1")
    assert core.tell(end, 3.0) == [SendCall("0.2", "r1")]


def test_calls_that_wait_go_when_another_replica_comes_up() -> None:
    core = Core(replicas=1, programs=2, max_running=1)
    core.tell(ready("0.0"), 1.0)
    core.tell(CallFailed("0.0", moves=True), 2.0)
    core.tell(ready("0.1"), 3.0)
    core.tell(ready("0.2", 30), 3.0)
    core.tell(ReplicaUp(replica_id="r9", kv_blocks=1000, max_running=1), 4.0)
    assert core.tell(CallCancelled("0.1"), 5.0) == [SendCall("0.2", "r9")]


def test_it_waits_for_room_elsewhere_and_not_for_ever() -> None:
    core = Core(replicas=2, programs=3, max_running=1)
    assert core.tell(ready("0.0"), 1.0) == [SendCall("0.0", "r0")]
    assert core.tell(ready("1.0"), 1.0) == [SendCall("1.0", "r1")]
    core.tell(CallFailed("0.0", moves=True), 2.0)
    assert core.tell(ready("0.1"), 3.0) == []
    assert core.tell(ready("2.0"), 4.0) == [SendCall("2.0", "r0")]
    assert core.tell(finished("2.0"), 5.0) == []
    assert core.tell(ready("2.1", 24), 6.0) == [SendCall("2.1", "r0")]
    after = 3.0 + PATIENCE_S + 1.0
    assert core.tell(finished("2.1", 26), after) == [SendCall("0.1", "r0")]


def test_room_elsewhere_is_taken_as_soon_as_there_is_some() -> None:
    core = Core(replicas=2, programs=2, max_running=1)
    core.tell(ready("0.0"), 1.0)
    core.tell(ready("1.0"), 1.0)
    core.tell(CallFailed("0.0", moves=True), 2.0)
    core.tell(ready("0.1"), 3.0)
    core.tell(finished("1.0"), 4.0)
    core.tell(ProgramFinished("1"), 5.0)
    assert core.places() == {"0": "r1"}
