"""One live process works on a run; a dead one stands in nobody's way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from agentrt.errors import StoreError
from agentrt.store import NodeRecord, RunRecord
from agentrt.store.process import ProcessIdentity, this_process
from agentrt.store.sql import SQLStore
from agentrt.store.tables import processes, runs

RUN = RunRecord(run_id="run-1", workflow="w", graph_hash="h", graph={}, input=None, created_at=1.0)


async def change(store: SQLStore, statement: sa.Executable) -> None:
    await store._writer.call(lambda: store._database.write(lambda c: c.execute(statement)))


async def rows(store: SQLStore, statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
    return await store._writer.call(
        lambda: store._database.read(lambda c: [tuple(row) for row in c.execute(statement)])
    )


async def as_if(store: SQLStore, process: ProcessIdentity, *, silent_s: float = 0.0) -> None:
    """Let the store's claims be those of `process`."""
    values = {"host": process.host, "pid": process.pid, "started": process.started}
    await change(store, processes.update().values(**values, seen_at=processes.c.seen_at - silent_s))


async def test_a_new_run_belongs_to_the_process_that_writes_it(durable_url: str) -> None:
    ours, theirs = SQLStore(durable_url), SQLStore(durable_url)
    ours.write(RUN)
    await ours.flushed()
    with pytest.raises(StoreError, match=r"run-1 is under way in process \d+ on .*Wait until"):
        await theirs.claim("run-1", "them")
    ours.write(replace(RUN, status="finished"))
    await ours.flushed()
    await theirs.claim("run-1", "them")
    with pytest.raises(StoreError, match="under way in process"):
        await ours.claim("run-1", "us")
    await theirs.release("run-1")
    await ours.claim("run-1", "us")
    await ours.aclose()
    await theirs.aclose()


async def test_closing_gives_back_every_claim_and_leaves_no_trace(durable_url: str) -> None:
    ours, theirs = SQLStore(durable_url), SQLStore(durable_url)
    ours.write(RUN)
    ours.write(replace(RUN, run_id="run-2"))
    await ours.aclose()
    await theirs.claim("run-1", "them")
    assert await rows(theirs, sa.select(runs.c.run_id, runs.c.claimed_by).order_by("run_id")) == [
        ("run-1", theirs._database.process_id),
        ("run-2", None),
    ]
    await theirs.aclose()
    fresh = SQLStore(durable_url)
    assert await rows(fresh, sa.select(processes.c.process_id)) == []
    await fresh.aclose()


async def test_releasing_what_is_not_ours_changes_nothing(durable_url: str) -> None:
    ours, theirs = SQLStore(durable_url), SQLStore(durable_url)
    ours.write(RUN)
    await ours.flushed()
    await theirs.release("run-1")
    with pytest.raises(StoreError, match="under way"):
        await theirs.claim("run-1", "them")
    await ours.aclose()
    await theirs.aclose()


async def test_the_run_of_a_dead_process_is_taken_over_at_once(durable_url: str) -> None:
    dead, theirs = SQLStore(durable_url), SQLStore(durable_url)
    dead.write(RUN)
    await dead.flushed()
    await as_if(dead, replace(this_process(), started="1"))
    await theirs.claim("run-1", "them")
    # Should it live after all, it can write nothing any more: two would be at work.
    dead._database._seen_at -= 3600
    dead.write(NodeRecord(run_id="run-1", node_id="late", kind="tool", status="finished"))
    with pytest.raises(StoreError, match="another one took its runs over"):
        await dead.flushed()
    assert (await theirs.load("run-1")).nodes == ()
    with pytest.raises(StoreError, match="took its runs over"):
        await dead.aclose()
    await theirs.aclose()


async def test_a_process_on_another_machine_is_dead_once_it_was_silent(durable_url: str) -> None:
    far, theirs = SQLStore(durable_url), SQLStore(durable_url)
    far.write(RUN)
    await far.flushed()
    await as_if(far, ProcessIdentity("far/boot/ns", 1, "1"), silent_s=50)
    with pytest.raises(
        StoreError, match=r"belongs to process 1 on far, which .* lives 5\d s ago.*silent for 60 s"
    ):
        await theirs.claim("run-1", "them")
    await as_if(far, ProcessIdentity("far/boot/ns", 1, "1"), silent_s=11)
    await theirs.claim("run-1", "them")
    await far.aclose()
    await theirs.aclose()


async def test_a_process_that_waits_long_shows_that_it_lives(durable_url: str) -> None:
    store = SQLStore(durable_url)
    store.write(RUN)
    await store.flushed()
    await as_if(store, this_process(), silent_s=1_000)
    store._database._seen_at -= 3600
    await store._writer.call(store._database.tick)
    (age,) = await store._writer.call(
        lambda: store._database.read(
            lambda c: [store._database.silence_s(c, store._database.process_id)]
        )
    )
    assert -1 < age < 500
    await store.aclose()


async def test_a_run_begun_here_whose_end_could_not_be_written_can_be_claimed_again(
    durable_url: str,
) -> None:
    store = SQLStore(durable_url)
    store.write(RUN)
    await store.flushed()
    store._writer._error = StoreError("disk full")
    with pytest.raises(StoreError, match="disk full"):
        store.write(replace(RUN, status="failed"))
    store._writer._error = None
    await store.claim("run-1", "again")
    await store.aclose()
