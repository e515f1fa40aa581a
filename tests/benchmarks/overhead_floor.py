"""The floor: the same coroutines in plain `asyncio` tasks, with no graph, no record and no checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.overhead_cases import Case, Executed, RunCase


class TaskGroupFloor:
    @asynccontextmanager
    async def opened(self, case: Case, executed: Executed, folder: Path) -> AsyncIterator[RunCase]:
        program = _program(case, executed)

        async def run(times: int) -> None:
            async with asyncio.TaskGroup() as runs:
                for _ in range(times):
                    runs.create_task(program(1))

        yield run

    def kept_nodes(self, folder: Path) -> int | None:
        return None


def _program(case: Case, executed: Executed) -> Callable[[int], Coroutine[Any, Any, int]]:
    noop = executed.noop

    async def joined(value: int, width: int) -> int:
        async with asyncio.TaskGroup() as tasks:
            siblings = [tasks.create_task(noop(value)) for _ in range(width)]
        values = [sibling.result() for sibling in siblings]
        async with asyncio.TaskGroup() as tasks:
            return await tasks.create_task(noop(values[0]))

    async def chain(value: int) -> int:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(case.width):
                value = await tasks.create_task(noop(value))
        return value

    async def layers(value: int) -> int:
        for _ in range(case.depth):
            value = await joined(value, case.width)
        return value

    return chain if case.shape == "chain" else layers
