"""What the runtime told its schedulers and was answered, and the same told to fresh ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TypeVar

from agentrt.clock import VirtualClock
from agentrt.runtime.scheduling import Scheduled
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policy import Policy

T = TypeVar("T")

_FOR_EVER_S = 1e6


def to_the_end(clock: VirtualClock, main: Coroutine[object, object, T]) -> T:
    """Run `main` in virtual time; what would wait for ever is a `TimeoutError`, not a test that hangs."""

    async def bounded() -> T:
        async with asyncio.timeout(_FOR_EVER_S):
            return await main

    return clock.run(bounded())


def replayed(
    log: Iterable[Scheduled], policy: Callable[[], Policy] = ByOccupancy
) -> dict[str, Scheduler]:
    """Fresh schedulers, by pool, after all of `log`; each answered everything as it was answered then.

    It is how a simulation drives one: events in, actions out, and nothing else.
    """
    schedulers: dict[str, Scheduler] = {}
    for entry in log:
        scheduler = schedulers.setdefault(entry.pool, Scheduler(policy()))
        assert scheduler.handle(entry.event, entry.at) == list(entry.actions), entry
        scheduler.check()
    return schedulers


def assert_nothing_is_left(log: Iterable[Scheduled]) -> None:
    """No program is known any more, none has a place, and no call is under way."""
    for scheduler in replayed(log).values():
        assert scheduler.programs == ()
        for replica in scheduler.replicas:
            assert (replica.occupied_blocks, dict(replica.running)) == (0, {})
