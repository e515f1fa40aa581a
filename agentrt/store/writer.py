"""The grouped writer: one thread that owns the database, so that the event loop never waits for it.

While one group is being committed the next builds up, so that one fsync serves as many rows as came
in during the last: groups grow with the load and with the slowness of the disk.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, TypeVar

from agentrt.errors import StoreError
from agentrt.store.rows import Row, TableName

T = TypeVar("T")

TableRow: TypeAlias = tuple[TableName, Row]
_Loop: TypeAlias = asyncio.AbstractEventLoop
_Waiters: TypeAlias = dict[_Loop, asyncio.Future[None]]
_Job: TypeAlias = tuple[Callable[[], Any], Future[Any]]


class Database(Protocol):
    """What the writer's thread drives; only that thread ever touches it."""

    def open(self) -> None:
        """Called first."""
        ...

    def commit(self, rows: Sequence[TableRow]) -> None:
        """Write `rows` in one transaction, all of them or, with a `StoreError`, none."""
        ...

    def tick(self) -> None:
        """Called at least every `TICK_S` seconds between commits. Raises nothing."""
        ...

    def close(self) -> None:
        """Called last."""
        ...


TICK_S = 15.0


class GroupedWriter:
    """Takes rows from any thread and event loop; writes them in order, in groups."""

    def __init__(self, database: Database, *, name: str) -> None:
        self._database = database
        self._queue: deque[TableRow] = deque()
        self._lock = threading.Lock()
        self._work = threading.Event()
        # Guarded by the lock, from here to the blank line:
        self._waiters: _Waiters = {}
        self._jobs: list[_Job] = []
        self._is_closing = False
        self._is_closed = False
        self._error: StoreError | None = None

        self._waking: _Loop | None = None
        self._unsaved: list[TableRow] = []
        """What could not be written; older than everything in the queue. The thread's own."""
        # A daemon: a program that forgets `aclose` must still be able to end.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._opened: Future[None] = Future()
        self._thread.start()
        try:
            self._opened.result()
        except BaseException:
            self._thread.join()
            raise

    def put(self, row: TableRow) -> None:
        """Queue `row`.

        Raises:
            StoreError: an earlier group failed, or the store was closed.
        """
        if self._error is not None:
            raise StoreError(str(self._error)) from self._error
        if self._is_closing:
            raise StoreError("This store is closed.")
        self._queue.append(row)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._wake()
        else:
            self._wake_soon(loop)

    def flushed(self) -> asyncio.Future[None]:
        """Done once all that was queued before is on disk; fails with `StoreError`."""
        loop = asyncio.get_running_loop()
        with self._lock:
            future = self._waiters.get(loop)
            if future is not None:
                return future
            future = _Flush(loop=loop)
            if self._error is not None:
                future.set_exception(StoreError(str(self._error)))
                return future
            if self._is_closed:
                future.set_result(None)
                return future
            self._waiters[loop] = future
        self._wake_soon(loop)
        return future

    async def call(self, job: Callable[[], T]) -> T:
        """The result of `job`, run by the writer's thread after everything queued so far.

        Raises:
            StoreError: the store was closed, or what the job raises.
        """
        done: Future[T] = Future()
        with self._lock:
            if self._is_closing:
                raise StoreError("This store is closed.")
            self._jobs.append((job, done))
        self._work.set()
        return await asyncio.wrap_future(done)

    def retry(self) -> None:
        """For a job: try again to write what is queued. Raises `StoreError`."""
        if self._error is None:
            return
        waiters, rows = self._take_group()
        error = self._try_commit(rows)
        self._settle(waiters, error)
        if error is not None:
            raise StoreError(str(error)) from error

    async def aclose(self) -> None:
        """Write what is queued, then end the thread.

        Raises:
            StoreError: the last group could not be written.
        """
        with self._lock:
            is_first = not self._is_closing
            self._is_closing = True
        self._work.set()
        # A thread cannot be awaited, and it may be in the middle of a slow commit.
        while self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
        if is_first and self._error is not None:
            raise StoreError(str(self._error)) from self._error

    def _wake_soon(self, loop: _Loop) -> None:
        # Not at once: what the loop writes in this round belongs in the same group. A wake-up that
        # another loop has pending may never come, should that loop be closed.
        if self._waking is not loop:
            self._waking = loop
            loop.call_soon(self._wake)

    def _wake(self) -> None:
        self._waking = None
        self._work.set()

    def _run(self) -> None:
        try:
            self._database.open()
        except BaseException as error:  # noqa: BLE001  it is raised in the thread that waits for it
            self._database.close()
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        try:
            while self._serve():
                pass
        finally:
            self._database.close()
            with self._lock:
                self._is_closed = True
                waiters, self._waiters = self._waiters, {}
            self._settle(waiters, self._error)

    def _serve(self) -> bool:
        """One round; False when the store is closed and nothing is left to do."""
        self._work.wait(TICK_S)
        self._work.clear()
        with self._lock:
            is_closing = self._is_closing
            jobs, self._jobs = self._jobs, []
        waiters, rows = self._take_group()
        is_failed = self._error is not None and not is_closing
        self._settle(waiters, self._error if is_failed else self._try_commit(rows))
        for job, done in jobs:
            _perform(job, done)
        self._database.tick()
        return not is_closing

    def _take_group(self) -> tuple[_Waiters, list[TableRow]]:
        with self._lock:
            waiters, self._waiters = self._waiters, {}
        # After the waiters: a row that is written meanwhile may come along early, but none of
        # those that a waiter waits for can be left behind.
        queue = self._queue
        self._unsaved += [queue.popleft() for _ in range(len(queue))]
        return waiters, self._unsaved

    def _try_commit(self, rows: Sequence[TableRow]) -> StoreError | None:
        error: StoreError | None = None
        if rows:
            try:
                self._database.commit(rows)
            except StoreError as failure:
                error = failure
            except Exception as failure:  # noqa: BLE001  else those who wait would wait for ever
                error = StoreError(f"The store failed, by a bug in agentrt: {failure!r}")
                error.__cause__ = failure
            else:
                self._unsaved = []
        with self._lock:
            self._error = error
        return error

    def _settle(self, waiters: _Waiters, error: StoreError | None) -> None:
        for loop, future in waiters.items():
            # A loop that was closed has nobody left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_complete, future, error)


class _Flush(asyncio.Future[None]):
    """Shared by all who wait for a group: none of them may cancel it for the others."""

    def cancel(self, msg: Any = None) -> bool:  # noqa: ARG002  the signature is asyncio's
        return False


def _complete(future: asyncio.Future[None], error: StoreError | None) -> None:
    if error is None:
        future.set_result(None)
    else:
        # Not the writer's own: one exception gathers the tracebacks of all who raise it.
        future.set_exception(StoreError(str(error)))


def _perform(job: Callable[[], Any], done: Future[Any]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        result = job()
    except BaseException as error:  # noqa: BLE001  handed to the one who asked for the job
        done.set_exception(error)
    else:
        done.set_result(result)
