"""Single flight: equal calls that runs make at one time are made once."""

from __future__ import annotations

from dataclasses import replace

from agentrt.compiler.base import NodePlans
from agentrt.errors import GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, Node, ToolNode


class SingleFlight:
    """Marks calls of tools that ask for it (`@tool(single_flight=True)`), or of all that could.

    Those with effects `none` or `read`, and deterministic: whoever waits gets what the call under way
    gives, or its error. Shared are the calls of one tenant's runs.
    """

    name = "single-flight"

    def __init__(self, *, is_for_all: bool = False) -> None:
        """`is_for_all`: tools need not ask for it."""
        self._is_for_all = is_for_all

    def requires(self, graph: Graph) -> None:
        """Any sound graph will do."""

    def note(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> NodePlans:  # noqa: ARG002  the signature of passes
        noted = dict(nodes)
        for node_id, node in graph.walk():
            shared = tuple(name for name in _called(node) if self._is_shared(graph, name))
            if shared:
                noted[node_id] = replace(nodes[node_id], single_flight=shared)
        return noted

    def ensures(self, graph: Graph, nodes: NodePlans) -> None:
        for node_id, plan in nodes.items():
            for name in plan.single_flight:
                if not _may_be_shared(graph, name):
                    raise GraphError(f"{node_id!r} would share calls of {name!r}")

    def summarise(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> str:  # noqa: ARG002  the signature of passes
        tools = sorted({name for plan in nodes.values() for name in plan.single_flight})
        if not tools:
            return "no tool asks for it"
        return (
            f"runs share equal calls of {', '.join(tools)} that are under way; saves a call for each "
            "that waits: unknown until it has run"
        )

    def _is_shared(self, graph: Graph, tool: str) -> bool:
        is_asked = self._is_for_all or graph.tools[tool].single_flight
        return is_asked and _may_be_shared(graph, tool)


def _called(node: Node) -> tuple[str, ...]:
    if isinstance(node, ToolNode):
        return (node.tool,)
    return node.tools if isinstance(node, AgentNode) else ()


def _may_be_shared(graph: Graph, tool: str) -> bool:
    spec = graph.tools[tool]
    return spec.effects != "write" and spec.is_deterministic
