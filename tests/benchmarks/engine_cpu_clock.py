"""A clock for an engine on a machine with other work: it stands still while the engine has no CPU.

While no request is under way it goes with the wall; while one is, with the CPU time of the engine's
process, which must be all it needs: one thread, and nothing that waits. So other work on the machine
does not count, but what it takes away by sharing caches and a core's arithmetic with the engine does.
"""

from __future__ import annotations

import asyncio
import time

from agentrt.backends.base import Backend, OnChunk
from agentrt.ir.request import Capabilities, Completion, Request

_POLL_S = 0.004


class EngineCpuClock:
    """A `Clock`, of the engine in process `process_id`."""

    def __init__(self, process_id: int) -> None:
        # As clock_getcpuclockid(3) makes it.
        self._clock_id = (~process_id << 3) | 2
        self._wall = time.monotonic()
        self._cpu = time.clock_gettime(self._clock_id)
        self._now = 0.0
        self._requests = 0

    def now(self) -> float:
        wall, cpu = time.monotonic(), time.clock_gettime(self._clock_id)
        self._now += cpu - self._cpu if self._requests else wall - self._wall
        self._wall, self._cpu = wall, cpu
        return self._now

    def wall_time(self) -> float:
        return time.time()  # noqa: TID251  what it is for

    async def sleep(self, seconds: float) -> None:
        until = self.now() + seconds
        while (left := until - self.now()) > 0.0:  # noqa: ASYNC110  nobody tells how CPU time passes
            await asyncio.sleep(min(left, _POLL_S))

    def begin(self) -> None:
        """A request is under way."""
        self.now()
        self._requests += 1

    def end(self) -> None:
        """A request is over."""
        self.now()
        self._requests -= 1


class Watched:
    """A backend whose clock knows when requests are under way."""

    def __init__(self, backend: Backend, clock: EngineCpuClock) -> None:
        self._backend = backend
        self._clock = clock
        self.name = backend.name

    async def capabilities(self) -> Capabilities:
        return await self._backend.capabilities()

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        self._clock.begin()
        try:
            return await self._backend.complete(request, on_chunk=on_chunk)
        finally:
            self._clock.end()

    async def aclose(self) -> None:
        await self._backend.aclose()
