"""A graph for a terminal: one line a node, in an order in which everything comes after its inputs."""

from __future__ import annotations

from collections.abc import Iterator

from agentrt.ir.graph import Graph
from agentrt.ir.node import bodies
from agentrt.ir.order import topological_order
from agentrt.ir.render_label import describe, printable, reads, show

_LINE = 200
_INDENT = "  "


def to_text(graph: Graph) -> str:
    """The graph as lines: id, kind, what it reads. Bodies are indented below their region."""
    parameters = ", ".join(node.id for node in graph.inputs)
    return "\n".join([f"{printable(graph.name)}({parameters})", *_lines(graph, _INDENT), ""])


def _lines(graph: Graph, indent: str) -> Iterator[str]:
    id_width = max((len(node.id) for node in graph.nodes), default=0)
    told = {node.id: printable(describe(node), 60) for node in graph.nodes}
    told_width = max(map(len, told.values()), default=0)
    for node_id in topological_order(graph):
        node = graph.by_id[node_id]
        read = ", ".join(reads(node))
        arrow = f"  <- {printable(read, _LINE)}" if read else ""
        yield f"{indent}{node_id:{id_width}}  {told[node_id]:{told_width}}{arrow}".rstrip()
        for name, body in bodies(node):
            inner = indent + _INDENT
            if name != "body":
                yield f"{inner}{name}"
                inner += _INDENT
            yield from _lines(body, inner)
    yield f"{indent}-> {printable(show(graph.output), _LINE)}"
