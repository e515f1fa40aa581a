"""The slow-sibling graph in LangGraph's graph API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import (  # type: ignore[import-not-found, unused-ignore]  # only with [bench]
    END,
    START,
    StateGraph,
)

from tests.benchmarks.overhead_siblings import SIBLINGS, Timed


class _State(TypedDict):
    value: int


async def run(timed: Timed, _folder: Path | None) -> None:
    def node(body: Callable[[], Any]) -> Callable[[Any], Any]:
        async def run(_state: Any) -> dict[str, int]:
            await body()
            return {}

        return run

    async def nothing() -> None: ...

    graph: Any = StateGraph(_State)
    names = [f"slow{index}" for index in range(SIBLINGS)]
    for name in names:
        graph.add_node(name, node(timed.slow))
        graph.add_edge(START, name)
    for name, body in (("fast", timed.fast), ("after", timed.after_fast), ("join", nothing)):
        graph.add_node(name, node(body))
    graph.add_edge(START, "fast")
    graph.add_edge("fast", "after")
    graph.add_edge([*names, "after"], "join")
    graph.add_edge("join", END)
    await graph.compile().ainvoke({"value": 1})
