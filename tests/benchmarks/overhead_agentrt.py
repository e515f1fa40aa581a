"""agentrt itself: in memory, durable, and durable with somebody listening to the reports."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from agentrt import Runtime, tool, workflow
from agentrt.backends.scripted import ScriptedBackend
from agentrt.dsl.workflow import Workflow
from agentrt.ir.event import Event, NodeFinished
from tests.benchmarks.overhead_cases import Case, Executed, RunCase

STORE = "runs.db"


class AgentRT:
    """`is_watched`: an observer hears of every finished node, after it is on disk when durable."""

    def __init__(self, *, is_durable: bool, is_watched: bool = False) -> None:
        self._is_durable = is_durable
        self._is_watched = is_watched

    @asynccontextmanager
    async def opened(self, case: Case, executed: Executed, folder: Path) -> AsyncIterator[RunCase]:
        declared = declare(case, executed)
        store = str(folder / STORE) if self._is_durable else None
        reported = 0

        def count(event: Event) -> None:
            nonlocal reported
            reported += isinstance(event, NodeFinished)

        on_event = count if self._is_watched else None
        # Equal calls would be made once, and the others' are made as often as they stand there.
        async with Runtime(
            ScriptedBackend(), store=store, on_event=on_event, without=["dedupe"]
        ) as runtime:

            async def run(times: int) -> None:
                before = reported
                if times == 1:
                    await runtime.run(declared, 1)
                else:
                    results = await runtime.run_many(declared, [{"value": 1}] * times)
                    if any(result.status != "finished" for result in results):
                        raise RuntimeError("a run did not finish")
                if self._is_watched and reported - before != case.nodes_per_run * times:
                    raise RuntimeError(f"{reported - before} nodes were reported")

            yield run

    def kept_nodes(self, folder: Path) -> int | None:
        if not self._is_durable:
            return None
        with closing(sqlite3.connect(folder / STORE)) as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM nodes WHERE status = 'finished'"
            ).fetchone()
        return int(count)


def declare(case: Case, executed: Executed) -> Workflow[[int], int]:
    """The case as a workflow; traced when it is first bound."""

    @tool(effects="none")
    async def noop(value: int) -> int:
        """Give the value back."""
        return await executed.noop(value)

    @tool(effects="none")
    async def join(values: list[int]) -> int:
        """Give the first value back."""
        return await executed.noop(values[0])

    def layer(value: int) -> int:
        return join([noop(value) for _ in range(case.width)])

    @workflow
    def chain(value: int) -> int:
        for _ in range(case.width):
            value = noop(value)
        return value

    @workflow
    def layers(value: int) -> int:
        for _ in range(case.depth):
            value = layer(value)
        return value

    return chain if case.shape == "chain" else layers
