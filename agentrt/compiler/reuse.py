"""Which calls of a run begin as others do that come after them, or that may."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from agentrt.compiler.base import NodePlans
from agentrt.compiler.named_scope import NamedScope
from agentrt.compiler.shared_prefix import Beginning, common, fixed
from agentrt.ir.expression import NodeId
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, LLMNode, LoopNode, MapNode, Node
from agentrt.ir.order import topological_order

LEAST_CHARS = 64
"""A KV block's worth: less is not kept by itself."""


@dataclass(slots=True, eq=False)
class Reuse:
    """What is known of the beginning of one node's calls.

    Attributes:
        chars: Static characters at its start that a later call has too.
        next_id: The full id of the next node that has, itself in the next step of a loop; empty: none.
        loop_id: The innermost loop that it is in; empty: none.
        is_shared: Calls that may come at any moment begin as it does, or later ones for longer than is
            known.
    """

    full_id: NodeId
    begins: Beginning
    chars: int = 0
    next_id: NodeId = ""
    loop_id: NodeId = ""
    is_shared: bool = False

    def again(self, chars: int, next_id: NodeId) -> None:
        """So much of it is needed by `next_id`. Told of nearer ones first."""
        if chars >= LEAST_CHARS:
            self.chars = max(self.chars, chars)
            self.next_id = self.next_id or next_id


def reuses(graph: Graph, nodes: NodePlans) -> list[Reuse]:
    """For every node with a prompt, those of bodies included."""
    return _inside(NamedScope(graph), nodes)


@dataclass(frozen=True, slots=True)
class _Member:
    """One that may begin as others of its scope do.

    Attributes:
        depth: That of the scope's node that it is in, or is.
        bit: Of that node, in sets of such.
        before: The nodes that have ended before it.
    """

    depth: int
    bit: int
    before: int
    reuse: Reuse


def _inside(scope: NamedScope, nodes: NodePlans) -> list[Reuse]:
    """Those of a scope and of the bodies in it, compared with one another."""
    found = {node.id: [*_of(node, scope, nodes)] for node in scope.graph.nodes}
    prompting = [node_id for node_id, inner in found.items() if inner]
    if len(prompting) > 1:
        bits = {node_id: 1 << index for index, node_id in enumerate(prompting)}
        before = _before(scope.graph, bits)
        alike: dict[object, list[_Member]] = {}
        for node_id in prompting:
            for reuse in found[node_id]:
                least = reuse.begins.least(LEAST_CHARS)
                if least is not None:
                    depth = nodes[scope.prefix + node_id].depth
                    member = _Member(depth, bits[node_id], before[node_id], reuse)
                    alike.setdefault(least, []).append(member)
        for members in alike.values():
            _compare(members)
    return [reuse for inner in found.values() for reuse in inner]


def _of(node: Node, scope: NamedScope, nodes: NodePlans) -> Iterator[Reuse]:
    if isinstance(node, (LLMNode, AgentNode)):
        yield Reuse(scope.prefix + node.id, scope.beginning_of(node))
        return
    for body in scope.bodies(node):
        for reuse in _inside(body, nodes):
            if isinstance(node, (MapNode, LoopNode)):
                _repeat(reuse, node, scope.prefix + node.id)
            yield reuse


def _repeat(reuse: Reuse, region: MapNode | LoopNode, region_id: NodeId) -> None:
    """It is called again, in the region's next step or for other items of it."""
    inside = f"{region_id}."
    extent = fixed(reuse.begins, lambda node_id: node_id.startswith(inside))
    if isinstance(region, LoopNode):
        reuse.loop_id = reuse.loop_id or region_id
        reuse.again(extent.chars, reuse.full_id)
        reuse.is_shared |= extent.has_values
    else:
        reuse.is_shared |= extent.has_values or extent.chars >= LEAST_CHARS


def _before(graph: Graph, bits: Mapping[NodeId, int]) -> dict[NodeId, int]:
    """For each node those of `bits` that it waits for, directly or not."""
    found: dict[NodeId, int] = {}
    for node_id in topological_order(graph):
        waits_for = 0
        for read in graph.dependencies[node_id]:
            waits_for |= found[read] | bits.get(read, 0)
        found[node_id] = waits_for
    return found


def _compare(members: list[_Member]) -> None:
    """Those that begin alike: which of them come later, and which at any moment."""
    if len(members) == 1:
        return
    members = sorted(members, key=lambda member: member.depth)  # otherwise as they are defined
    by_depth = [list(same) for _, same in groupby(members, lambda member: member.depth)]
    so_far = 0
    for same in by_depth:
        for member in same:
            so_far |= member.bit
        for member in same:
            member.reuse.is_shared |= bool(so_far & ~member.bit & ~member.before)
    places = {b: at for at, b in enumerate(sorted({m.reuse.begins for m in members}))}
    begins = list(places)
    later: list[int] = []
    next_id = ""
    for same in reversed(by_depth):
        for member in same if later else ():
            place = places[member.reuse.begins]
            extents = [common(begins[place], begins[at]) for at in _neighbours(later, place)]
            member.reuse.again(max(extent.chars for extent in extents), next_id)
            member.reuse.is_shared |= any(extent.has_values for extent in extents)
        for member in same:
            insort(later, places[member.reuse.begins])
        next_id = same[0].reuse.full_id


def _neighbours(places: Sequence[int], place: int) -> set[int]:
    """Of sorted texts the nearest ones: no others have more in common with the one at `place`."""
    at = bisect_left(places, place)
    return {places[near] for near in (at - 1, at) if 0 <= near < len(places)}
