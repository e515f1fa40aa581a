"""Time, as an argument: real for users, virtual for tests and the simulator."""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """What the shell reads time from; the pure core is only ever handed `now`."""

    def now(self) -> float:
        """Monotonic seconds, from an arbitrary origin."""
        ...

    def wall_time(self) -> float:
        """Seconds since the Unix epoch, for records people read."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Suspend for `seconds`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.monotonic()

    def wall_time(self) -> float:
        return time.time()  # noqa: TID251  the one place where wall time is read

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """Time that jumps: an event loop where waiting costs nothing.

    Everything on the loop is affected, `asyncio.sleep` and `asyncio.timeout` inside users' tools
    included: when nothing is ready and no I/O is outstanding, time jumps to the next timer. Work
    in threads takes no virtual time: a loop with threads at work waits for them before it jumps.

        Runtime(backend, clock=VirtualClock()).run_sync(workflow)   # a workflow
        VirtualClock().run(main())                                  # any coroutine
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now = start_s
        self._holds = 0

    def now(self) -> float:
        return self._now

    def wall_time(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Move time forward by hand, without running anything."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._now += seconds

    def hold(self) -> None:
        """Keep time still until `release`: work outside the loop is under way."""
        self._holds += 1

    def release(self) -> None:
        """Undo one `hold`."""
        self._holds -= 1

    @property
    def is_held(self) -> bool:
        return self._holds > 0

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """A loop on this clock, for `asyncio.Runner(loop_factory=clock.new_event_loop)`."""
        return _VirtualTimeLoop(self)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` to its end in virtual time."""
        with asyncio.Runner(loop_factory=self.new_event_loop) as runner:
            return runner.run(coroutine)


@contextmanager
def held(clock: Clock) -> Generator[None]:
    """Virtual time stands still inside the block: it waits for something outside the loop."""
    if not isinstance(clock, VirtualClock):
        yield
        return
    clock.hold()
    try:
        yield
    finally:
        clock.release()


class _JumpingSelector(selectors.DefaultSelector):
    """Polls; where a real selector would wait for a timer, it moves the clock instead."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0 or self._clock.is_held:
            # A held clock waits for its threads in real time; they wake the loop when they end.
            return super().select(None if self._clock.is_held and timeout != 0 else timeout)
        ready = super().select(0)
        if not ready:
            self._clock.advance(timeout)
        return ready


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_JumpingSelector(clock))
        self._virtual_clock = clock

    def time(self) -> float:
        now = self._virtual_clock.now()
        # asyncio runs timers due within this; below the spacing of floats around `now`, which the
        # nanosecond of real clocks is half a year from the origin, a timer would never be due.
        self._clock_resolution = max(1e-9, 4.0 * math.ulp(now))
        return now
