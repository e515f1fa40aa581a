"""An event loop whose waits are skipped: what stated latencies alone come to, on a machine that is busy.

Everything else is as it is, sockets too: time stands still while anything runs, and jumps to the next
timer when nothing can. Server and clients have to share the loop.
"""

from __future__ import annotations

import asyncio
import selectors

_LOOKS = 5
"""Times that sockets are looked at before a jump. Loopback delivers what is sent before it is said to be
sent; a wait here would cost what a busy machine takes to come back from one, at every token."""


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        for _ in range(_LOOKS if timeout > 0 else 1):
            found = super().select(0)
            if found:
                return found
        self.now_s += max(timeout, 0.0)
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its time begins at 0 and is that of its timers."""

    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s
