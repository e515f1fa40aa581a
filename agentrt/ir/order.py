"""Orders of a graph's nodes: one in which inputs come first, and the stages."""

from __future__ import annotations

from typing import Final

from agentrt.errors import GraphError
from agentrt.ir.expression import NodeId
from agentrt.ir.graph import Graph

_SHOWN: Final = 20
"""Nodes of a cycle that its message names."""


def is_in_order(graph: Graph) -> bool:
    """Whether every node reads only nodes defined before it, as traced workflows do."""
    seen: set[NodeId] = set()
    for node_id, read_ids in graph.dependencies.items():
        if not seen.issuperset(read_ids):
            return False
        seen.add(node_id)
    return True


def topological_order(graph: Graph) -> tuple[NodeId, ...]:
    """Every node after those it reads; otherwise in definition order.

    Raises:
        GraphError: naming a cycle.
    """
    if is_in_order(graph):
        return tuple(graph.dependencies)
    import networkx as nx  # noqa: PLC0415  traced graphs never get here

    rank = {node_id: index for index, node_id in enumerate(graph.dependencies)}
    try:
        return tuple(nx.lexicographical_topological_sort(graph.networkx, key=rank.__getitem__))
    except nx.NetworkXUnfeasible:
        raise GraphError(f"graph {graph.name!r} has a cycle: {_cycle(graph)}") from None


def _cycle(graph: Graph) -> str:
    """A cycle, from a node to its readers and back: `a -> b -> a`; of a long one, the ends.

    Of what is left when everything that can be ordered is taken away, each node reads another: who
    goes from one to the next comes round. Each node and edge is looked at once, which is not so of
    `networkx.find_cycle`: on a graph of a file it may take as long as nodes times edges.
    """
    left = {node_id: len(read_ids) for node_id, read_ids in graph.dependencies.items()}
    readers = graph.readers()
    ready = [node_id for node_id, count in left.items() if count == 0]
    while ready:
        node_id = ready.pop()
        del left[node_id]
        for reader in readers[node_id]:
            left[reader] -= 1
            if left[reader] == 0:
                ready.append(reader)
    way: dict[NodeId, None] = {}
    at = next(iter(left))
    while at not in way:
        way[at] = None
        at = next(read for read in graph.dependencies[at] if read in left)
    passed = list(way)
    around = [at, *reversed(passed[passed.index(at) :])]
    if len(around) > _SHOWN:
        around[_SHOWN // 2 : -_SHOWN // 2] = [f"({len(around) - _SHOWN} more)"]
    return " -> ".join(around)


def depths(graph: Graph) -> dict[NodeId, int]:
    """Nodes on the longest way to each node; 0 for those that read nothing. In topological order."""
    found: dict[NodeId, int] = {}
    for node_id in topological_order(graph):
        read_ids = graph.dependencies[node_id]
        found[node_id] = 1 + max(found[read] for read in read_ids) if read_ids else 0
    return found


def heights(graph: Graph) -> dict[NodeId, int]:
    """Nodes on the longest way from each node to an end, both included."""
    found = dict.fromkeys(graph.dependencies, 1)
    for node_id in reversed(topological_order(graph)):
        for read in graph.dependencies[node_id]:
            found[read] = max(found[read], found[node_id] + 1)
    return found
