"""`PoolTimers`: the times that a scheduler wants to be told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentrt.clock import Clock
from agentrt.scheduler.events import TimerId


class PoolTimers:
    """On the running loop. A timer that is set again replaces itself."""

    def __init__(self, clock: Clock, fired: Callable[[TimerId, float], None]) -> None:
        """`fired` is told which one it was, and for when it was set."""
        self._clock = clock
        self._fired = fired
        self._handles: dict[TimerId, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """Those that have not fired."""
        return len(self._handles)

    def set(self, timer_id: TimerId, at: float) -> None:
        """Fire at `at`, or at once if that is over."""

        def fire() -> None:
            del self._handles[timer_id]
            self._fired(timer_id, at)

        earlier = self._handles.pop(timer_id, None)
        if earlier is not None:
            earlier.cancel()
        delay_s = max(at - self._clock.now(), 0.0)
        self._handles[timer_id] = asyncio.get_running_loop().call_later(delay_s, fire)

    def close(self) -> None:
        """None of them fires any more."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()
