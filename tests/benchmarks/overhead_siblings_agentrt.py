"""The slow-sibling graph in agentrt."""

from __future__ import annotations

from pathlib import Path

from agentrt import Runtime, tool, workflow
from agentrt.backends.scripted import ScriptedBackend
from tests.benchmarks.overhead_siblings import SIBLINGS, Timed


async def run(timed: Timed, folder: Path | None) -> None:
    @tool(effects="read")
    async def slow(value: int) -> int:
        """Sleep."""
        await timed.slow()
        return value

    @tool(effects="read")
    async def fast(value: int) -> int:
        """Sleep a little."""
        await timed.fast()
        return value

    @tool(effects="read")
    async def after_fast(value: int) -> int:
        """Note the time."""
        await timed.after_fast()
        return value

    @tool(effects="none")
    async def join(values: list[int]) -> int:
        """Wait for all."""
        return len(values)

    @workflow
    def siblings(value: int) -> int:
        return join([*(slow(value) for _ in range(SIBLINGS)), after_fast(fast(value))])

    store = None if folder is None else str(folder / "runs.db")
    async with Runtime(ScriptedBackend(), store=store) as runtime:
        await runtime.run(siblings, 1)
