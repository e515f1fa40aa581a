"""Leader first: of calls that begin alike and are ready together one goes first, and is waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agentrt.compiler.analysis import body_prefix, scopes
from agentrt.compiler.base import NodePlans
from agentrt.compiler.calls import CHARACTERS_PER_TOKEN
from agentrt.compiler.shared_prefix import Beginning, Extent, beginning_of, common, fixed
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

_SHOWN = 8


class LeaderFirst:
    """Marks maps and sibling calls whose prompts have a long beginning in common.

    That may be a value, such as a document, that siblings or all instances of a map are given: how
    long it is shows when it runs, and the scheduler lets nobody wait for less than it is worth.

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
            for members, extent in _siblings(scope, nodes, prefix):
                leader = max(members, key=lambda each: nodes[prefix + each].precedence)
                for node_id in members:
                    full_id = prefix + node_id
                    noted[full_id] = replace(nodes[full_id], fan_out=_fan_out(leader, extent))
            for full_id, node_id, extent in _mapped(scope, prefix):
                noted[full_id] = replace(nodes[full_id], fan_out=_fan_out(node_id, extent))
        return noted

    def ensures(self, graph: Graph, nodes: NodePlans) -> None:
        for node_id, node in graph.walk():
            fan_out = nodes[node_id].fan_out
            if fan_out is None:
                continue
            if not isinstance(node, (LLMNode, AgentNode)):
                raise GraphError(f"{node_id!r} has no prompt to share")
            if node_id.removesuffix(node.id) + fan_out.leader not in nodes:
                raise GraphError(f"{node_id!r} would wait for {fan_out.leader!r}, which is no node")
            if fan_out.prefix_chars < LEAST_CHARS and not fan_out.has_values:
                raise GraphError(f"{node_id!r} would wait for too little")

    def summarise(self, graph: Graph, nodes: NodePlans, estimates: WorkEstimates) -> str:  # noqa: ARG002  the signature of passes
        saved, each = 0, 0
        fans: list[str] = []
        with_values: list[str] = []
        for prefix, scope in scopes(graph):
            for members, extent in _siblings(scope, nodes, prefix):
                fans.append(_some(members, " "))
                if extent.has_values:
                    with_values.append(fans[-1])
                saved += (len(members) - 1) * extent.chars
            for full_id, _, extent in _mapped(scope, prefix):
                fans.append(f"each {full_id}")
                if extent.has_values:
                    with_values.append(full_id)
                count = _items(scope, full_id.removeprefix(prefix).partition(".")[0])
                saved += 0 if count is None else max(0, count - 1) * extent.chars
                each += extent.chars if count is None else 0
        if not fans:
            return "no calls begin with as much in common as is worth waiting for"
        tokens = (
            [f"{saved // CHARACTERS_PER_TOKEN:,} prompt tokens a run"]
            if saved >= CHARACTERS_PER_TOKEN
            else []
        )
        tokens += (
            [f"{each // CHARACTERS_PER_TOKEN:,} for each further item"]
            if each >= CHARACTERS_PER_TOKEN
            else []
        )
        tokens += [f"what {_some(with_values, ', ')} has of other values"] if with_values else []
        return (
            f"one goes first of: {_some(fans, '; ')}; saves computing {' and '.join(tokens)}, where "
            "nothing is cached"
        )


def _some(names: Sequence[str], separator: str) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return separator.join(names[:_SHOWN]) + more


def _fan_out(leader: NodeId, extent: Extent) -> FanOut:
    return FanOut(leader, extent.chars, extent.has_values)


def _siblings(
    scope: Graph, nodes: NodePlans, prefix: str
) -> Iterator[tuple[tuple[NodeId, ...], Extent]]:
    """Calls of one depth that begin alike, and how far all of them do."""
    alike: dict[object, list[tuple[NodeId, Beginning]]] = {}
    for node in scope.nodes:
        if isinstance(node, (LLMNode, AgentNode)):
            begins = beginning_of(node)
            least = begins.least(LEAST_CHARS)
            if least is not None:
                key = (nodes[prefix + node.id].depth, least)
                alike.setdefault(key, []).append((node.id, begins))
    for members in alike.values():
        if len(members) > 1:
            extents = [common(members[0][1], begins) for _, begins in members[1:]]
            chars = min(extent.chars for extent in extents)
            has_values = all(extent.has_values for extent in extents)
            yield tuple(node_id for node_id, _ in members), Extent(chars, has_values)


def _mapped(scope: Graph, prefix: str) -> Iterator[tuple[NodeId, NodeId, Extent]]:
    """The calls of maps' bodies with enough in common: full id, own id, and what they begin with."""
    for region in scope.nodes:
        if not isinstance(region, MapNode):
            continue
        inside = body_prefix(prefix + region.id, "body")
        changing = {node.id for node in region.body.nodes if not isinstance(node, InputNode)}
        changing.update(region.mapped)
        for node in region.body.nodes:
            if isinstance(node, (LLMNode, AgentNode)):
                extent = fixed(beginning_of(node), changing.__contains__)
                if extent.chars >= LEAST_CHARS or extent.has_values:
                    yield inside + node.id, node.id, extent


def _items(scope: Graph, region_id: NodeId) -> int | None:
    """How many instances a map has, where that is written down."""
    region = scope.by_id[region_id]
    if not isinstance(region, MapNode):
        return None
    values = [value for name, value in region.inputs if name in region.mapped]
    lists = [value.value for value in values if isinstance(value, Const)]
    return len(lists[0]) if lists and is_list(lists[0]) else None
