"""DBOS with its own SQLite database: every step is a row, committed before the next one starts."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from dbos import DBOS  # type: ignore[import-not-found, unused-ignore]  # only with [bench]

from tests.benchmarks.overhead_cases import Case, Executed, RunCase

STORE = "dbos.sqlite"


class DBOSSteps:
    @asynccontextmanager
    async def opened(self, case: Case, executed: Executed, folder: Path) -> AsyncIterator[RunCase]:
        DBOS(
            config={
                "name": "overhead",
                "system_database_url": f"sqlite:///{folder / STORE}",
                "log_level": "ERROR",
                "enable_otlp": False,
            }
        )
        program = _program(case, executed)
        DBOS.launch()
        try:

            async def run(times: int) -> None:
                async with asyncio.TaskGroup() as runs:
                    for _ in range(times):
                        runs.create_task(_as_coroutine(program(1)))

            yield run
        finally:
            DBOS.destroy()

    def kept_nodes(self, folder: Path) -> int | None:
        with closing(sqlite3.connect(folder / STORE)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM operation_outputs").fetchone()
        return int(count)


async def _as_coroutine(awaitable: Awaitable[int]) -> int:
    return await awaitable


def _program(case: Case, executed: Executed) -> Callable[[int], Awaitable[int]]:
    @DBOS.step()  # type: ignore[untyped-decorator, unused-ignore]
    async def noop(value: int) -> int:
        return await executed.noop(value)

    @DBOS.workflow()  # type: ignore[untyped-decorator, unused-ignore]
    async def chain(value: int) -> int:
        for _ in range(case.width):
            value = await noop(value)
        return value

    @DBOS.workflow()  # type: ignore[untyped-decorator, unused-ignore]
    async def layers(value: int) -> int:
        for _ in range(case.depth):
            async with asyncio.TaskGroup() as tasks:
                siblings = [tasks.create_task(noop(value)) for _ in range(case.width)]
            value = await noop(siblings[0].result())
        return value

    program: Callable[[int], Awaitable[int]] = chain if case.shape == "chain" else layers
    return program
