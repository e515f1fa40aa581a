"""What every store promises, held by all of them: memory, SQLite, PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from agentrt.errors import StoreError
from agentrt.ir.request import Usage
from agentrt.store import (
    AttemptRecord,
    EventRecord,
    NodeRecord,
    Record,
    RunRecord,
    RunStore,
    RunSummary,
    StoredRun,
    open_store,
)

GRAPH = {"nodes": [{"id": "a"}, {"id": "b"}]}


def a_run(run_id: str = "run-1", **changes: Any) -> RunRecord:
    plain = RunRecord(
        run_id=run_id,
        workflow="digest",
        graph_hash="abc",
        graph=GRAPH,
        input={"question": "why?"},
        created_at=1_000.5,
    )
    return replace(plain, **changes)


def a_node(node_id: str = "a", **changes: Any) -> NodeRecord:
    plain = NodeRecord(run_id="run-1", node_id=node_id, kind="tool", status="finished")
    return replace(plain, **changes)


async def stored_value(store: RunStore, value: Any) -> Any:
    store.write(a_run())
    store.write(a_node(value=value))
    await store.flushed()
    return (await store.load("run-1")).nodes[0].value


async def test_a_run_comes_back_as_it_was_written(store: RunStore) -> None:
    run = a_run(
        target="flow.py:digest",
        status="finished",
        output=["x", 1, None],
        error="none",
        duration_s=2.25,
    )
    nodes = (
        a_node("b", kind="llm", value="text", usage=Usage(10, 4, 3), attempts=2, finished_s=0.5),
        a_node("a", status="started", started_s=0.125),
        a_node("c", status="failed", value="it broke", finished_s=0.75),
    )
    attempts = (
        AttemptRecord(
            run_id="run-1",
            node_id="b",
            attempt=1,
            status="failed",
            error="429",
            started_s=0.0,
            finished_s=0.25,
        ),
        AttemptRecord(
            run_id="run-1",
            node_id="b",
            attempt=2,
            status="finished",
            model="smol",
            usage=Usage(10, 4, 3),
            ttft_s=0.0625,
            started_s=0.25,
            finished_s=0.5,
            detail={"messages": []},
        ),
    )
    events = (
        EventRecord(run_id="run-1", seq=0, kind="RunStarted", at_s=0.0),
        EventRecord(run_id="run-1", seq=1, kind="NodeStarted", at_s=0.1, node_id="b", body=[1]),
    )
    records: list[Record] = [run, *nodes, *attempts, *reversed(events)]
    for record in records:
        store.write(record)
    await store.flushed()
    assert await store.load("run-1") == StoredRun(
        run=run, nodes=nodes, attempts=attempts, events=events
    )


async def test_a_later_record_replaces_the_earlier_and_moves_to_the_end(store: RunStore) -> None:
    store.write(a_run())
    store.write(a_node("a", status="started"))
    store.write(a_node("b"))
    await store.flushed()
    store.write(a_node("a", value=1))
    store.write(a_node("c", value=2))
    store.write(a_node("c", value=3))
    store.write(a_run(status="failed", error="no"))
    await store.flushed()
    stored = await store.load("run-1")
    assert stored.nodes == (a_node("b"), a_node("a", value=1), a_node("c", value=3))
    assert stored.run == a_run(status="failed", error="no")


async def test_attempts_of_two_sittings_are_both_kept(store: RunStore) -> None:
    first = AttemptRecord(
        run_id="run-1", node_id="a", attempt=1, status="failed", started_s=0.0, finished_s=1.0
    )
    second = replace(first, started_s=5.0, finished_s=6.0, status="finished")
    store.write(a_run())
    for record in (first, second, first):
        store.write(record)
    assert (await store.load("run-1")).attempts == (second, first)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "null",
        '"quoted"',
        "a\0b",
        "caf\u00e9 \U0001f600 \ud800 lone",
        {"k\0\ud800": ["\udfff"]},
        {"quote\"'": "%s %(x)s :x ? {}"},
        -0.0,
        1.7976931348623157e308,
        5e-324,
        2**63,
        -(10**4000),
        {"": {}},
        [[], {}],
    ],
    ids=ascii,
)
async def test_a_value_round_trips(store: RunStore, value: Any) -> None:
    back = await stored_value(store, value)
    assert back == value
    assert repr(back) == repr(value)


async def test_a_value_of_ten_million_bytes_round_trips(store: RunStore) -> None:
    value = {"text": "0123456789" * 1_000_000, "more": "\u4e2d" * 1_000_000}
    assert await stored_value(store, value) == value


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


async def test_four_hundred_levels_round_trip(store: RunStore) -> None:
    assert await stored_value(store, nested(400)) == nested(400)


def circular() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        [float("inf")],
        {"x": -float("inf")},
        {1, 2},
        b"bytes",
        nested(401),
        nested(10_000),
        circular(),
        10**5_000,
        {"ok": object()},
    ],
    ids=["nan", "inf", "-inf", "set", "bytes", "401", "10000", "circular", "long int", "object"],
)
async def test_what_json_has_not_is_refused_alone(store: RunStore, value: Any) -> None:
    store.write(a_run())
    with pytest.raises(StoreError, match=r"node 'bad'.*cannot be stored"):
        store.write(a_node("bad", value=value))
    store.write(a_node("good", value=1))
    await store.flushed()
    assert (await store.load("run-1")).nodes == (a_node("good", value=1),)


async def test_a_refused_run_leaves_nothing_behind(store: RunStore) -> None:
    with pytest.raises(StoreError, match="input of run 'run-1'"):
        store.write(a_run(input=float("nan")))
    with pytest.raises(StoreError, match="graph of run 'run-1'"):
        store.write(a_run(graph={"x": object()}))
    await store.flushed()
    assert await store.list_runs() == []


async def test_token_counts_no_database_holds_are_refused_alone(store: RunStore) -> None:
    store.write(a_run())
    for count in (10**30, 2**40 + 1, -1):
        with pytest.raises(StoreError, match="usage of node 'a'"):
            store.write(a_node(usage=Usage(count, 0, 0)))
    await store.flushed()
    assert (await store.load("run-1")).nodes == ()


@pytest.mark.parametrize(
    "text",
    [
        'it\'s "quoted"; DROP TABLE runs; --',
        '"starts with a quote',
        "%_\\ %s :name ?",
        "a\0b",
        "file-\udcff",
        "\u5e74\U0001f600\u0301",
        "x" * 10_000,
    ],
    ids=["sql", "quote", "patterns", "nul", "surrogate", "unicode", "long"],
)
async def test_every_text_round_trips(store: RunStore, text: str) -> None:
    run = a_run(text, workflow=text, target=text, graph_hash=text, error=text)
    node = a_node(text, run_id=text)
    attempt = AttemptRecord(
        run_id=text,
        node_id=text,
        attempt=1,
        status="failed",
        error=text,
        model=text,
        started_s=0.0,
        finished_s=0.0,
    )
    event = EventRecord(run_id=text, seq=0, kind=text, at_s=0.0, node_id=text)
    for record in (run, node, attempt, event):
        store.write(record)
    await store.flushed()
    assert await store.load(text) == StoredRun(
        run=run, nodes=(node,), attempts=(attempt,), events=(event,)
    )
    assert [run.workflow for run in await store.list_runs(workflow=text)] == [text]


async def test_changing_a_value_after_it_was_written_changes_nothing(store: RunStore) -> None:
    store.write(a_run())
    value = [1]
    store.write(a_node(value=value))
    value.append(2)
    assert (await store.load("run-1")).nodes[0].value == [1]


async def test_a_run_is_found_by_the_beginning_of_its_id(store: RunStore) -> None:
    for run_id in ("abc1", "abc2", "abd", "ABE", "x%y", "x_y", "abc"):
        store.write(a_run(run_id))
    for prefix, run_id in {
        "abc1": "abc1",
        "abd": "abd",
        "A": "ABE",
        "x%": "x%y",
        "abc": "abc",
    }.items():
        assert (await store.load(prefix)).run.run_id == run_id
    with pytest.raises(StoreError, match=r"Several runs begin with 'ab'.*abc1"):
        await store.load("ab")
    for unknown in ("", "zzz", "x%y%", "%", "abc\0", "\ud800"):
        with pytest.raises(StoreError, match="There is no run"):
            await store.load(unknown)


async def test_runs_are_listed_newest_first_with_their_nodes_and_tokens(store: RunStore) -> None:
    store.write(a_run("old", created_at=1.0, status="finished", duration_s=3.0))
    store.write(a_run("new", created_at=2.0, error="why"))
    store.write(a_run("other", created_at=3.0, workflow="else"))
    for number in range(3):
        store.write(a_node(f"{number}.llm", run_id="new", kind="llm", usage=Usage(10, 5, 1)))
    # Regions repeat the tokens of their children.
    store.write(a_node("fix", run_id="new", kind="agent", usage=Usage(30, 15, 3)))
    store.write(a_node("t", run_id="old"))
    other = RunSummary(
        run_id="other",
        workflow="else",
        status="running",
        created_at=3.0,
        duration_s=0.0,
        node_count=0,
    )
    new = RunSummary(
        run_id="new",
        workflow="digest",
        status="running",
        created_at=2.0,
        duration_s=0.0,
        node_count=4,
        usage=Usage(30, 15, 3),
        error="why",
    )
    old = RunSummary(
        run_id="old",
        workflow="digest",
        status="finished",
        created_at=1.0,
        duration_s=3.0,
        node_count=1,
    )
    assert await store.list_runs() == [other, new, old]
    assert await store.list_runs(limit=1) == [other]
    assert await store.list_runs(workflow="digest", limit=5) == [new, old]
    assert await store.list_runs(limit=0) == []
    assert await store.list_runs(limit=-1) == []
    assert await store.list_runs(workflow="nope") == []


async def test_flushing_nothing_is_done_at_once(store: RunStore) -> None:
    await store.flushed()
    await store.flushed()


async def test_cancelling_one_who_waits_disturbs_no_other(store: RunStore) -> None:
    store.write(a_run())
    reached: list[str] = []

    async def wait(name: str) -> None:
        await store.flushed()
        reached.append(name)

    tasks = [asyncio.create_task(wait(name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.wait(tasks)
    assert "b" in reached
    assert (await store.load("run-1")).run == a_run()


def test_loops_that_come_and_go_and_threads_share_a_store(url: str) -> None:
    store = open_store(url)

    async def write(name: str) -> None:
        for number in range(20):
            store.write(a_node(f"{name}-{number}"))
            await store.flushed()

    async def begin() -> None:
        store.write(a_run())

    asyncio.run(begin())  # nobody waits for this flush, and the loop is gone
    asyncio.run(write("loop"))
    threads = [
        threading.Thread(target=lambda name=f"thread{n}": asyncio.run(write(name)))
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def names() -> set[str]:
        stored = await store.load("run-1")
        await store.aclose()
        return {node.node_id for node in stored.nodes}

    writers = ("loop", "thread0", "thread1", "thread2")
    assert asyncio.run(names()) == {f"{w}-{n}" for w in writers for n in range(20)}


async def test_many_runs_at_once_lose_nothing(store: RunStore) -> None:
    async def one(number: int) -> None:
        run_id = f"r{number:03}"
        store.write(a_run(run_id))
        for step in range(5):
            store.write(a_node(f"n{step}", run_id=run_id, value=[number, step]))
            await store.flushed()

    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(one(number))
    for number in (0, 99, 199):
        stored = await store.load(f"r{number:03}")
        assert [node.value for node in stored.nodes] == [[number, step] for step in range(5)]
    assert {run.node_count for run in await store.list_runs(limit=500)} == {5}


async def test_a_run_under_way_here_cannot_be_claimed_until_it_ends(store: RunStore) -> None:
    store.write(a_run())
    with pytest.raises(StoreError, match="run-1 is under way in this process"):
        await store.claim("run-1", "me")
    store.write(a_run(status="failed"))
    await store.claim("run-1", "me")
    await store.claim("run-1", "me")
    with pytest.raises(StoreError, match="under way in this process"):
        await store.claim("run-1", "you")
    store.write(a_run(status="running"))
    await store.claim("run-1", "me")
    await store.release("run-1")
    await store.release("run-1")
    await store.claim("run-1", "you")


async def test_of_two_who_claim_at_once_one_wins(store: RunStore) -> None:
    store.write(a_run(status="failed"))
    won: list[str] = []

    async def claim(owner: str) -> None:
        try:
            await store.claim("run-1", owner)
        except StoreError:
            return
        won.append(owner)

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(claim(f"owner-{number}"))
    assert len(won) == 1


async def test_only_a_stored_run_can_be_claimed(store: RunStore) -> None:
    with pytest.raises(StoreError, match="There is no run 'nope'"):
        await store.claim("nope", "me")


async def test_closing_twice_is_fine(store: RunStore) -> None:
    store.write(a_run())
    await store.aclose()
    await store.aclose()
