"""Where each piece of a prompt comes from, and how often that changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from agentrt.ir.expression import (
    Const,
    Expression,
    Fields,
    Items,
    NodeId,
    Slot,
    Template,
    Text,
    Use,
    uses,
)
from agentrt.ir.graph import Graph
from agentrt.ir.node import (
    AgentNode,
    BranchNode,
    InputNode,
    Inputs,
    LLMNode,
    LoopNode,
    MapNode,
    Node,
    PlanNode,
    ToolNode,
    bodies,
)
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.render_label import show
from agentrt.ir.stability import Stability, least_stable

Levels: TypeAlias = Mapping[NodeId, Stability]
"""How often the value of each node of one graph, or of one body, changes."""

Place: TypeAlias = Literal["system", "context", "user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A piece of a prompt, as its template has it.

    Attributes:
        text: What it says; None: that is known when it runs.
        origin: What it comes from, for people.
    """

    place: Place
    part: Text | Slot
    text: str | None
    origin: str
    stability: Stability


@dataclass(frozen=True, slots=True)
class Placed:
    """A node, by its full id, with what is known of the graph or body it is in."""

    node_id: str
    node: Node
    graph: Graph
    levels: Levels


def walk_levels(graph: Graph) -> Iterator[Placed]:
    """Every node, bodies included, outer before inner."""
    yield from _walk(graph, {}, "", is_top=True)


def levels_of(graph: Graph, given: Levels) -> dict[NodeId, Stability]:
    """How often the nodes of `graph` change, where its inputs change as `given`, or with each run."""
    return {
        node.id: given.get(node.id, "run") if isinstance(node, InputNode) else "call"
        for node in graph.nodes
    }


def levels_inside(node: Node, levels: Levels, *, is_top: bool) -> Levels:
    """How often the inputs of a region's bodies change from one instance of them to the next.

    What comes from outside is one value for all instances in a run of what is around them; items of
    a map are each call's own, the state of a loop each step's.
    """
    match node:
        case MapNode():
            found = _captured(node.inputs, levels, is_top=is_top)
            return {**found, **dict.fromkeys(node.mapped, "call")}
        case BranchNode():
            # Its body runs once, at most: what is new outside is new inside.
            return {name: stability_of(value, levels) for name, value in node.inputs}
        case LoopNode():
            return {**_captured(node.inputs, levels, is_top=is_top), node.state: "turn"}
        case InputNode() | ToolNode() | LLMNode() | AgentNode() | PlanNode():
            return {}
        case _:
            assert_never(node)


def stability_of(expression: Expression, levels: Levels) -> Stability:
    """How often what it stands for changes."""
    match expression:
        case Const():
            return "workflow"
        case Use(node):
            return levels.get(node, "call")
        case Items(items):
            return least_stable(stability_of(item, levels) for item in items)
        case Fields(fields):
            return least_stable(stability_of(value, levels) for _, value in fields)
        case Template(parts):
            return least_stable(part_stability(part, levels) for part in parts)
        case _:
            assert_never(expression)


def part_stability(part: Text | Slot, levels: Levels) -> Stability:
    """As the author says, or as its sources tell."""
    if isinstance(part, Text):
        return "always"
    return part.stability or stability_of(part.expression, levels)


def segments(prompt: PromptTemplate, levels: Levels, graph: Graph) -> Iterator[Segment]:
    """The pieces of a prompt in the order they are sent."""
    for place, template in placed_templates(prompt):
        for part in template.parts:
            yield Segment(
                place=place,
                part=part,
                text=part.text if isinstance(part, Text) else None,
                origin=origin_of(part, graph),
                stability=part_stability(part, levels),
            )


def placed_templates(prompt: PromptTemplate) -> Iterator[tuple[Place, Template]]:
    """The templates of a prompt in the order they are sent, with where each stands."""
    if prompt.system is not None:
        yield "system", prompt.system
    for block in prompt.context:
        yield "context", block
    yield "user", prompt.user


def origin_of(part: Text | Slot, graph: Graph) -> str:
    """`static text`, `the slot {question} (parameter question)`."""
    if isinstance(part, Text):
        return "static text"
    if isinstance(part.expression, Const):
        return "a constant"
    sources = dict.fromkeys(_source(use.node, graph) for use in uses(part.expression))
    shown = show(part.expression)
    if len(shown) > _SHOWN:
        shown = shown[: _SHOWN - 1] + "…"
    return f"the slot {{{shown}}} ({', '.join(sources)})"


_SHOWN = 60


def _source(node_id: NodeId, graph: Graph) -> str:
    node = graph.by_id.get(node_id)
    match node:
        case None:
            return node_id
        case InputNode():
            return f"parameter {node_id}"
        case ToolNode():
            return f"result of the tool {node.tool}"
        case LLMNode() | AgentNode() | PlanNode():
            return f"answer of {node_id}"
        case MapNode() | BranchNode() | LoopNode():
            return f"result of {node_id}"
        case _:
            assert_never(node)


def _captured(inputs: Inputs, levels: Levels, *, is_top: bool) -> dict[str, Stability]:
    found: dict[str, Stability] = {}
    for name, value in inputs:
        outside = stability_of(value, levels)
        if outside in ("turn", "call"):
            outside = "run" if is_top else "turn"
        found[name] = outside
    return found


def _walk(graph: Graph, given: Levels, prefix: str, *, is_top: bool) -> Iterator[Placed]:
    levels = levels_of(graph, given)
    for node in graph.nodes:
        yield Placed(prefix + node.id, node, graph, levels)
        inside = levels_inside(node, levels, is_top=is_top)
        for name, body in bodies(node):
            inner = f"{prefix}{node.id}." if name == "body" else f"{prefix}{node.id}.{name}."
            # A branch of the top level is as much the top level as what is around it.
            is_same = is_top and isinstance(node, BranchNode)
            yield from _walk(body, inside, inner, is_top=is_same)
