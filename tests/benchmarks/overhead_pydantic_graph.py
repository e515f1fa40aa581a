"""pydantic-graph's builder API, without instrumentation. It keeps nothing on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic_graph import (  # type: ignore[import-not-found, unused-ignore]  # only with [bench]
    GraphBuilder,
    StepContext,
)

from tests.benchmarks.overhead_cases import Case, Executed, RunCase


class PydanticGraph:
    @asynccontextmanager
    async def opened(self, case: Case, executed: Executed, folder: Path) -> AsyncIterator[RunCase]:
        graph = _build(case, executed)

        async def run(times: int) -> None:
            async with asyncio.TaskGroup() as runs:
                for _ in range(times):
                    runs.create_task(graph.run(inputs=1))

        yield run

    def kept_nodes(self, folder: Path) -> int | None:
        return None


def _build(case: Case, executed: Executed) -> Any:
    builder: Any = GraphBuilder(name="case", input_type=int, output_type=int, auto_instrument=False)

    async def noop(context: StepContext[None, None, int]) -> int:
        return await executed.noop(context.inputs)

    def latest(_old: int, new: int) -> int:
        return new

    before: Any = builder.start_node
    edges: list[Any] = []
    if case.shape == "chain":
        for index in range(case.width):
            step = builder.step(noop, node_id=f"n{index}")
            edges.append(builder.edge_from(before).to(step))
            before = step
    else:
        for layer in range(case.depth):
            siblings = [
                builder.step(noop, node_id=f"n{layer}_{index}") for index in range(case.width)
            ]
            # Nested layers: the closest fork is the layer's own.
            join = builder.join(
                latest, initial=0, node_id=f"j{layer}", preferred_parent_fork="closest"
            )
            step = builder.step(noop, node_id=f"joined{layer}")
            edges += [
                builder.edge_from(before).to(*siblings),
                builder.edge_from(*siblings).to(join),
                builder.edge_from(join).to(step),
            ]
            before = step
    edges.append(builder.edge_from(before).to(builder.end_node))
    builder.add(*edges)
    return builder.build()
