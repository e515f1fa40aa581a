"""`Graph`: a workflow as data. A networkx DAG with typed access, lint, a content hash and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agentrt.errors import GraphError
from agentrt.ir.expression import Expression, NodeId, uses
from agentrt.ir.node import InputNode, Node, bodies, dependencies
from agentrt.ir.schema import Json, content_hash
from agentrt.ir.tool import ToolSpec

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class Graph:
    """Nodes, what the graph returns, and the tools it may call. Edges are what nodes read.

    Build it, `lint()` it, and treat it as immutable: a pass returns a new graph.

    Attributes:
        name: The workflow's.
        nodes: In definition order (a topological order, when a workflow was traced).
        output: The value of the graph.
        tools: The specs of every tool the graph names, its bodies' included. Empty in bodies.
    """

    name: str
    nodes: tuple[Node, ...]
    output: Expression
    tools: Mapping[str, ToolSpec] = field(default_factory=dict[str, ToolSpec])

    @cached_property
    def by_id(self) -> Mapping[NodeId, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def dependencies(self) -> Mapping[NodeId, tuple[NodeId, ...]]:
        """What each node reads: its incoming edges."""
        return {node.id: dependencies(node) for node in self.nodes}

    @cached_property
    def inputs(self) -> tuple[InputNode, ...]:
        return tuple(node for node in self.nodes if isinstance(node, InputNode))

    @cached_property
    def networkx(self) -> nx.DiGraph[NodeId]:
        """The graph as a networkx `DiGraph`; each node carries its `Node` as `node`."""
        import networkx as nx  # noqa: PLC0415  only those who ask for it pay for it

        digraph: nx.DiGraph[NodeId] = nx.DiGraph(name=self.name)
        digraph.add_nodes_from((node.id, {"node": node}) for node in self.nodes)
        digraph.add_edges_from(
            (read, node_id) for node_id, read_ids in self.dependencies.items() for read in read_ids
        )
        return digraph

    @cached_property
    def hash(self) -> str:
        """A SHA-256 of the content: the same for any order of nodes and dicts, in any process."""
        return content_hash(self.to_json(is_ordered=False))

    @cached_property
    def json(self) -> dict[str, Json]:
        """`to_json()`, made once. Do not change it."""
        return self.to_json()

    def lint(self) -> None:
        """Check the graph's own rules, in every body too.

        Raises:
            GraphError: naming the node and the rule.
        """
        from agentrt.ir.lint import lint  # noqa: PLC0415  lint knows graphs, not the other way

        lint(self)

    def to_json(self, *, is_ordered: bool = True) -> dict[str, Json]:
        """A JSON object that `from_json` reads back; with `is_ordered=False`, nodes by id."""
        from agentrt.ir.graph_json import graph_to_json  # noqa: PLC0415

        return graph_to_json(self, is_ordered=is_ordered)

    @classmethod
    def from_json(cls, data: Any) -> Graph:
        """Raises `GraphError` for anything `to_json` cannot have written; the result is linted."""
        from agentrt.ir.graph_json import graph_from_json  # noqa: PLC0415

        return graph_from_json(data)

    def walk(self, prefix: str = "") -> Iterable[tuple[str, Node]]:
        """Every node with its full id, bodies included (`loop.step.node`), outer before inner."""
        for node in self.nodes:
            yield prefix + node.id, node
            for name, body in bodies(node):
                inner = f"{prefix}{node.id}." if name == "body" else f"{prefix}{node.id}.{name}."
                yield from body.walk(inner)

    def readers(self) -> Mapping[NodeId, tuple[NodeId, ...]]:
        """Who reads each node: its outgoing edges, in definition order."""
        found: dict[NodeId, list[NodeId]] = {node.id: [] for node in self.nodes}
        for node_id, read_ids in self.dependencies.items():
            for read in read_ids:
                found[read].append(node_id)
        return {node_id: tuple(ids) for node_id, ids in found.items()}

    def node(self, node_id: NodeId) -> Node:
        """Raises `GraphError` if there is no such node."""
        try:
            return self.by_id[node_id]
        except KeyError:
            raise GraphError(f"graph {self.name!r} has no node {node_id!r}") from None

    @property
    def output_uses(self) -> tuple[NodeId, ...]:
        """The nodes the output reads, each once."""
        return tuple(dict.fromkeys(use.node for use in uses(self.output)))
