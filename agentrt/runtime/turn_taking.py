"""`TurnTaking`: so many at once, runs in the order they came, and of one run what matters most first."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from typing import TypeAlias

_Entry: TypeAlias = tuple[float, int, asyncio.Future[None]]


class TurnTaking:
    """A semaphore that is fair between owners, and lets each say which of its own goes first.

    Whoever waits has a turn in line. When a turn comes it is taken by the waiting one of the same owner
    that has the highest precedence (of equal ones the first that came), so that an owner gains nothing
    over others by what it says of its own.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._line: deque[str] = deque()
        self._waiting: dict[str, list[_Entry]] = {}
        self._count = count()

    @asynccontextmanager
    async def turn(self, owner: str, precedence: float) -> AsyncGenerator[None]:
        """A block that at most `limit` are in at once."""
        if self._free > 0:  # then nobody waits
            self._free -= 1
        else:
            await self._wait(owner, precedence)
        try:
            yield
        finally:
            self._release()

    async def _wait(self, owner: str, precedence: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (-precedence, next(self._count), turn)
        heapq.heappush(self._waiting.setdefault(owner, []), entry)
        self._line.append(owner)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given one at the same moment
                self._release()
            raise

    def _release(self) -> None:
        while self._line:
            owner = self._line.popleft()
            waiting = self._waiting[owner]
            _, _, turn = heapq.heappop(waiting)
            if not waiting:
                del self._waiting[owner]
            if not turn.done():  # who was cancelled needs none
                turn.set_result(None)
                return
        self._free += 1
