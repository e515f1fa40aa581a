"""How long the calls of a workflow took in its stored runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentrt.cli.connection import place
from agentrt.estimates.work import WorkEstimates, WorkKind
from agentrt.ir.node import AgentNode, LLMNode, ToolNode
from agentrt.runtime.step_order import node_of

if TYPE_CHECKING:
    from agentrt.ir.graph import Graph
    from agentrt.store.base import NodeRecord

_RUNS = 20


async def stored_durations(store: str, graph: Graph) -> WorkEstimates:
    """From the latest runs of `graph`'s workflow that `store` has.

    Raises:
        UsageError: there is no such store.
        StoreError: it cannot be read.
    """
    estimates = WorkEstimates()
    opened = place(store).open_to_read()
    try:
        for summary in await opened.list_runs(limit=_RUNS, workflow=graph.name):
            for record in (await opened.load(summary.run_id)).nodes:
                learn(estimates, record, graph)
    finally:
        await opened.aclose()
    return estimates


def learn(estimates: WorkEstimates, record: NodeRecord, graph: Graph) -> None:
    """What one stored node says; of nodes that did not finish, and of regions, nothing."""
    if record.status != "finished" or record.finished_s is None:
        return
    work = _work(record, graph)
    if work is not None:
        estimates.observe(*work, record.finished_s - record.started_s)


def _work(record: NodeRecord, graph: Graph) -> tuple[WorkKind, str] | None:
    node = node_of(graph, record.node_id)
    match node:
        case ToolNode():
            return "tool", node.tool
        case LLMNode():
            return "llm", node.function
        case AgentNode() if record.kind == "agent":
            return "agent", node.function
        case AgentNode() if record.kind == "tool":
            return "tool", record.node_id.rpartition(".")[2].partition("[")[0]
        case _:
            return None
