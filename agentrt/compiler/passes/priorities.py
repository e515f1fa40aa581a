"""Priorities: where not all that is ready can go at once, what the most waits for goes first."""

from __future__ import annotations

from dataclasses import replace

from agentrt.compiler.analysis import scopes
from agentrt.compiler.base import NodePlans
from agentrt.compiler.chains import Weights, makespan
from agentrt.errors import GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.graph import Graph


class Priorities:
    """Each node gets the time expected from its start to the end of the longest chain behind it.

    In seconds where any durations are known (of calls that were never seen, what calls of their kind
    take), else in nodes. Ready nodes of a run start in this order; a tool with a limit on its
    concurrency, and an engine that lets calls of a program wait, take them in this order.
    """

    name = "priorities"

    def requires(self, graph: Graph) -> None:
        """Any sound graph will do."""

    def note(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> NodePlans:
        weights = Weights(estimates)
        remaining = weights.remaining_inside(graph)
        return {
            node_id: replace(
                plan,
                precedence=remaining[node_id],
                remaining_s=remaining[node_id] if weights.are_seconds else None,
            )
            for node_id, plan in nodes.items()
        }

    def ensures(self, graph: Graph, nodes: NodePlans) -> None:
        for prefix, scope in scopes(graph):
            for node_id, read_ids in scope.dependencies.items():
                for read in (prefix + each for each in read_ids):
                    if nodes[read].precedence < nodes[prefix + node_id].precedence:
                        raise GraphError(
                            f"{prefix + node_id!r} goes before {read!r}, which it reads"
                        )

    def summarise(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> str:
        weights = Weights(estimates)
        chain = weights.chain(graph)
        as_written = makespan(graph, graph.tools, weights, dict.fromkeys(graph.by_id, 0.0))
        ordered = {node_id: nodes[node_id].precedence for node_id in graph.by_id}
        by_priority = makespan(graph, graph.tools, weights, ordered)
        unit = "s" if weights.are_seconds else "calls in a row"
        # A list schedule can be the worse one; where it is, it is said.
        change = as_written - by_priority
        effect = "saves" if change >= 0 else "costs"
        return (
            f"the longest chain takes {chain:.3g} {unit}; {effect} {abs(change):.3g} of "
            f"{as_written:.3g} where one LLM call goes at a time"
        )
