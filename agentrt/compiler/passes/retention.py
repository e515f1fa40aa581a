"""Retention: which beginnings of prompts a later call of the run has too, and which end with theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agentrt.compiler.base import NodePlans
from agentrt.compiler.calls import CHARACTERS_PER_TOKEN
from agentrt.compiler.chains import Weights
from agentrt.compiler.reuse import Reuse, reuses
from agentrt.errors import GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.expression import NodeId
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, LLMNode, Node, PlanNode, bodies
from agentrt.ir.order import topological_order
from agentrt.ir.plan import Retention


class RetentionHints:
    """Says of each LLM call what of its context the run needs again, and when.

    Nothing goes on from an LLM node's answer. But a node that runs later may begin as it does,
    wherever in the graph it is: what they share is worth keeping until then. Of all that do the next
    is named: of its own body, or else of the graphs around that, the one with the least depth; in a
    loop that may be the node itself, in the next step.
    """

    name = "retention"

    def requires(self, graph: Graph) -> None:
        """Any sound graph will do."""

    def note(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> NodePlans:
        noted = dict(nodes)
        regions = dict(graph.walk())
        weights = Weights(estimates)
        last_id = _last_call(graph)
        for reuse in reuses(graph, nodes):
            retention = Retention(
                reused_chars=reuse.chars,
                next_use=reuse.next_id,
                next_use_s=_seconds(reuse, nodes, regions, weights),
                is_shared=reuse.is_shared,
                ends_run=reuse.full_id == last_id,
            )
            noted[reuse.full_id] = replace(nodes[reuse.full_id], retention=retention)
        return noted

    def ensures(self, graph: Graph, nodes: NodePlans) -> None:
        for node_id, node in graph.walk():
            if (nodes[node_id].retention is not None) != isinstance(node, (LLMNode, AgentNode)):
                raise GraphError(
                    f"{node_id!r}: what has a prompt has a retention, and nothing else"
                )
            retention = nodes[node_id].retention
            if retention is None:
                continue
            if bool(retention.reused_chars) != (retention.next_use in nodes):
                raise GraphError(f"{node_id!r}: {retention.next_use!r} cannot use it again")
            if retention.ends_run and not (retention.is_last and node_id in graph.by_id):
                raise GraphError(f"{node_id!r} does not end the run: others come after it")

    def summarise(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> str:  # noqa: ARG002  the signature of passes
        known = [plan.retention for plan in nodes.values() if plan.retention is not None]
        if not known:
            return "no call has a prompt"
        reused = sum(each.reused_chars for each in known)
        last = sum(each.is_last for each in known)
        kept = f"saves computing up to {reused // CHARACTERS_PER_TOKEN:,} prompt tokens a run again"
        return (
            f"{len(known) - last} of {len(known)} prompts begin as a later one does; "
            f"{kept if reused else 'saves the room of what is not needed again'}"
        )


def _seconds(
    reuse: Reuse, nodes: NodePlans, regions: Mapping[NodeId, Node], weights: Weights
) -> float | None:
    """From its start to that of the next that begins so, as far as the longest chains tell."""
    if not reuse.next_id or not weights.are_seconds:
        return None
    if reuse.next_id == reuse.full_id:
        return weights.of(regions[reuse.loop_id])
    own_s, next_s = nodes[reuse.full_id].remaining_s, nodes[reuse.next_id].remaining_s
    return None if own_s is None or next_s is None else max(0.0, own_s - next_s)


def _last_call(graph: Graph) -> NodeId | None:
    """The call that all others of the run have ended before, if there is one."""
    callers = {node.id for node in graph.nodes if _calls_models(node)}
    last_id = next((each for each in reversed(topological_order(graph)) if each in callers), None)
    if last_id is None or not isinstance(graph.by_id[last_id], (LLMNode, AgentNode)):
        return None
    return last_id if callers <= _ancestors(graph, last_id) | {last_id} else None


def _calls_models(node: Node) -> bool:
    return isinstance(node, (LLMNode, AgentNode, PlanNode)) or any(
        _calls_models(inner) for _, body in bodies(node) for inner in body.nodes
    )


def _ancestors(graph: Graph, node_id: NodeId) -> set[NodeId]:
    found: set[NodeId] = set()
    waiting = [*graph.dependencies[node_id]]
    while waiting:
        read = waiting.pop()
        if read not in found:
            found.add(read)
            waiting.extend(graph.dependencies[read])
    return found
