"""How long chains of nodes take, and how long a graph takes where not all can go at once."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from agentrt.compiler.analysis import body_prefix
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.expression import NodeId
from agentrt.ir.graph import Graph
from agentrt.ir.node import (
    AgentNode,
    BranchNode,
    InputNode,
    LLMNode,
    LoopNode,
    MapNode,
    Node,
    PlanNode,
    ToolNode,
    bodies,
)
from agentrt.ir.order import topological_order
from agentrt.ir.tool import ToolSpec

Precedences: TypeAlias = Mapping[NodeId, float]

_LLM = "#llm"  # in no tool's name: these are identifiers


@dataclass(frozen=True, slots=True)
class Weights:
    """What nodes count: seconds where any are known, else one for each call."""

    estimates: WorkEstimates

    @property
    def are_seconds(self) -> bool:
        return self.estimates.is_known

    def of(self, node: Node) -> float:
        """The node's own; of a region the longest chain of one instance of its body."""
        match node:
            case InputNode():
                return 0.0
            case ToolNode():
                seconds = self.estimates.seconds("tool", node.tool)
            case LLMNode():
                seconds = self.estimates.seconds("llm", node.function)
            case AgentNode() | PlanNode():
                seconds = self.estimates.seconds("agent", node.function)
            case MapNode() | BranchNode():
                return max(self.chain(body) for _, body in bodies(node))
            case LoopNode():
                return self.chain(node.step) + self.chain(node.until)
            case _:
                assert_never(node)
        return 1.0 if seconds is None else seconds

    def chain(self, graph: Graph) -> float:
        """The longest chain of `graph`: no run of it takes less, however much goes at once."""
        return max(self.remaining(graph).values(), default=0.0)

    def remaining(self, graph: Graph, after: float = 0.0) -> dict[NodeId, float]:
        """For each node the longest chain from its start on, and what comes `after` the graph."""
        found: dict[NodeId, float] = {}
        readers = graph.readers()
        for node_id in reversed(topological_order(graph)):
            rest = max((found[reader] for reader in readers[node_id]), default=after)
            found[node_id] = self.of(graph.by_id[node_id]) + rest
        return found

    def remaining_inside(self, graph: Graph) -> dict[NodeId, float]:
        """The same by full id, bodies included: what waits for a region waits for all in it."""
        found: dict[NodeId, float] = {}
        waiting: list[tuple[str, Graph, float]] = [("", graph, 0.0)]
        while waiting:
            prefix, scope, after = waiting.pop()
            remaining = self.remaining(scope, after)
            found.update({prefix + node_id: left for node_id, left in remaining.items()})
            for node in scope.nodes:
                rest = remaining[node.id] - self.of(node)
                until = self.chain(node.until) if isinstance(node, LoopNode) else 0.0
                for name, body in bodies(node):
                    behind = rest + (until if name == "step" else 0.0)
                    waiting.append((body_prefix(prefix + node.id, name), body, behind))
        return found


def makespan(
    graph: Graph, tools: Mapping[str, ToolSpec], weights: Weights, precedences: Precedences
) -> float:
    """How long `graph` takes if tools keep their limits and one LLM call goes at a time.

    List scheduling: of the ready nodes that want the same thing the one with the highest precedence
    goes first, equal ones in definition order. Regions count as one node that wants nothing.
    """
    plant = _Plant(graph, tools, weights, precedences)
    readers = graph.readers()
    pending = {node_id: len(read) for node_id, read in graph.dependencies.items()}
    ended = [parameter.id for parameter in graph.inputs]  # they are there before anything starts
    for node_id, count in pending.items():
        if not count and not isinstance(graph.by_id[node_id], InputNode):
            plant.admit(node_id)
    while True:
        for reader in [reader for node_id in ended for reader in readers[node_id]]:
            pending[reader] -= 1
            if not pending[reader]:
                plant.admit(reader)
        plant.start()
        if not plant.running:
            return plant.now
        ended = plant.finish()


class _Plant:
    """What runs and what waits, of one graph.

    Attributes:
        running: When each ends, its place in the definition, its id, and what it has one of.
    """

    def __init__(
        self,
        graph: Graph,
        tools: Mapping[str, ToolSpec],
        weights: Weights,
        precedences: Precedences,
    ) -> None:
        self.now = 0.0
        self.running: list[tuple[float, int, NodeId, str]] = []
        self._graph = graph
        self._tools = tools
        self._weights = weights
        self._precedences = precedences
        self._sequence = {node.id: position for position, node in enumerate(graph.nodes)}
        self._free: dict[str, int] = {}
        self._ready: dict[str, list[tuple[float, int, NodeId]]] = {}

    def admit(self, node_id: NodeId) -> None:
        """Its inputs are there."""
        what, limit = _wants(self._graph.by_id[node_id], self._tools)
        self._free.setdefault(what, limit)
        entry = (-self._precedences[node_id], self._sequence[node_id], node_id)
        heapq.heappush(self._ready.setdefault(what, []), entry)

    def start(self) -> None:
        """Let in as many as there is room for."""
        for what, waiting in self._ready.items():
            while waiting and self._free[what]:
                _, position, node_id = heapq.heappop(waiting)
                self._free[what] -= 1
                ends_at = self.now + self._weights.of(self._graph.by_id[node_id])
                heapq.heappush(self.running, (ends_at, position, node_id, what))

    def finish(self) -> list[NodeId]:
        """Go on to the next moment at which something ends: what does."""
        self.now = self.running[0][0]
        ended: list[NodeId] = []
        while self.running and self.running[0][0] == self.now:
            _, _, node_id, what = heapq.heappop(self.running)
            self._free[what] += 1
            ended.append(node_id)
        return ended


def _wants(node: Node, tools: Mapping[str, ToolSpec]) -> tuple[str, int]:
    """What `node` needs that there is not enough of, and how much of it there is."""
    match node:
        case ToolNode():
            limit = tools[node.tool].concurrency
            return (node.tool, limit) if limit is not None else ("", 1 << 30)
        case LLMNode() | AgentNode() | PlanNode():
            return _LLM, 1
        case InputNode() | MapNode() | BranchNode() | LoopNode():
            return "", 1 << 30
        case _:
            assert_never(node)
