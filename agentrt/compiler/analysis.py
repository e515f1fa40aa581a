"""Facts about a graph that planning needs: how long, how wide, how much of it is known text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from agentrt.ir.expression import Const, Expression, NodeId, Slot, Template, Text
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, InputNode, LLMNode, Node, bodies
from agentrt.ir.order import depths, heights
from agentrt.ir.plan import NodePlan
from agentrt.ir.prompt import PromptTemplate, render_value

Stage: TypeAlias = tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class StaticText:
    """Characters of a prompt that are the same in every run.

    Attributes:
        prefix_chars: Those before the first thing that is not: what a prefix cache can reuse.
        chars: All of them. Text after a slot is known too, and lost to the cache.
    """

    prefix_chars: int
    chars: int

    @property
    def share(self) -> float:
        """The share of the known text that is in the prefix; 1.0 if there is none."""
        return self.prefix_chars / self.chars if self.chars else 1.0


def node_plans(graph: Graph) -> Mapping[NodeId, NodePlan]:
    """What is known of each node before anything runs, as `graph.walk` names and orders them."""
    found: dict[NodeId, NodePlan] = {}
    for prefix, scope in scopes(graph):
        depth_of, height_of = depths(scope), heights(scope)
        for node in scope.nodes:
            found[prefix + node.id] = NodePlan(
                depth=depth_of[node.id],
                height=height_of[node.id],
                static_prefix_chars=_prefix_chars(node),
            )
    return {node_id: found[node_id] for node_id, _ in graph.walk()}


def scopes(graph: Graph, prefix: str = "") -> Iterator[tuple[str, Graph]]:
    """The graph and the bodies in it, with what the full ids of their nodes begin with."""
    yield prefix, graph
    for node in graph.nodes:
        for name, body in bodies(node):
            yield from scopes(body, body_prefix(prefix + node.id, name))


def body_prefix(region_id: NodeId, name: str) -> str:
    """What the full ids of a region's nodes begin with, in its body `name` (see `ir.node.bodies`)."""
    return f"{region_id}." if name == "body" else f"{region_id}.{name}."


def stages(graph: Graph) -> tuple[Stage, ...]:
    """The work by depth, in definition order; parameters are no work and are left out.

    No stage waits for another: a node starts when what it reads is there. But no node of a stage
    can read another one of it, so a stage of n can run n at once.
    """
    depth_of = depths(graph)
    found: dict[int, list[NodeId]] = {}
    for node in graph.nodes:
        if not isinstance(node, InputNode):
            found.setdefault(depth_of[node.id], []).append(node.id)
    return tuple(tuple(found[depth]) for depth in sorted(found))


def widest_stage(graph: Graph) -> Stage:
    """The first of the stages with the most nodes; empty for a graph without work."""
    return max(stages(graph), key=len, default=())


def critical_path(graph: Graph) -> tuple[NodeId, ...]:
    """The longest chain of work, each node read by the next: no run takes fewer steps in a row.

    Each node counts the same, because durations are not known here. Of several, the one that
    comes first in definition order.
    """
    height_of, readers = heights(graph), graph.readers()
    work = [node.id for node in graph.nodes if not isinstance(node, InputNode)]
    if not work:
        return ()
    here = max(work, key=height_of.__getitem__)  # `max` keeps the first of equals
    path = [here]
    while readers[here]:
        here = max(readers[here], key=height_of.__getitem__)
        path.append(here)
    return tuple(path)


def static_text(prompt: PromptTemplate) -> StaticText:
    """How much of `prompt` is known before anything runs."""
    prefix_chars = chars = 0
    is_prefix = True
    for template in prompt.templates():
        for text in _texts(template):
            if text is None:
                is_prefix = False
                continue
            chars += len(text)
            prefix_chars += len(text) if is_prefix else 0
    return StaticText(prefix_chars, chars)


def _prefix_chars(node: Node) -> int:
    return static_text(node.prompt).prefix_chars if isinstance(node, (LLMNode, AgentNode)) else 0


def _texts(expression: Expression) -> list[str | None]:
    """What `expression` adds to a prompt, in order: static text, or None for what is not known."""
    if isinstance(expression, Const):
        return [render_value(expression.value)]
    if not isinstance(expression, Template):
        return [None]
    found: list[str | None] = []
    for part in expression.parts:
        match part:
            case Text(text):
                found.append(text)
            case Slot(inner):
                found.extend(_texts(inner))
    return found
