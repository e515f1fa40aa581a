"""Synchronous tools, each call in a thread of its own.

Python cannot stop a thread. So a call that is cancelled is waited for (nothing is left behind) for
`GRACE_S` at most, one that runs out of time is given up on at once but remembered, and the threads
are daemons, so that a tool that never returns cannot keep the process from exiting.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from agentrt.clock import Clock, VirtualClock

GRACE_S = 5.0
"""How long a cancelled run waits for a synchronous tool that is under way."""

_LAST_MOMENT_S = 1.0

_log = logging.getLogger("agentrt.runtime")


class Threads:
    """At most `limit` threads at once; a call beyond that waits its turn.

    A virtual clock is held still while threads are at work.
    """

    def __init__(self, *, limit: int, clock: Clock) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._held = clock if isinstance(clock, VirtualClock) else None
        self._abandoned: set[asyncio.Future[Any]] = set()

    async def call(
        self,
        function: Callable[..., Any],
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
    ) -> Any:
        """`function(**arguments)`, in a thread, with the caller's context variables.

        Raises:
            TimeoutError: it did not return in time; it may still be running.
        """
        await self._slots.acquire()
        future = self._start(function, arguments)
        try:
            done, _ = await asyncio.wait((future,), timeout=timeout_s)
        except asyncio.CancelledError:
            await self._outlast(future, getattr(function, "__name__", "tool"))
            raise
        if not done:
            self._abandon(future)
            raise TimeoutError
        return future.result()

    async def wait_abandoned(self, timeout_s: float) -> int:
        """Give calls that ran out of time `timeout_s` more; the number that still has not come back."""
        if self._abandoned:
            await asyncio.wait(set(self._abandoned), timeout=timeout_s)
        return len(self._abandoned)

    def _start(
        self, function: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()
        if self._held is not None:
            self._held.hold()

        def work() -> None:
            value: Any = None
            failure: BaseException | None = None
            try:
                value = context.run(lambda: function(**arguments))
            except (StopIteration, GeneratorExit, KeyboardInterrupt) as error:
                # On the event loop they would mean something else.
                failure = RuntimeError(f"the tool raised {type(error).__name__}: {error}")
            except BaseException as error:  # noqa: BLE001  whatever it is, the caller gets it
                failure = error
            try:
                loop.call_soon_threadsafe(self._settle, future, thread, value, failure)
            except RuntimeError:  # the loop has been closed: nobody waits for this any more
                return

        thread = threading.Thread(target=work, daemon=True, name="agentrt-tool")
        try:
            thread.start()
        except RuntimeError as error:  # the machine has no thread left: the slot must not be lost
            self._settle(future, None, None, error)
        return future

    def _settle(
        self,
        future: asyncio.Future[Any],
        thread: threading.Thread | None,
        value: Any,
        error: BaseException | None,
    ) -> None:
        if thread is not None:
            # It has done its last work and only has to end: whoever waits for the call then finds
            # no thread of it. A moment; bounded in case the machine has none for it.
            thread.join(_LAST_MOMENT_S)
        self._slots.release()
        if self._held is not None:
            self._held.release()
        if future.cancelled():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
            future.exception()  # read: an abandoned call's error is nobody's surprise

    async def _outlast(self, future: asyncio.Future[Any], name: str) -> None:
        """Wait for a thread to return, however often we are cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + GRACE_S
        while not future.done() and loop.time() < give_up_at:
            try:
                await asyncio.wait((future,), timeout=give_up_at - loop.time())
            except asyncio.CancelledError:
                continue
        if not future.done():
            self._abandon(future)
            _log.warning("tool %r is still running in its thread after being cancelled", name)

    def _abandon(self, future: asyncio.Future[Any]) -> None:
        self._abandoned.add(future)
        future.add_done_callback(self._abandoned.discard)
