"""Leader first: of calls that begin alike and are ready together one goes first, and is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from agentrt.compiler.analysis import body_prefix, scopes
from agentrt.compiler.base import NodePlans
from agentrt.compiler.calls import CHARACTERS_PER_TOKEN
from agentrt.compiler.shared_prefix import (
    Beginning,
    Fixed,
    beginning_of,
    common_chars,
    fixed_beginning,
)
from agentrt.errors import GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.expression import Const, NodeId
from agentrt.ir.graph import Graph
from agentrt.ir.lint_value import is_list
from agentrt.ir.node import AgentNode, InputNode, LLMNode, MapNode
from agentrt.ir.plan import FanOut

LEAST_CHARS = 1024
"""Shorter beginnings are computed sooner than they are waited for: as the scheduler has it, 16 blocks
of 64 characters."""


class LeaderFirst:
    """Marks maps and sibling calls whose prompts have a long beginning in common.

    In a map that may be a value that all instances are given, such as a document: how long it is shows
    when it runs, and the scheduler lets nobody wait for less than it is worth.

    Sent together, each would compute it: engines share what has been computed, not what is being
    computed. Calls that are marked are streamed, so that the scheduler hears of the leader's first
    token and sends the others then, even on a server that it knows nothing of yet.
    """

    name = "leader-first"

    def requires(self, graph: Graph) -> None:
        """Any sound graph will do."""

    def note(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> NodePlans:  # noqa: ARG002  the signature of passes
        noted = dict(nodes)
        for prefix, scope in scopes(graph):
            for members, chars in _siblings(scope, nodes, prefix):
                leader = max(members, key=lambda each: nodes[prefix + each].precedence)
                for node_id in members:
                    full_id = prefix + node_id
                    noted[full_id] = replace(nodes[full_id], fan_out=FanOut(leader, chars))
            for full_id, node_id, fixed in _mapped(scope, prefix):
                fan_out = FanOut(node_id, fixed.chars, fixed.has_values)
                noted[full_id] = replace(nodes[full_id], fan_out=fan_out)
        return noted

    def ensures(self, graph: Graph, nodes: NodePlans) -> None:
        for node_id, node in graph.walk():
            fan_out = nodes[node_id].fan_out
            if fan_out is None:
                continue
            if not isinstance(node, (LLMNode, AgentNode)):
                raise GraphError(f"{node_id!r} has no prompt to share")
            if fan_out.prefix_chars < LEAST_CHARS and not fan_out.has_values:
                raise GraphError(f"{node_id!r} would wait for too little")

    def summarise(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> str:  # noqa: ARG002  the signature of passes
        saved, each = 0, 0
        fans: list[str] = []
        with_values: list[str] = []
        for prefix, scope in scopes(graph):
            for members, chars in _siblings(scope, nodes, prefix):
                fans.append(" ".join(members))
                saved += (len(members) - 1) * chars
            for full_id, _, fixed in _mapped(scope, prefix):
                fans.append(f"each {full_id}")
                if fixed.has_values:
                    with_values.append(full_id)
                count = _items(scope, full_id.removeprefix(prefix).partition(".")[0])
                saved += 0 if count is None else max(0, count - 1) * fixed.chars
                each += fixed.chars if count is None else 0
        if not fans:
            return "no calls begin with as much in common as is worth waiting for"
        tokens = [f"{saved // CHARACTERS_PER_TOKEN:,} prompt tokens a run"] if saved else []
        tokens += [f"{each // CHARACTERS_PER_TOKEN:,} for each further item"] if each else []
        tokens += [f"what {', '.join(with_values)} has of other values"] if with_values else []
        return (
            f"one goes first of: {'; '.join(fans)}; saves computing {' and '.join(tokens)}, where "
            "nothing is cached"
        )


def _siblings(
    scope: Graph, nodes: NodePlans, prefix: str
) -> Iterator[tuple[tuple[NodeId, ...], int]]:
    """Calls of one depth that begin alike, and how far all of them do."""
    waiting: dict[tuple[int, str], list[tuple[NodeId, Beginning]]] = {}
    for node in scope.nodes:
        if isinstance(node, (LLMNode, AgentNode)):
            begins = beginning_of(node)
            if begins.chars >= LEAST_CHARS:
                key = (nodes[prefix + node.id].depth, begins.kind)
                waiting.setdefault(key, []).append((node.id, begins))
    for prompts in waiting.values():
        while prompts:
            node_id, first = prompts.pop(0)
            alike = [entry for entry in prompts if common_chars(first, entry[1]) >= LEAST_CHARS]
            if alike:
                chars = min(common_chars(first, begins) for _, begins in alike)
                yield (node_id, *(each for each, _ in alike)), chars
            prompts[:] = [entry for entry in prompts if entry not in alike]


def _mapped(scope: Graph, prefix: str) -> Iterator[tuple[NodeId, NodeId, Fixed]]:
    """The calls of maps' bodies with enough in common: full id, own id, and what they begin with."""
    for region in scope.nodes:
        if not isinstance(region, MapNode):
            continue
        inside = body_prefix(prefix + region.id, "body")
        changing = {node.id for node in region.body.nodes if not isinstance(node, InputNode)}
        changing.update(region.mapped)
        for node in region.body.nodes:
            if isinstance(node, (LLMNode, AgentNode)):
                fixed = fixed_beginning(node, changing)
                if fixed.chars >= LEAST_CHARS or fixed.has_values:
                    yield inside + node.id, node.id, fixed


def _items(scope: Graph, region_id: NodeId) -> int | None:
    """How many instances a map has, where that is written down."""
    region = scope.by_id[region_id]
    if not isinstance(region, MapNode):
        return None
    values = [value for name, value in region.inputs if name in region.mapped]
    lists = [value.value for value in values if isinstance(value, Const)]
    return len(lists[0]) if lists and is_list(lists[0]) else None
