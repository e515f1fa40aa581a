"""Which steps of a stored run had to wait for which: by its graph, and by when they happened.

The store keeps no edges between node instances; ids and the declared graph say what they were. Two
calls that nothing connects in the graph did not wait for each other, whichever was first.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from agentrt.ir.expression import NodeId, Use, uses
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, BranchNode, InputNode, LoopNode, MapNode, Node, PlanNode
from agentrt.ir.order import topological_order

_NAME = re.compile(r"[^.\[]+")
_INDEX = re.compile(r"\[(\d+)\]")


class Timed(Protocol):
    """A call or tool call that ended.

    Attributes:
        begun_s: When it could begin.
        is_alone: Nothing of its turn overlapped it: a tool that writes.
    """

    @property
    def node_id(self) -> str: ...
    @property
    def begun_s(self) -> float: ...
    @property
    def ended_s(self) -> float: ...
    @property
    def is_alone(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Hop:
    """One level of a node instance's id: `fix[3].llm` is node `fix`, in turn 3, `llm`.

    Attributes:
        at: The item, side, iteration or turn; what comes later has the greater one.
        call: Which call of an agent's turn.
    """

    scope: Graph
    node: Node
    at: tuple[int, ...] = ()
    call: str = ""


_Key: TypeAlias = tuple[object, ...]
"""A place: the node of each level on the way there, and the item, side, iteration or turn."""


@dataclass(frozen=True, slots=True)
class _Reads:
    """What a node waits for: all of some nodes, and of some maps only the item it goes on with."""

    whole: frozenset[NodeId]
    by_item: frozenset[NodeId]


class _SoFar:
    """The steps that have begun, by where they are; as bits."""

    def __init__(self) -> None:
        self._all = 0
        self._under: dict[_Key, int] = {}
        self._ending: dict[_Key, int] = {}

    def add(self, path: Sequence[_Hop], bit: int) -> None:
        """One more, at `path`."""
        self._all |= bit
        place: _Key = ()
        for hop in path:
            node: _Key = (*place, hop.node.id)
            place = (*node, hop.at)
            for key in (node, place):
                self._under[key] = self._under.get(key, 0) | bit
        self._ending[place] = self._ending.get(place, 0) | bit

    def related(self, path: Sequence[_Hop], reads_of: Callable[[_Hop], _Reads]) -> int:
        """All that one at `path` may have waited for: what its nodes read, and what is in them.

        Of other items of a map it waits for none: where there are many, most of all steps are there.
        """
        if not path:
            return self._all
        found = self._ending.get((), 0)
        place: _Key = ()
        for hop in path:
            reads = reads_of(hop)
            for read in reads.whole:
                found |= self._under.get((*place, read), 0)
            for read in reads.by_item:
                found |= self._under.get((*place, read, hop.at), 0)
            node: _Key = (*place, hop.node.id)
            place = (*node, hop.at)
            if not isinstance(hop.node, (MapNode, BranchNode)):
                return found | self._under.get(node, 0)
            found |= self._ending.get(place, 0)
        return found | self._under.get(place, 0)


class StepOrder:
    """Of one run. Without a graph (free Python) times alone tell."""

    def __init__(self, graph: Graph | None) -> None:
        self._graph = graph
        self._hops: dict[str, tuple[_Hop, ...]] = {}
        self._reads: dict[int, dict[NodeId, _Reads]] = {}

    def after(self, steps: Sequence[Timed]) -> list[tuple[int, ...]]:
        """For each step, the positions of those it waited for, nearest ones only.

        Steps come in the order they began; all that a step waits for is before it.
        """
        by_end = sorted(range(len(steps)), key=lambda at: (steps[at].ended_s, at))
        bits = {at: 1 << place for place, at in enumerate(by_end)}
        ends = [steps[at].ended_s for at in by_end]
        found: list[tuple[int, ...]] = []
        before: list[int] = []  # for each step, all it waited for, as bits
        so_far = _SoFar()
        for at, step in enumerate(steps):
            path = self._path(step.node_id)
            ended = (1 << bisect_right(ends, step.begun_s)) - 1
            nearest: list[int] = []
            known = 0
            left = so_far.related(path, self._reads_of) & ended
            while left:
                earlier = by_end[left.bit_length() - 1]
                left ^= bits[earlier]
                if self._is_before(steps[earlier], step):
                    nearest.append(earlier)
                    known |= before[earlier] | bits[earlier]
                    left &= ~before[earlier]
            found.append(tuple(sorted(nearest)))
            before.append(known)
            so_far.add(path, bits[at])
        return found

    def _is_before(self, first: Timed, second: Timed) -> bool:
        """Whether `second`, which began when `first` had ended, may have waited for it."""
        if self._graph is None:
            return True
        for a, b in zip(self._path(first.node_id), self._path(second.node_id), strict=False):
            if a.node.id != b.node.id:
                reads = self._reads_of(b)
                is_item = a.node.id in reads.by_item and a.at == b.at
                return is_item or a.node.id in reads.whole
            if a.at != b.at:
                return a.at < b.at and not isinstance(a.node, MapNode)
            if a.call != b.call:
                return first.is_alone or second.is_alone
        return True  # two calls of one node, or ids that say no more: one after the other

    def _reads_of(self, hop: _Hop) -> _Reads:
        found = self._reads.get(id(hop.scope))
        if found is None:
            found = self._reads[id(hop.scope)] = _all_reads(hop.scope)
        return found[hop.node.id]

    def _path(self, node_id: str) -> tuple[_Hop, ...]:
        found = self._hops.get(node_id)
        if found is None and self._graph is not None:
            found = self._hops[node_id] = tuple(_hops(self._graph, node_id))
        return found or ()


def node_of(graph: Graph, instance_id: str) -> Node | None:
    """The node that an instance is of; of an agent's calls, the agent."""
    hops = _hops(graph, instance_id)
    return hops[-1].node if hops else None


def _hops(graph: Graph, node_id: str) -> list[_Hop]:
    """As far as the id can be read; of another graph than it was made from, not at all."""
    hops: list[_Hop] = []
    scope: Graph | None = graph
    rest = node_id
    while scope is not None:
        name = _NAME.match(rest)
        # A map's body of one step names it no more: `f[2]` is its instance, `f[2][0].llm` a turn.
        node = scope.by_id.get(name[0]) if name else _only_step(scope)
        if node is None:
            return hops
        rest = rest[name.end() if name else 0 :]
        hop, inside, rest = _entered(scope, node, rest)
        hops.append(hop)
        scope = inside
    return hops


def _entered(scope: Graph, node: Node, rest: str) -> tuple[_Hop, Graph | None, str]:
    """Where in `node` an id goes on, the scope inside, and what is left of the id."""
    index = _INDEX.match(rest)
    number = int(index[1]) if index else 0
    inside = rest[index.end() :] if index else rest
    match node:
        case MapNode() if index:
            return _Hop(scope, node, (number,)), node.body, inside.removeprefix(".")
        case LoopNode() if index:
            _, side, inner = (*inside.split(".", 2), "", "")[:3]
            is_until = side == "until"
            body = node.until if is_until else node.step
            return _Hop(scope, node, (number, int(is_until))), body, inner
        case BranchNode() if rest:
            _, side, inner = (*rest.split(".", 2), "", "")[:3]
            return _Hop(scope, node), node.then if side == "then" else node.otherwise, inner
        case PlanNode() if index:
            # Tasks begin while the plan is still written: times tell.
            return _Hop(scope, node, (number,)), None, ""
        case AgentNode() if index:
            is_tool = inside != ".llm"
            return _Hop(scope, node, (number, int(is_tool)), inside), None, ""
        case _:
            return _Hop(scope, node), None, ""


def _only_step(scope: Graph) -> Node | None:
    steps = [node for node in scope.nodes if not isinstance(node, InputNode)]
    if len(steps) == 1:
        return steps[0]
    # Others may have been pruned: then the output reads the one that was not.
    read = [scope.by_id[name] for name in scope.output_uses if name in scope.by_id]
    return next((node for node in read if not isinstance(node, InputNode)), None)


def _all_reads(scope: Graph) -> dict[NodeId, _Reads]:
    """What each node of a scope waits for, directly or through others."""
    found: dict[NodeId, _Reads] = {}
    for node_id in topological_order(scope):
        node = scope.by_id[node_id]
        items = _taken_by_item(node, scope)
        whole: frozenset[NodeId] = frozenset()
        by_item: frozenset[NodeId] = frozenset()
        for read in scope.dependencies[node_id]:
            whole |= found[read].whole
            if read in items:
                by_item |= found[read].by_item | {read}
            else:
                whole |= found[read].by_item | {read}
        found[node_id] = _Reads(whole, by_item)
    return found


def _taken_by_item(node: Node, scope: Graph) -> frozenset[NodeId]:
    """The maps with each of whose items `node` goes on as it comes, and that it reads no otherwise."""
    if not isinstance(node, MapNode):
        return frozenset()
    items: set[NodeId] = set()
    others: set[NodeId] = set()
    for name, value in node.inputs:
        is_item = name in node.mapped and isinstance(value, Use) and not value.path
        (items if is_item else others).update(use.node for use in uses(value))
    return frozenset(
        source for source in items - others if isinstance(scope.by_id[source], MapNode)
    )
