"""Leader first: of calls that begin alike and are ready together one goes first, and is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from agentrt.compiler.base import NodePlans
from agentrt.compiler.calls import CHARACTERS_PER_TOKEN
from agentrt.compiler.named_scope import NamedScope
from agentrt.compiler.shared_prefix import Beginning, Extent, common, fixed
from agentrt.errors import GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.expression import Const, NodeId
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, LLMNode, MapNode
from agentrt.ir.plan import FanOut
from agentrt.ir.schema import is_list

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
        for fan in _fans(NamedScope(graph), nodes):
            leader = max(fan.members, key=lambda each: nodes[each].precedence)
            fan_out = FanOut(
                leader.removeprefix(fan.prefix), fan.extent.chars, fan.extent.has_values
            )
            for full_id in fan.members:
                noted[full_id] = replace(nodes[full_id], fan_out=fan_out)
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
        fans = [*_fans(NamedScope(graph), nodes)]
        if not fans:
            return "no calls begin with as much in common as is worth waiting for"
        counted = [(fan, fan.followers) for fan in fans]
        saved = sum(count * fan.extent.chars for fan, count in counted if count is not None)
        each = sum(fan.extent.chars for fan, count in counted if count is None)
        with_values = [fan.told for fan in fans if fan.extent.has_values]
        tokens = {
            "{:,} prompt tokens a run": saved // CHARACTERS_PER_TOKEN,
            "{:,} for each further item": each // CHARACTERS_PER_TOKEN,
        }
        told = [words.format(count) for words, count in tokens.items() if count]
        told += [f"what {_some(with_values, ', ')} has of other values"] if with_values else []
        led = [f"each {fan.told}" if fan.region else fan.told for fan in fans]
        return (
            f"one goes first of: {_some(led, '; ')}; saves computing {' and '.join(told)}, where "
            "nothing is cached"
        )


@dataclass(frozen=True, slots=True)
class _Fan:
    """Calls that begin alike: those beside one another, or all instances of one.

    Attributes:
        prefix: What their full ids begin with, which are the members.
        region: The map that they are instances in; None: they are beside one another.
    """

    prefix: str
    members: tuple[NodeId, ...]
    extent: Extent
    region: MapNode | None = None

    @property
    def followers(self) -> int | None:
        """How many there are but for the leader, where that is written down."""
        if self.region is None:
            return len(self.members) - 1
        count = _items(self.region)
        return None if count is None else max(0, count - 1)

    @property
    def told(self) -> str:
        """Its members, for people."""
        if self.region is not None:
            return self.members[0]
        return _some([each.removeprefix(self.prefix) for each in self.members], " ")


def _some(names: Sequence[str], separator: str) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return separator.join(names[:_SHOWN]) + more


def _fans(
    scope: NamedScope, nodes: NodePlans, region: MapNode | None = None, region_id: NodeId = ""
) -> Iterator[_Fan]:
    """Those of a scope and of its bodies; `region` is the innermost map around it."""
    yield from _beside(scope, nodes)
    for node in scope.graph.nodes:
        if region is not None and isinstance(node, (LLMNode, AgentNode)):
            extent = fixed(scope.beginning_of(node), _of_one_item(region_id))
            if extent.chars >= LEAST_CHARS or extent.has_values:
                yield _Fan(scope.prefix, (scope.prefix + node.id,), extent, region)
        around = (
            (node, scope.prefix + node.id) if isinstance(node, MapNode) else (region, region_id)
        )
        for body in scope.bodies(node):
            yield from _fans(body, nodes, *around)


def _beside(scope: NamedScope, nodes: NodePlans) -> Iterator[_Fan]:
    """Calls of one depth that begin alike, and how far all of them do."""
    alike: dict[object, list[tuple[NodeId, Beginning]]] = {}
    for node in scope.graph.nodes:
        if isinstance(node, (LLMNode, AgentNode)):
            begins, full_id = scope.beginning_of(node), scope.prefix + node.id
            least = begins.least(LEAST_CHARS)
            if least is not None:
                alike.setdefault((nodes[full_id].depth, least), []).append((full_id, begins))
    for members in alike.values():
        if len(members) > 1:
            extents = [common(members[0][1], begins) for _, begins in members[1:]]
            chars = min(extent.chars for extent in extents)
            has_values = all(extent.has_values for extent in extents)
            full_ids = tuple(full_id for full_id, _ in members)
            yield _Fan(scope.prefix, full_ids, Extent(chars, has_values))


def _of_one_item(region_id: NodeId) -> Callable[[NodeId], bool]:
    """Whether a value is another one for each item of a map: all that come to be in it are."""
    inside = f"{region_id}."
    return lambda node_id: node_id.startswith(inside)


def _items(region: MapNode) -> int | None:
    values = [value for name, value in region.inputs if name in region.mapped]
    lists = [value.value for value in values if isinstance(value, Const)]
    return len(lists[0]) if lists and is_list(lists[0]) else None
