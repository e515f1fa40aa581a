"""When a refused program is told to come again: by how often those that wait get their places."""

from __future__ import annotations

from agentrt.ir.prefix import Run
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import SendCall, Shed
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFinished,
    CallReady,
    ProgramArrived,
    ProgramFinished,
    ReplicaUp,
)
from agentrt.scheduler.policies.fixed_cap import FixedCap


def _scheduler() -> Scheduler:
    scheduler = Scheduler(FixedCap(1), max_waiting=1)
    scheduler.handle(ReplicaUp(replica_id="r0", kv_blocks=1000), 0.0)
    return scheduler


def _asks(scheduler: Scheduler, name: str, now: float) -> list[object]:
    scheduler.handle(ProgramArrived(program_id=name), now)
    chain = (Run(ord(name) << 20, 10),)
    ready = CallReady(call_id=name, program_id=name, chain=chain, prompt_tokens=160)
    return list(scheduler.handle(ready, now))


def _ends(scheduler: Scheduler, name: str, now: float) -> list[object]:
    scheduler.handle(CallFinished(name, Usage(), (Run(ord(name) << 20, 11),)), now)
    return list(scheduler.handle(ProgramFinished(name), now))


def test_hours_in_which_nobody_came_do_not_make_those_wait_that_come_then() -> None:
    scheduler = _scheduler()
    assert _asks(scheduler, "a", 0.0) == [SendCall("a", "r0")]
    _ends(scheduler, "a", 1.0)
    assert _asks(scheduler, "b", 36_000.0) == [SendCall("b", "r0")]
    assert _asks(scheduler, "c", 36_000.0) == []
    assert _asks(scheduler, "d", 36_001.0) == [Shed("d", 1.0)]


def test_who_is_refused_comes_again_when_the_one_that_waits_has_its_place() -> None:
    scheduler = _scheduler()
    _asks(scheduler, "a", 0.0)
    for before, name in zip("abcdefghijklmnopqrst", "bcdefghijklmnopqrstu", strict=True):
        now = 8.0 * (ord(before) - ord("a"))
        assert _asks(scheduler, name, now) == []
        assert _ends(scheduler, before, now + 8.0) == [SendCall(name, "r0")]
    assert _asks(scheduler, "v", 160.0) == []
    (refused,) = _asks(scheduler, "w", 161.0)
    assert isinstance(refused, Shed)
    assert 7.0 < refused.retry_after_s <= 8.0, "the first of all did not wait"
