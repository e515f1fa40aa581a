"""How groups form, what order they keep and what becomes of a failure, seen from the database."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Sequence

import pytest

from agentrt.errors import StoreError
from agentrt.store.writer import GroupedWriter, TableRow


def row(number: int) -> TableRow:
    return ("nodes", (number,))


class RecordingDatabase:
    """Keeps the groups it is given; commits only while its gate is open."""

    def __init__(self) -> None:
        self.groups: list[list[TableRow]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fault: Exception | None = None
        self.is_open = False
        self.threads: set[str] = set()

    def open(self) -> None:
        self.is_open = True

    def commit(self, rows: Sequence[TableRow]) -> None:
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.groups.append(list(rows))

    def tick(self) -> None:
        pass

    def close(self) -> None:
        self.is_open = False


async def test_what_is_written_in_one_round_of_the_loop_is_one_group() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    for number in range(3):
        writer.put(row(number))
    await writer.flushed()
    assert database.groups == [[row(0), row(1), row(2)]]
    assert database.threads == {"writer"}
    await writer.aclose()


async def test_the_next_group_builds_up_while_one_is_committed() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    database.gate.clear()
    writer.put(row(0))
    first = writer.flushed()
    await asyncio.to_thread(database.entered.wait)
    waiting: list[asyncio.Future[None]] = []
    for number in range(1, 100):
        writer.put(row(number))
        waiting.append(writer.flushed())
        await asyncio.sleep(0)
    assert not first.done()
    database.gate.set()
    await first
    for future in waiting:
        await future
    assert database.groups == [[row(0)], [row(number) for number in range(1, 100)]]
    await writer.aclose()


async def test_rows_are_written_though_nobody_waits_for_them() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    writer.put(row(0))
    await asyncio.to_thread(database.entered.wait)
    await writer.aclose()
    assert database.groups == [[row(0)]]


async def test_closing_writes_what_is_queued_and_tells_those_who_wait() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    writer.put(row(0))
    waiting = writer.flushed()
    await writer.aclose()
    await waiting
    assert database.groups == [[row(0)]]
    assert not database.is_open
    assert "writer" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(StoreError, match="closed"):
        writer.put(row(1))
    with pytest.raises(StoreError, match="closed"):
        await writer.call(lambda: None)
    await writer.flushed()


async def test_a_job_sees_everything_written_before_it() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    writer.put(row(0))
    assert await writer.call(lambda: [list(group) for group in database.groups]) == [[row(0)]]
    with pytest.raises(ZeroDivisionError):
        await writer.call(lambda: 1 // 0)
    await writer.aclose()


async def test_after_a_failure_the_rows_wait_for_a_retry_in_their_order() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    database.fault = StoreError("disk full")
    database.gate.clear()
    writer.put(row(0))
    first = writer.flushed()
    await asyncio.to_thread(database.entered.wait)
    writer.put(row(1))
    second = writer.flushed()
    database.gate.set()
    for future in (first, second, writer.flushed()):
        with pytest.raises(StoreError, match="disk full"):
            await future
    with pytest.raises(StoreError, match="disk full"):
        writer.put(row(2))
    with pytest.raises(StoreError, match="disk full"):
        await writer.call(writer.retry)
    database.fault = None
    await writer.call(writer.retry)
    writer.put(row(3))
    await writer.flushed()
    assert [each for group in database.groups for each in group] == [row(0), row(1), row(3)]
    await writer.call(writer.retry)
    await writer.aclose()


async def test_a_bug_in_the_database_fails_those_who_wait_and_hangs_nobody() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    database.fault = KeyError("no such column")
    writer.put(row(0))
    with pytest.raises(StoreError, match=r"a bug in agentrt.*no such column"):
        await writer.flushed()
    database.fault = None
    await writer.aclose()
    assert database.groups == [[row(0)]]


async def test_closing_a_failed_store_says_so_once_and_still_lets_go() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    database.fault = StoreError("disk full")
    writer.put(row(0))
    with pytest.raises(StoreError, match="disk full"):
        await writer.aclose()
    await writer.aclose()
    assert not database.is_open


def test_a_database_that_does_not_open_is_told_to_the_caller() -> None:
    class Broken(RecordingDatabase):
        def open(self) -> None:
            raise StoreError("no such file")

    with pytest.raises(StoreError, match="no such file"):
        GroupedWriter(Broken(), name="never")
    assert "never" not in {thread.name for thread in threading.enumerate()}


def test_a_wake_up_lost_with_its_loop_delays_nobody() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")

    async def put() -> None:
        writer.put(row(0))

    lost = asyncio.new_event_loop()
    coroutine = put()
    # One step by hand, so that the loop closes before it runs the wake-up.
    lost.call_soon(lambda: None)
    asyncio._set_running_loop(lost)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    asyncio._set_running_loop(None)
    lost.close()

    async def main() -> None:
        await writer.flushed()
        assert database.groups == [[row(0)]]
        await writer.aclose()

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_loop_that_closed_before_its_flush_harms_no_other() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    database.gate.clear()

    async def leave() -> None:
        writer.put(row(0))
        writer.flushed()
        await asyncio.to_thread(database.entered.wait)

    asyncio.run(leave())
    database.gate.set()

    async def main() -> None:
        writer.put(row(1))
        await writer.flushed()
        await writer.aclose()

    asyncio.run(main())
    gc.collect()
    assert database.groups == [[row(0)], [row(1)]]


async def test_calls_between_two_flushes_share_a_future_that_none_of_them_can_cancel() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    writer.put(row(0))
    first = writer.flushed()
    writer.put(row(1))
    assert writer.flushed() is first
    assert not first.cancel()
    await first
    assert database.groups == [[row(0), row(1)]]
    assert writer.flushed() is not first
    await writer.aclose()


def test_rows_put_outside_any_loop_are_written_too() -> None:
    database = RecordingDatabase()
    writer = GroupedWriter(database, name="writer")
    writer.put(row(0))
    assert database.entered.wait(5)
    asyncio.run(writer.aclose())
    assert database.groups == [[row(0)]]
