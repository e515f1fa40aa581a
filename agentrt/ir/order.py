"""Orders of a graph's nodes: one in which inputs come first, and the stages."""

from __future__ import annotations

from typing import Any

from agentrt.errors import GraphError
from agentrt.ir.expression import NodeId
from agentrt.ir.graph import Graph


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
    """A cycle, from a node to its readers and back: `a -> b -> a`."""
    import networkx  # noqa: PLC0415  only for a broken graph

    nx: Any = networkx  # the stubs leave `find_cycle` untyped
    edges: list[tuple[NodeId, NodeId]] = nx.find_cycle(graph.networkx)
    return " -> ".join([*(read for read, _ in edges), edges[0][0]])


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
