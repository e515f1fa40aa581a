"""Graphs and bodies, with what the values that come from around them are called there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from agentrt.compiler.analysis import body_prefix
from agentrt.compiler.shared_prefix import Beginning, Names, Prompting, beginning_of, named
from agentrt.ir.expression import Expression, NodeId
from agentrt.ir.graph import Graph
from agentrt.ir.node import BranchNode, LoopNode, MapNode, Node, bodies


@dataclass(frozen=True, slots=True)
class NamedScope:
    """A graph or body: one value has one name wherever it is read.

    Attributes:
        prefix: What the full ids of its nodes begin with.
        names: Of its parameters: what they are given, in terms of full ids. Those that differ by item
            or by step have none.
    """

    graph: Graph
    prefix: str = ""
    names: Names = field(default_factory=dict[NodeId, Expression])

    def beginning_of(self, node: Prompting) -> Beginning:
        """The prompt of one of its nodes."""
        return beginning_of(node, self.names, self.prefix)

    def bodies(self, node: Node) -> Iterator[NamedScope]:
        """Those of one of its nodes."""
        names = dict(self._given(node))
        for name, body in bodies(node):
            yield NamedScope(body, body_prefix(self.prefix + node.id, name), names)

    def _given(self, node: Node) -> Iterator[tuple[NodeId, Expression]]:
        if isinstance(node, (MapNode, BranchNode, LoopNode)):
            own = node.mapped if isinstance(node, MapNode) else ()
            own = (node.state,) if isinstance(node, LoopNode) else own
            for name, value in node.inputs:
                if name not in own:
                    yield name, named(value, self.names, self.prefix)
