"""How long the calls of a workflow took in its stored runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentrt.cli.connection import place
from agentrt.estimates.work import WorkEstimates, WorkKind
from agentrt.ir.node import AgentNode, LLMNode, MapNode, Node, ToolNode

if TYPE_CHECKING:
    from agentrt.ir.graph import Graph
    from agentrt.store.base import NodeRecord

_RUNS = 20
_INDEX = re.compile(r"\[\d+\]")


async def stored_durations(store: str, graph: Graph) -> WorkEstimates:
    """From the latest runs of `graph`'s workflow that `store` has.

    Raises:
        StoreError: it cannot be read.
    """
    estimates = WorkEstimates()
    nodes = dict(graph.walk())
    opened = place(store).open()
    try:
        for summary in await opened.list_runs(limit=_RUNS, workflow=graph.name):
            for record in (await opened.load(summary.run_id)).nodes:
                learn(estimates, record, nodes)
    finally:
        await opened.aclose()
    return estimates


def learn(estimates: WorkEstimates, record: NodeRecord, nodes: Mapping[str, Node]) -> None:
    """What one stored node says; of nodes that did not finish, and of regions, nothing."""
    if record.status != "finished" or record.finished_s is None:
        return
    work = _work(record, nodes)
    if work is not None:
        estimates.observe(*work, record.finished_s - record.started_s)


def _work(record: NodeRecord, nodes: Mapping[str, Node]) -> tuple[WorkKind, str] | None:
    plain = _INDEX.sub("", record.node_id)
    node = nodes.get(plain)
    if isinstance(node, MapNode):  # the one node of a body has no name of its own in instances
        inside = [each for name, each in nodes.items() if name.startswith(f"{plain}.")]
        node = next((each for each in inside if each.kind == record.kind), None)
    match node:
        case ToolNode():
            return "tool", node.tool
        case LLMNode():
            return "llm", node.function
        case AgentNode():
            return "agent", node.function
        case _:
            pass
    is_agents = isinstance(nodes.get(plain.rpartition(".")[0]), AgentNode)
    if record.kind == "tool" and is_agents:
        return "tool", plain.rpartition(".")[2]
    return None
