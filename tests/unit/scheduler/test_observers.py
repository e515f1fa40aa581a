"""Who learns what only one policy asks about."""

from __future__ import annotations

from agentrt.ir.prefix import Chain, Run
from agentrt.ir.request import Usage
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFinished,
    CallReady,
    ProgramArrived,
    ProgramFinished,
    ReplicaUp,
    SchedulerEvent,
)
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.scheduler.state import Call, Pause, Program


class Watch:
    """An observer that says what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, float]] = []

    def gap(self, pause: Pause, seconds: float) -> None:
        self.told.append(("gap", str(pause.turn), seconds))

    def waited(self, call: Call, seconds: float) -> None:
        self.told.append(("waited", call.call_id, seconds))

    def finished(self, program: Program, seconds: float) -> None:
        self.told.append(("finished", program.program_id, seconds))


def _scheduler() -> Scheduler:
    scheduler = Scheduler(Unmanaged())
    scheduler.handle(ReplicaUp(replica_id="r0", kv_blocks=10_000), 0.0)
    scheduler.handle(ProgramArrived(program_id="p"), 0.0)
    return scheduler


def _prefix(blocks: int) -> Chain:
    return (Run(0, blocks),)


def ready(call_id: str, chain: Chain) -> CallReady:
    return CallReady(call_id=call_id, program_id="p", chain=chain, prompt_tokens=100)


def finished(call_id: str, chain: Chain) -> CallFinished:
    return CallFinished(call_id, Usage(), chain)


def _play(scheduler: Scheduler, *events: tuple[float, SchedulerEvent]) -> None:
    for at, event in events:
        scheduler.handle(event, at)


def test_an_observer_is_made_when_it_is_asked_for_and_told_from_then_on() -> None:
    scheduler = _scheduler()
    watch = scheduler.outlook.observer(Watch)
    assert scheduler.outlook.observer(Watch) is watch
    _play(
        scheduler,
        (0.0, ready("c0", _prefix(20))),
        (1.0, finished("c0", _prefix(22))),
        (4.0, ready("c1", _prefix(30))),
        (5.0, ready("c2", _prefix(30))),
        (6.0, finished("c1", _prefix(33))),
        (6.0, finished("c2", _prefix(33))),
        (7.0, ProgramFinished("p")),
    )
    assert watch.told == [
        ("waited", "c0", 0.0),
        ("gap", "1", 3.0),
        ("waited", "c1", 0.0),
        ("waited", "c2", 0.0),
        ("finished", "p", 7.0),
    ]


def test_an_observer_that_knows_something_takes_the_place_of_one_of_its_kind() -> None:
    outlook, wise = _scheduler().outlook, Watch()
    outlook.observer(Watch)
    outlook.watch_with(wise)
    assert outlook.observer(Watch) is wise
