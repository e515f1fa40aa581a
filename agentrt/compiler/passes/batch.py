"""Batch: the instances of a map whose prompts begin alike go one after another."""

from __future__ import annotations

from dataclasses import replace

from agentrt.compiler.analysis import body_prefix, scopes
from agentrt.compiler.base import NodePlans
from agentrt.errors import GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.expression import NodeId
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, InputNode, LLMNode, MapNode, dependencies


class Batch:
    """Marks maps whose items are in a prompt that is known as soon as the items are.

    Where only some of a map's calls can go at once, those that have most in common then go together,
    before what they share is evicted for others. Values come in the order of the items all the same.
    """

    name = "batch"

    def requires(self, graph: Graph) -> None:
        """Any sound graph will do."""

    def note(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> NodePlans:  # noqa: ARG002  the signature of passes
        noted = dict(nodes)
        for prefix, scope in scopes(graph):
            for node in scope.nodes:
                by = _prompt_of(node) if isinstance(node, MapNode) else None
                if by is not None:
                    noted[prefix + node.id] = replace(nodes[prefix + node.id], ordered_by=by)
        return noted

    def ensures(self, graph: Graph, nodes: NodePlans) -> None:  # noqa: ARG002  the signature of passes
        for node_id, plan in nodes.items():
            inside = body_prefix(node_id, "body")
            if plan.ordered_by is not None and inside + plan.ordered_by not in nodes:
                raise GraphError(f"{node_id!r} has no {plan.ordered_by!r} to be ordered by")

    def summarise(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> str:  # noqa: ARG002  the signature of passes
        maps = [node_id for node_id, plan in nodes.items() if plan.ordered_by is not None]
        if not maps:
            return "no map has its items in a prompt"
        return (
            f"items of {', '.join(maps)} whose prompts begin alike go one after another; saves what "
            "they share: unknown until it has run"
        )


def _prompt_of(region: MapNode) -> NodeId | None:
    """The first node whose prompt has an item in it, and nothing that only comes to be."""
    parameters = {node.id for node in region.body.nodes if isinstance(node, InputNode)}
    for node in region.body.nodes:
        if isinstance(node, (LLMNode, AgentNode)):
            read = set(dependencies(node))
            if read <= parameters and read & set(region.mapped):
                return node.id
    return None
