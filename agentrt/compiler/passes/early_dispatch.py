"""Early dispatch: an agent's tool calls start when they are written, not when the message is."""

from __future__ import annotations

from dataclasses import replace

from agentrt.compiler.base import NodePlans
from agentrt.errors import GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode


class EarlyDispatch:
    """Marks the tools of agents that may start before the message that calls them is whole.

    Those with effects `none` or `read`: the message may still break off, or be refused, and what it
    asked for then changes nothing. Tools that write wait for its end.
    """

    name = "early-dispatch"

    def requires(self, graph: Graph) -> None:
        """Any sound graph will do."""

    def note(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> NodePlans:  # noqa: ARG002  the signature of passes
        noted = dict(nodes)
        for node_id, node in graph.walk():
            if isinstance(node, AgentNode):
                early = tuple(name for name in node.tools if _may_start_early(graph, name))
                noted[node_id] = replace(nodes[node_id], early_tools=early)
        return noted

    def ensures(self, graph: Graph, nodes: NodePlans) -> None:
        for node_id, plan in nodes.items():
            late = [name for name in plan.early_tools if not _may_start_early(graph, name)]
            if late:
                raise GraphError(f"{node_id!r} would start {late[0]!r} early, which may write")

    def summarise(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> str:  # noqa: ARG002  the signature of passes
        tools = sorted({name for plan in nodes.values() for name in plan.early_tools})
        if not tools:
            return "no agent has a tool that may start before its message is whole"
        seen = [name for name in tools if estimates.has_seen("tool", name)]
        most_s = max((estimates.seconds("tool", name) or 0.0 for name in seen), default=0.0)
        saved = f"up to {most_s:.2g} s a turn" if seen else "unknown until it has run"
        return f"{', '.join(tools)} start while the message is written; saves: {saved}"


def _may_start_early(graph: Graph, tool: str) -> bool:
    return graph.tools[tool].effects != "write"
