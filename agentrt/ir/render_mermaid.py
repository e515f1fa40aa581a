"""A graph as a Mermaid flowchart: what GitHub and many editors draw in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import assert_never

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
from agentrt.ir.render_label import describe, printable, show

_LABEL = 60
_SAFE = re.compile(r"[^0-9A-Za-z _.,-]")
_STYLES = (
    "classDef input fill:#e2e8f0,stroke:#64748b,color:#1e293b",
    "classDef llm fill:#dbeafe,stroke:#3b82f6,color:#1e3a8a",
    "classDef tool fill:#dcfce7,stroke:#22a35a,color:#14532d",
    "classDef region fill:#94a3b81a,stroke:#94a3b8",
)


def to_mermaid(graph: Graph) -> str:
    """A flowchart from left to right; regions are boxes with their bodies inside.

    Names and texts are quoted character by character, so none can end its label.
    """
    lines = ["flowchart LR", *_Chart().level(graph, "  ")]
    return "\n".join([*lines, *(f"  {style}" for style in _STYLES), ""])


class _Chart:
    """Hands out names; Mermaid's own words (`end`, `click`) can then be no node's."""

    def __init__(self) -> None:
        self._numbers = count()

    def level(self, graph: Graph, indent: str) -> Iterator[str]:
        """The nodes of one graph, the edges between them, and what it returns."""
        names = {node_id: self._new() for node_id in topological_order(graph)}
        for node_id, name in names.items():
            yield from self._node(graph.by_id[node_id], name, indent)
        for node_id, name in names.items():
            for read in graph.dependencies[node_id]:
                yield f"{indent}{names[read]} --> {name}"
        output = self._new()
        shown = "output" if graph.output_uses else show(graph.output)
        yield f"{indent}{output}([{_quoted(shown)}]):::input"
        for read in graph.output_uses:
            yield f"{indent}{names[read]} --> {output}"

    def _new(self) -> str:
        return f"n{next(self._numbers)}"

    def _node(self, node: Node, name: str, indent: str) -> Iterator[str]:
        label = _quoted(node.id, describe(node))
        match node:
            case InputNode():
                yield f"{indent}{name}([{label}]):::input"
            case ToolNode():
                yield f"{indent}{name}[[{label}]]:::tool"
            case LLMNode():
                yield f"{indent}{name}({label}):::llm"
            case AgentNode() | PlanNode() | MapNode() | BranchNode() | LoopNode():
                yield f"{indent}subgraph {name}[{label}]"
                yield from self._inside(node, indent + "  ")
                yield f"{indent}end"
                yield f"{indent}class {name} region"
            case _:
                assert_never(node)

    def _inside(
        self, node: AgentNode | PlanNode | MapNode | BranchNode | LoopNode, indent: str
    ) -> Iterator[str]:
        match node:
            case AgentNode():
                yield from self._turn(node, indent)
            case PlanNode():
                yield from self._plan(node, indent)
            case MapNode():
                yield from self.level(node.body, indent)
            case BranchNode() | LoopNode():
                names: list[str] = []
                for body_name, body in bodies(node):
                    names.append(self._new())
                    yield f"{indent}subgraph {names[-1]}[{_quoted(body_name)}]"
                    yield from self.level(body, indent + "  ")
                    yield f"{indent}end"
                if isinstance(node, LoopNode):
                    yield f"{indent}{names[0]} --> {names[1]}"
                    yield f"{indent}{names[1]} -. not yet .-> {names[0]}"
            case _:
                assert_never(node)

    def _turn(self, node: AgentNode, indent: str) -> Iterator[str]:
        """One turn of an agent: the model, and the tools it may call and hear from."""
        model = self._new()
        yield f"{indent}{model}({_quoted('llm')}):::llm"
        for tool in node.tools:
            name = self._new()
            yield f"{indent}{name}[[{_quoted(tool)}]]:::tool"
            yield f"{indent}{model} <--> {name}"

    def _plan(self, node: PlanNode, indent: str) -> Iterator[str]:
        """One plan: who writes it, the tools it may call, and who answers from what they gave."""
        planner, joiner = self._new(), self._new()
        yield f"{indent}{planner}({_quoted('llm')}):::llm"
        yield f"{indent}{joiner}({_quoted('join')}):::llm"
        for tool in node.tools:
            name = self._new()
            yield f"{indent}{name}[[{_quoted(tool)}]]:::tool"
            yield f"{indent}{planner} --> {name}"
            yield f"{indent}{name} --> {joiner}"
        if not node.tools:
            yield f"{indent}{planner} --> {joiner}"
        if node.max_replans:
            yield f"{indent}{joiner} -. not enough .-> {planner}"


def _quoted(*lines: str) -> str:
    """A label: each line made harmless with Mermaid's `#code;` escapes."""
    escaped = (_SAFE.sub(_escape, printable(line, _LABEL)) for line in lines)
    return '"' + "<br/>".join(escaped) + '"'


def _escape(match: re.Match[str]) -> str:
    return f"#{ord(match[0])};"
