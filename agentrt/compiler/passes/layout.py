"""Layout: prompts in the order that prefix caches reuse most, as far as each node allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias, assert_never

from agentrt.compiler.analysis import static_text
from agentrt.compiler.canonical_tools import canonical_tools, shown_to_all
from agentrt.compiler.prompt_order import Siblings, as_blocks, ordered, siblings_of
from agentrt.compiler.rewrite import with_bodies
from agentrt.errors import GraphError
from agentrt.ir.expression import Text
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
)
from agentrt.ir.prompt_origin import Levels, levels_inside, levels_of
from agentrt.ir.tool import ToolSpec

_ROUNDS = 8

Prompting: TypeAlias = LLMNode | AgentNode


class Layout:
    """Rewrites prompts; each node's `layout` says what is allowed to be done to its own.

    S1, the default: an agent's tools go by name, and their schemas are written in one way, but for
    the order of `properties`, in which models write arguments. S2: blocks of the prompt are ordered
    by how seldom they change; those of a system message that change with the run or more often move
    into the user message; what sibling calls have in common comes first. S3: agents show all tools
    of the S3 agents of the graph, and may call their own.
    """

    name = "layout"

    def requires(self, graph: Graph) -> None:
        """Any sound graph will do."""

    def run(self, graph: Graph) -> Graph:
        shown = shown_to_all(graph)
        after = _settled(graph, shown)
        tools = canonical_tools(graph)
        return after if tools is graph.tools else replace(after, tools=tools)

    def ensures(self, before: Graph, after: Graph) -> None:
        prompts = dict(_prompts(after))
        for node_id, node in _prompts(before):
            made = prompts[node_id]
            if sorted(made.tools if isinstance(made, AgentNode) else ()) != sorted(
                node.tools if isinstance(node, AgentNode) else ()
            ):
                raise GraphError(f"{node_id}: an agent may call other tools than before")
            if node.layout in ("S0", "S1") and made.prompt != node.prompt:
                raise GraphError(f"{node_id}: its prompt was changed, which it does not allow")
            if _content(node) != _content(made):
                raise GraphError(f"{node_id}: its prompt says something else than before")

    def summarise(self, before: Graph, after: Graph) -> str:
        prompts = dict(_prompts(after))
        pairs = [(node, prompts[node_id]) for node_id, node in _prompts(before)]
        moved = [(a, b) for a, b in pairs if a.prompt != b.prompt]
        tools = sum(
            isinstance(a, AgentNode) and isinstance(b, AgentNode) and a.tools != b.tools
            for a, b in pairs
        )
        shown = sum(isinstance(b, AgentNode) and a != b and bool(b.shown_tools) for a, b in pairs)
        told: list[str] = []
        if moved:
            was = sum(static_text(a.prompt).prefix_chars for a, _ in moved)
            now = sum(static_text(b.prompt).prefix_chars for _, b in moved)
            told.append(
                f"S2: reordered {_count(len(moved), 'prompt')}: "
                f"{was:,} -> {now:,} characters known before the first value"
            )
        if tools:
            told.append(f"S1: sorted the tools of {_count(tools, 'agent')}")
        if _key_orders(before.tools) != _key_orders(after.tools):
            told.append("S1: wrote schemas of tools in one way")
        if shown:
            told.append(f"S3: {_count(shown, 'agent')} shown the same tools")
        return "; ".join(told) or "every prompt is as its node allows it to be"


def _settled(graph: Graph, shown: tuple[str, ...]) -> Graph:
    """Rewritten until there is nothing left to do: blocks that were moved may be cut otherwise."""
    before = graph
    for _ in range(_ROUNDS):
        after = _rewritten(before, {}, shown, is_top=True)
        if after is before:
            return after
        before = after
    return graph  # prompts that never settle stay as they were


def _rewritten(graph: Graph, given: Levels, shown: tuple[str, ...], *, is_top: bool) -> Graph:
    levels = levels_of(graph, given)
    siblings = siblings_of(graph, levels)
    nodes: list[Node] = []
    for node in graph.nodes:
        inside = levels_inside(node, levels, is_top=is_top)
        is_same_level = is_top and isinstance(node, BranchNode)
        nodes.append(_node(node, levels, siblings, shown, (inside, is_same_level)))
    if all(a is b for a, b in zip(nodes, graph.nodes, strict=True)):
        return graph
    return replace(graph, nodes=tuple(nodes))


def _node(
    node: Node,
    levels: Levels,
    siblings: Siblings,
    shown: tuple[str, ...],
    inner: tuple[Levels, bool],
) -> Node:
    def body(of: Graph) -> Graph:
        return _rewritten(of, inner[0], shown, is_top=inner[1])

    made: Node
    match node:
        case LLMNode():
            made = replace(node, prompt=ordered(node, levels, siblings))
        case AgentNode():
            made = _agent(replace(node, prompt=ordered(node, levels, siblings)), shown)
        case MapNode() | BranchNode() | LoopNode():
            made = with_bodies(node, body)
        case InputNode() | ToolNode() | PlanNode():
            return node
        case _:
            assert_never(node)
    return node if made == node else made


def _agent(node: AgentNode, shown: tuple[str, ...]) -> AgentNode:
    match node.layout:
        case "S0":
            return node
        case "S1" | "S2":
            return replace(node, tools=tuple(sorted(node.tools)))
        case "S3":
            more = () if set(shown) == set(node.tools) else shown
            return replace(node, tools=tuple(sorted(node.tools)), shown_tools=more)
        case _:
            assert_never(node.layout)


def _prompts(graph: Graph) -> Iterator[tuple[str, Prompting]]:
    for node_id, node in graph.walk():
        if isinstance(node, (LLMNode, AgentNode)):
            yield node_id, node


def _content(node: Prompting) -> Counter[Any]:
    """What a prompt says, in no order and without white space: moving keeps all of it.

    By characters, as a word that a block ends in the middle of is two pieces afterwards.
    """
    content: Counter[Any] = Counter()
    for block in as_blocks(node.prompt):
        for part in block.parts:
            if isinstance(part, Text):
                content.update("".join(part.text.split()))
            else:
                content[repr(part)] += 1
    return content


def _key_orders(tools: Mapping[str, ToolSpec]) -> dict[str, str]:
    return {name: repr(spec.parameters) for name, spec in tools.items()}


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
