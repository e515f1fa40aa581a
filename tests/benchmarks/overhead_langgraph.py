"""LangGraph's graph API, as its documentation sets it up; nodes meet in a state with a reducer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import (  # type: ignore[import-not-found, unused-ignore]  # only with [bench]
    END,
    START,
    StateGraph,
)

from tests.benchmarks.overhead_cases import Case, Executed, RunCase

STORE = "langgraph.db"


def _latest(_old: int, new: int) -> int:
    return new


class _State(TypedDict):
    value: Annotated[int, _latest]  # siblings write in one superstep: without a reducer that fails


class LangGraph:
    """In memory without a checkpointer; durable with `durability="sync"`, each superstep on disk."""

    def __init__(self, *, is_durable: bool) -> None:
        self._is_durable = is_durable

    @asynccontextmanager
    async def opened(self, case: Case, executed: Executed, folder: Path) -> AsyncIterator[RunCase]:
        async with AsyncExitStack() as stack:
            saver: Any = None
            if self._is_durable:
                from langgraph.checkpoint.sqlite.aio import (  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415  only this variant pays for it
                    AsyncSqliteSaver,
                )

                path = str(folder / STORE)
                saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(path))
                await saver.setup()
            graph = _build(case, executed).compile(checkpointer=saver)
            threads = itertools.count()
            options: dict[str, Any] = {"durability": "sync"} if self._is_durable else {}

            async def invoke() -> None:
                config = {
                    "recursion_limit": 100_000,
                    "configurable": {"thread_id": str(next(threads))},
                }
                await graph.ainvoke({"value": 1}, config, **options)

            async def run(times: int) -> None:
                async with asyncio.TaskGroup() as runs:
                    for _ in range(times):
                        runs.create_task(invoke())

            yield run

    def kept_nodes(self, folder: Path) -> int | None:
        return None  # it keeps checkpoints, one a superstep, not node results


def _build(case: Case, executed: Executed) -> Any:
    graph: Any = StateGraph(_State)

    async def noop(state: _State) -> _State:
        return {"value": await executed.noop(state["value"])}

    if case.shape == "chain":
        names = [f"n{index}" for index in range(case.width)]
        for name in names:
            graph.add_node(name, noop)
        for before, after in itertools.pairwise([START, *names, END]):
            graph.add_edge(before, after)
        return graph
    before = START
    for layer in range(case.depth):
        siblings = [f"n{layer}_{index}" for index in range(case.width)]
        for name in siblings:
            graph.add_node(name, noop)
            graph.add_edge(before, name)
        before = f"join{layer}"
        graph.add_node(before, noop)
        graph.add_edge(siblings, before)
    graph.add_edge(before, END)
    return graph
