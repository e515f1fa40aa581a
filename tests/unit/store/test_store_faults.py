"""A store that is locked, read-only, full, corrupt or not ours says so, and says what to do."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from agentrt.errors import StoreError
from agentrt.store import NodeRecord, RunRecord, open_store
from agentrt.store.sql import SQLStore
from agentrt.store.tables import metadata, schema_version

RUN = RunRecord(run_id="run-1", workflow="w", graph_hash="h", graph={}, input=None, created_at=1.0)


def a_node(number: int, value: Any = None) -> NodeRecord:
    return NodeRecord(
        run_id="run-1", node_id=f"n{number}", kind="tool", status="finished", value=value
    )


async def in_the_thread(store: SQLStore, work: Callable[[sa.Connection], None]) -> None:
    """`work` on the store's own connection, outside any transaction of its own."""
    await store._writer.call(lambda: work(store._database._connect()))


def pragma(text: str) -> Callable[[sa.Connection], None]:
    def run(connection: sa.Connection) -> None:
        connection.connection.cursor().execute(f"PRAGMA {text}")

    return run


async def test_a_locked_file_fails_after_the_wait_and_works_again_after_a_retry(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.db"
    store = SQLStore(str(path), busy_timeout_s=0.05)
    store.write(RUN)
    await store.flushed()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.write(a_node(1))
    with pytest.raises(StoreError, match=r"runs\.db.*another process keeps it locked.*try again"):
        await store.flushed()
    with pytest.raises(StoreError, match="locked"):
        store.write(a_node(2))
    with pytest.raises(StoreError, match="locked"):
        await store.retry()
    # Reading needs no lock.
    assert (await store.load("run-1")).nodes == ()
    other.execute("ROLLBACK")
    other.close()
    await store.retry()
    store.write(a_node(3))
    await store.flushed()
    assert (await store.load("run-1")).nodes == (a_node(1), a_node(3))
    await store.aclose()


async def test_a_locked_table_of_a_server_fails_after_the_wait_and_works_again_after_a_retry(
    postgres_url: str,
) -> None:
    store = SQLStore(postgres_url, busy_timeout_s=0.05)
    store.write(RUN)
    await store.flushed()
    other = SQLStore(postgres_url)
    await in_the_thread(other, _lock)
    store.write(a_node(1))
    with pytest.raises(StoreError, match="another process keeps it locked"):
        await store.flushed()
    await in_the_thread(other, lambda connection: connection.rollback())
    await store.retry()
    assert (await store.load("run-1")).nodes == (a_node(1),)
    await store.aclose()
    await other.aclose()


def _lock(connection: sa.Connection) -> None:
    connection.begin()
    connection.exec_driver_sql("LOCK TABLE nodes")


async def test_a_lock_that_is_let_go_in_time_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = SQLStore(str(path), busy_timeout_s=30)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    store.write(RUN)
    flushed = store.flushed()
    timer = threading.Timer(0.1, lambda: other.execute("ROLLBACK"))
    timer.start()
    await flushed
    timer.join()
    other.close()
    assert (await store.load("run-1")).run == RUN
    await store.aclose()


async def test_a_full_disk_loses_nothing_that_was_queued(tmp_path: Path) -> None:
    store = SQLStore(str(tmp_path / "runs.db"))
    store.write(RUN)
    await store.flushed()
    await in_the_thread(store, pragma("max_page_count=1"))  # as many pages as there are
    store.write(a_node(1, "x" * 200_000))
    with pytest.raises(StoreError, match=r"disk is full.*still in memory"):
        await store.flushed()
    # A new connection, as the store makes after a failure, knows no such limit: there is room.
    await store.retry()
    assert (await store.load("run-1")).nodes == (a_node(1, "x" * 200_000),)
    await store.aclose()


_WRITE_WITHOUT_PRIVILEGES = """
import asyncio, os, sys
from agentrt.errors import StoreError
from agentrt.store import RunRecord, open_store
scratch, path = sys.argv[1:]
async def main(path):
    store = open_store(path)
    try:
        store.write(RunRecord(run_id="2", workflow="", graph_hash="", graph=0, input=0, created_at=0))
        await store.flushed()
    finally:
        await store.aclose()
asyncio.run(main(scratch))  # so that all is imported while it may still be read
if os.geteuid() == 0:  # root may write anywhere
    os.setegid(65534)
    os.seteuid(65534)
try:
    asyncio.run(main(path))
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("is_directory_read_only", [False, True])
def test_a_read_only_store_is_told(
    tmp_path_factory: pytest.TempPathFactory, *, is_directory_read_only: bool
) -> None:
    directory = Path(tempfile.mkdtemp(prefix="agentrt-read-only-"))
    try:
        path = directory / "runs.db"
        asyncio.run(_make_store(path))
        path.chmod(0o444)
        directory.chmod(0o555 if is_directory_read_only else 0o777)
        scratch = tmp_path_factory.mktemp("scratch") / "runs.db"
        done = subprocess.run(  # noqa: S603  our own code
            [sys.executable, "-c", _WRITE_WITHOUT_PRIVILEGES, str(scratch), str(path)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert done.stderr == ""
        assert re.search(r"runs\.db.*is read-only\. Make both writable", done.stdout)
    finally:
        directory.chmod(0o700)
        shutil.rmtree(directory)


async def _make_store(path: Path) -> None:
    store = SQLStore(str(path))
    store.write(RUN)
    await store.aclose()


def test_garbage_is_not_taken_for_a_store(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes\n" * 1_000)
    with pytest.raises(StoreError, match=r"notes\.txt.*not an agentrt store.*another file"):
        open_store(str(path))
    assert path.read_text() == "these are my notes\n" * 1_000


async def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = SQLStore(str(path))
    store.write(RUN)
    for number in range(500):
        store.write(a_node(number, "x" * 500))
    await store.aclose()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    with pytest.raises(StoreError, match=r"damaged.*restore a copy"):
        await SQLStore(str(path)).load("run-1")


def test_a_directory_or_a_missing_one_is_told(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "no" / "such" / "runs.db"):
        with pytest.raises(StoreError, match="directory is missing or may not be written"):
            open_store(str(place))


def test_a_data_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/here cannot be made.*--store"):
        open_store(data_dir=tmp_path / "file" / "here")


async def test_a_store_of_a_newer_version_is_left_alone(durable_url: str) -> None:
    store = SQLStore(durable_url)
    await in_the_thread(store, _set_version(99))
    await store.aclose()
    with pytest.raises(StoreError, match=r"newer agentrt .schema 99; this one reads 2.*Upgrade"):
        open_store(durable_url)


def _set_version(version: int) -> Callable[[sa.Connection], None]:
    def run(connection: sa.Connection) -> None:
        with connection.begin():
            connection.execute(schema_version.update().values(version=version))

    return run


async def test_a_store_of_an_older_version_is_left_alone(durable_url: str) -> None:
    store = SQLStore(durable_url)
    await in_the_thread(store, _set_version(0))
    await store.aclose()
    with pytest.raises(StoreError, match="has schema 0; this agentrt reads 2"):
        open_store(durable_url)


async def test_the_tables_of_another_program_are_left_alone(durable_url: str) -> None:
    store = SQLStore(durable_url)
    await in_the_thread(store, _leave_only_runs)
    await store.aclose()
    with pytest.raises(StoreError, match=r"belongs to another program.*called runs"):
        open_store(durable_url)


def _leave_only_runs(connection: sa.Connection) -> None:
    with connection.begin():
        for name in set(metadata.tables) - {"runs"}:
            connection.exec_driver_sql(f"DROP TABLE {name}")


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StoreError, match="nothing listens there") as raised:
            open_store(f"postgresql://me:s3cret@127.0.0.1:{port}/runs")
    assert "s3cret" not in "".join(_whole_chain(raised.value))


def test_a_database_that_is_not_there_is_told(postgres_data: Path) -> None:
    with pytest.raises(StoreError, match=r"is missing\. Create it.*nosuch"):
        open_store(f"postgresql://postgres@/nosuch?host={postgres_data}")


def test_a_wrong_password_is_told_without_printing_it(postgres_data: Path) -> None:
    hba = postgres_data / "pg_hba.conf"
    before = hba.read_text()
    with psycopg.connect(f"host={postgres_data} user=postgres", autocommit=True) as admin:
        admin.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        hba.write_text(f"local all guarded scram-sha-256\n{before}")
        admin.execute("SELECT pg_reload_conf()")
        try:
            for password, told in (("wr0ng", "refuses that user and password"), ("", "password")):
                with pytest.raises(StoreError, match=told) as raised:
                    open_store(f"postgresql://guarded:{password}@/postgres?host={postgres_data}")
                assert "wr0ng" not in "".join(_whole_chain(raised.value))
        finally:
            hba.write_text(before)
            admin.execute("SELECT pg_reload_conf()")
            admin.execute("DROP ROLE guarded")


def _whole_chain(error: BaseException | None) -> list[str]:
    told: list[str] = []
    while error is not None:
        told.append(f"{error} {error!r} {error.args}")
        error = error.__cause__ or error.__context__
    return told


async def test_a_connection_the_server_closed_is_made_anew(
    postgres_url: str, postgres_data: Path
) -> None:
    store = SQLStore(postgres_url)
    store.write(RUN)
    await store.flushed()
    pids: list[int] = []
    await in_the_thread(store, lambda c: pids.append(_backend_pid(c)))
    with psycopg.connect(f"host={postgres_data} user=postgres", autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", pids)
    store.write(a_node(1))
    await store.flushed()
    assert (await store.load("run-1")).nodes == (a_node(1),)
    await store.aclose()


def _backend_pid(connection: sa.Connection) -> int:
    with connection.begin():
        pid: int = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    return pid


@pytest.mark.parametrize(
    "url", ["mysql://h/d", "redis://h", "http://user:s3cret@h", "sqlite://", "postgresql://h:x/d"]
)
def test_an_unknown_kind_of_store_is_told(url: str) -> None:
    with pytest.raises(StoreError) as raised:
        open_store(url)
    assert "memory:" in str(raised.value)
    assert "s3cret" not in "".join(_whole_chain(raised.value))


@pytest.mark.parametrize("url", ["", "  "])
def test_an_empty_name_is_told(url: str) -> None:
    with pytest.raises(StoreError, match="empty"):
        open_store(url)


async def test_a_file_that_was_deleted_or_replaced_is_told(tmp_path: Path) -> None:
    # SQLite would go on writing to the file that no longer has a name, and report success.
    path = tmp_path / "runs.db"
    for is_replaced in (False, True):
        store = SQLStore(str(path))
        store.write(RUN)
        await store.flushed()
        path.rename(tmp_path / "moved.db")
        if is_replaced:
            path.touch()
        store.write(a_node(1))
        with pytest.raises(StoreError, match=r"runs\.db was moved, deleted or replaced"):
            await store.flushed()
        with pytest.raises(StoreError, match="moved, deleted or replaced"):
            await store.aclose()
        path.unlink(missing_ok=True)
