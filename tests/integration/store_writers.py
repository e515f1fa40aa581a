"""What the processes do that test_store_processes.py starts, and kills."""

from __future__ import annotations

import asyncio
import random
from multiprocessing.connection import Connection

from agentrt.store import NodeRecord, RunRecord
from agentrt.store.sql import SQLStore


def a_run(run_id: str) -> RunRecord:
    return RunRecord(
        run_id=run_id, workflow="w", graph_hash="h", graph={"id": run_id}, input=0, created_at=1.0
    )


def a_node(run_id: str, number: int) -> NodeRecord:
    return NodeRecord(
        run_id=run_id,
        node_id=f"n{number}",
        kind="tool",
        status="finished",
        value=[number, "x" * (number % 300)],
    )


def write_until_killed(url: str, run_id: str, reports: Connection) -> None:
    """Report, after each flush, how many nodes are on disk by then."""

    async def main() -> None:
        store = SQLStore(url)
        store.write(a_run(run_id))
        await store.flushed()
        reports.send(0)
        dice = random.Random(run_id)
        written = 0
        while True:
            for _ in range(dice.choice((1, 2, 5, 40))):
                store.write(a_node(run_id, written))
                written += 1
            await store.flushed()
            reports.send(written)

    asyncio.run(main())


def write_many(url: str, run_id: str, count: int) -> None:
    """Write `count` nodes from twenty tasks at once, each waiting for each of its own."""

    async def main() -> None:
        store = SQLStore(url)
        store.write(a_run(run_id))

        async def some(first: int) -> None:
            for number in range(first, count, 20):
                store.write(a_node(run_id, number))
                await store.flushed()

        async with asyncio.TaskGroup() as tasks:
            for first in range(20):
                tasks.create_task(some(first))
        await store.aclose()

    asyncio.run(main())
