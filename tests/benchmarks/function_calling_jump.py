"""An event loop whose waits are skipped: what stated latencies alone come to, on a machine that is busy.

Everything else is as it is, sockets too: time stands still while anything runs, and jumps to the next
timer when nothing can. Server and clients have to share the loop.
"""

from __future__ import annotations

import asyncio
import selectors

_QUIET_S = 0.0005
"""Real seconds without anything on a socket after which nothing is on its way."""


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        found = super().select(_QUIET_S if timeout is not None else None)
        if not found and timeout is not None:
            self.now_s += timeout
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its time begins at 0 and is that of its timers."""

    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s
