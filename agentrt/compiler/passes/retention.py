"""Retention: which beginnings of prompts a later call of the run has too, and which end with theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from agentrt.compiler.analysis import scopes
from agentrt.compiler.base import NodePlans
from agentrt.compiler.calls import CHARACTERS_PER_TOKEN
from agentrt.compiler.shared_prefix import (
    Prompting,
    beginning_of,
    common_chars,
    fixed_beginning,
)
from agentrt.errors import GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.expression import NodeId
from agentrt.ir.graph import Graph
from agentrt.ir.node import (
    AgentNode,
    InputNode,
    LLMNode,
    LoopNode,
    MapNode,
    Node,
    PlanNode,
    bodies,
    dependencies,
)
from agentrt.ir.plan import NodePlan, Retention

LEAST_CHARS = 64
"""A KV block's worth: less is not kept by itself."""


class RetentionHints:
    """Says of each LLM call what of its context the run needs again, and when.

    Nothing goes on from an LLM node's answer. But a node that runs later may begin as it does: what
    they share is worth keeping until then. Of all that do the next is named: the one with the least
    depth, among those of one graph; in the body of a loop, the node itself, in the next step.
    """

    name = "retention"

    def requires(self, graph: Graph) -> None:
        """Any sound graph will do."""

    def note(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> NodePlans:  # noqa: ARG002  the signature of passes
        noted = dict(nodes)
        again = _bodies_that_repeat(graph)
        mapped = _bodies_of_maps(graph)
        last_id = _last_call(graph)
        for prefix, scope in scopes(graph):
            prompting = [node for node in scope.nodes if isinstance(node, (LLMNode, AgentNode))]
            for node in prompting:
                full_id = prefix + node.id
                later = list(_later(node, prompting, nodes, prefix))
                if prefix in again:
                    later.append((1 << 30, node.id, beginning_of(node).chars))
                retention = replace(
                    _retention(nodes, prefix, full_id, later),
                    is_shared=_is_shared(node, prompting, nodes, prefix, mapped.get(prefix)),
                    ends_run=full_id == last_id,
                )
                noted[full_id] = replace(nodes[full_id], retention=retention)
        return noted

    def ensures(self, graph: Graph, nodes: NodePlans) -> None:
        for node_id, node in graph.walk():
            if (nodes[node_id].retention is not None) != isinstance(node, (LLMNode, AgentNode)):
                raise GraphError(
                    f"{node_id!r}: what has a prompt has a retention, and nothing else"
                )

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


def _later(
    node: Prompting, prompting: list[Prompting], nodes: NodePlans, prefix: str
) -> Iterator[tuple[int, NodeId, int]]:
    """Depth, id and shared characters of the nodes that run after `node` and begin as it does."""
    begins, own = beginning_of(node), nodes[prefix + node.id].depth
    for other in prompting:
        depth = nodes[prefix + other.id].depth
        if depth > own:
            chars = common_chars(begins, beginning_of(other))
            if chars >= LEAST_CHARS:
                yield depth, other.id, chars


def _retention(
    nodes: NodePlans, prefix: str, full_id: NodeId, later: list[tuple[int, NodeId, int]]
) -> Retention:
    if not later:
        return Retention()
    _, next_id, _ = min(later)
    chars = max(chars for _, _, chars in later)
    if chars < LEAST_CHARS:
        return Retention()
    return Retention(chars, next_id, _seconds_until(nodes[full_id], nodes[prefix + next_id]))


def _seconds_until(node: NodePlan, later: NodePlan) -> float | None:
    """From the one's start to the other's, as far as the longest chains tell."""
    if node.remaining_s is None or later.remaining_s is None:
        return None
    return max(0.0, node.remaining_s - later.remaining_s)


def _is_shared(
    node: Prompting,
    prompting: list[Prompting],
    nodes: NodePlans,
    prefix: str,
    changing: frozenset[NodeId] | None,
) -> bool:
    """Whether siblings begin as it does or, in a map's body, its other instances."""
    if changing is not None:
        fixed = fixed_beginning(node, changing)
        if fixed.has_values or fixed.chars >= LEAST_CHARS:
            return True
    begins, depth = beginning_of(node), nodes[prefix + node.id].depth
    return any(
        other is not node
        and nodes[prefix + other.id].depth == depth
        and common_chars(begins, beginning_of(other)) >= LEAST_CHARS
        for other in prompting
    )


def _last_call(graph: Graph) -> NodeId | None:
    """The call that all others of the run have ended before, if there is one."""
    callers = [node for node in graph.nodes if _calls_models(node)]
    for node in callers:
        if isinstance(node, (LLMNode, AgentNode)):
            before = _ancestors(graph, node)
            if all(other is node or other.id in before for other in callers):
                return node.id
    return None


def _calls_models(node: Node) -> bool:
    return isinstance(node, (LLMNode, AgentNode, PlanNode)) or any(
        _calls_models(inner) for _, body in bodies(node) for inner in body.nodes
    )


def _ancestors(graph: Graph, node: Node) -> set[NodeId]:
    found: set[NodeId] = set()
    waiting = list(dependencies(node))
    while waiting:
        node_id = waiting.pop()
        if node_id not in found:
            found.add(node_id)
            waiting.extend(dependencies(graph.by_id[node_id]))
    return found


def _bodies_of_maps(graph: Graph) -> dict[str, frozenset[NodeId]]:
    """What the full ids of nodes in maps' bodies begin with, and which nodes there differ by instance."""
    return {
        f"{node_id}.": frozenset(
            {
                *node.mapped,
                *(inner.id for inner in node.body.nodes if not isinstance(inner, InputNode)),
            }
        )
        for node_id, node in graph.walk()
        if isinstance(node, MapNode)
    }


def _bodies_that_repeat(graph: Graph) -> set[str]:
    """What the full ids of nodes in loops' bodies begin with."""
    return {
        f"{node_id}.{name}."
        for node_id, node in graph.walk()
        if isinstance(node, LoopNode)
        for name in ("step", "until")
    }
