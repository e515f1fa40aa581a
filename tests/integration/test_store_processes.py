"""Several processes on one store, and processes that are killed: nothing reported is ever lost."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import signal
import sqlite3
import time
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest

from agentrt.errors import StoreError
from agentrt.store.sql import SQLStore
from tests.integration.store_writers import a_node, a_run, write_many, write_until_killed


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    # Children start in milliseconds: they are forked from a process that has imported everything.
    context.set_forkserver_preload(["tests.integration.store_writers"])
    return context


class KillableWriter:
    """A process that writes until it is killed, and what it had reported by then."""

    def __init__(self, context: ForkServerContext, url: str, run_id: str) -> None:
        self.run_id = run_id
        self.reported = -1
        self._reports, sent = context.Pipe(duplex=False)
        self.process: ForkServerProcess = context.Process(
            target=write_until_killed, args=(url, run_id, sent)
        )
        self.process.start()
        sent.close()

    def wait_for(self, count: int) -> None:
        while self.reported < count:
            self.reported = self._reports.recv()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        assert self.process.exitcode == -signal.SIGKILL  # it did not end of itself, by an error
        try:
            while True:
                self.reported = self._reports.recv()
        except EOFError:
            self._reports.close()
        self.process.close()


def check_integrity(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


async def check_writer(store: SQLStore, writer: KillableWriter) -> None:
    """All that was reported is there; what came after is there from the front, without holes."""
    if writer.reported < 0:
        return
    stored = await store.load(writer.run_id)
    assert stored.run == a_run(writer.run_id)
    assert len(stored.nodes) >= writer.reported
    assert stored.nodes == tuple(a_node(writer.run_id, n) for n in range(len(stored.nodes)))


async def check_writers(path: Path, writers: list[KillableWriter]) -> None:
    store = SQLStore(str(path))
    for writer in writers:
        await check_writer(store, writer)
    await store.aclose()


def test_whatever_moment_a_process_is_killed_what_it_reported_is_on_disk(
    context: ForkServerContext, tmp_path: Path
) -> None:
    path = tmp_path / "runs.db"
    dice = random.Random(20)
    writers: list[KillableWriter] = []
    for round_number in range(12):
        pair = [
            KillableWriter(context, str(path), f"run-{round_number:02}-{name}") for name in "ab"
        ]
        if round_number % 2:
            # Well into the writing, at some moment of a commit.
            pair[0].wait_for(dice.randrange(1, 400))
            time.sleep(dice.uniform(0.0, 0.005))
        else:
            # From the first milliseconds on, when the tables are made.
            time.sleep(dice.uniform(0.0, 0.1))
        for writer in pair:
            writer.kill()
        writers += pair
        if path.exists():
            check_integrity(path)
    asyncio.run(check_writers(path, writers))
    check_integrity(path)


async def test_the_runs_of_a_killed_process_can_be_taken_over_at_once(
    context: ForkServerContext, tmp_path: Path
) -> None:
    url = str(tmp_path / "runs.db")
    writer = KillableWriter(context, url, "run-1")
    writer.wait_for(1)
    store = SQLStore(url)
    with pytest.raises(StoreError, match=f"under way in process {writer.process.pid} on"):
        await store.claim("run-1", "me")
    writer.kill()
    await store.claim("run-1", "me")
    await check_writer(store, writer)
    await store.aclose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_processes_that_write_to_one_store_lose_nothing(
    context: ForkServerContext, tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    path = tmp_path / "runs.db"
    url = str(path) if kind == "sqlite" else request.getfixturevalue("postgres_url")
    count = 4_000
    # None of them finds tables: each tries to make them.
    children = [
        context.Process(target=write_many, args=(url, f"run-{name}", count)) for name in "abc"
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
        child.close()
    store = SQLStore(url)
    for name in "abc":
        run_id = f"run-{name}"
        stored = await store.load(run_id)
        assert stored.run == a_run(run_id)
        nodes = sorted(stored.nodes, key=lambda node: int(node.node_id[1:]))
        assert nodes == [a_node(run_id, number) for number in range(count)]
    assert [run.node_count for run in await store.list_runs()] == [count] * 3
    await store.aclose()
    if kind == "sqlite":
        check_integrity(path)


async def test_a_run_whose_process_was_killed_is_listed_as_interrupted(
    context: ForkServerContext, tmp_path: Path
) -> None:
    url = str(tmp_path / "runs.db")
    store = SQLStore(url)
    store.write(a_run("ours"))
    await store.flushed()
    writer = KillableWriter(context, url, "theirs")
    writer.wait_for(0)

    async def listed() -> dict[str, bool]:
        return {run.run_id: run.is_interrupted for run in await store.list_runs()}

    assert await listed() == {"ours": False, "theirs": False}
    writer.kill()
    assert await listed() == {"ours": False, "theirs": True}
    await store.aclose()
