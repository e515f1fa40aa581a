"""What prefix caches can reuse of a workflow's prompts, as its graph tells: nothing has run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from agentrt.compiler.passes.layout import Layout
from agentrt.compiler.rewrite import with_bodies
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, LLMNode, Node
from agentrt.ir.prompt_break import volatile_kind
from agentrt.ir.prompt_origin import Placed, Segment, segments, walk_levels
from agentrt.ir.stability import Stability, rank

_CHANGES = rank("run")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPrefix:
    """One prompt.

    Attributes:
        prefix_characters: Before the first value that a run has of its own: any run may find them.
        lost_characters: Known as well, but after it.
        broken_by: Where that value comes from; empty: there is none.
        place: In which part of the prompt it is.
        stability: How often it changes.
        if_moved_characters: What the prefix would be with `layout="S2"`.
        looks_volatile: Static text that looks as if it were of the moment it was written in; each as
            what it looks like.
    """

    node_id: str
    layout: str
    prefix_characters: int
    lost_characters: int
    broken_by: str
    place: str
    stability: Stability
    if_moved_characters: int
    looks_volatile: tuple[str, ...]


def prompt_prefixes(graph: Graph) -> tuple[PromptPrefix, ...]:
    """Of every prompt in `graph`, in bodies too, as it stands: give the graph of a plan."""
    moved = Layout().run(all_moved(graph))
    after = {placed.node_id: placed for placed in walk_levels(moved)}
    return tuple(
        _prefix(placed, placed.node, after[placed.node_id])
        for placed in walk_levels(graph)
        if isinstance(placed.node, (LLMNode, AgentNode))
    )


def _prefix(placed: Placed, node: LLMNode | AgentNode, after: Placed) -> PromptPrefix:
    found = list(segments(node.prompt, placed.levels, placed.graph))
    first = next((s for s in found if rank(s.stability) >= _CHANGES), None)
    known = sum(len(segment.text or "") for segment in found)
    prefix = _known_before(found, first)
    return PromptPrefix(
        node_id=placed.node_id,
        layout=node.layout,
        prefix_characters=prefix,
        lost_characters=known - prefix,
        broken_by="" if first is None else first.origin,
        place="" if first is None else first.place,
        stability="always" if first is None else first.stability,
        if_moved_characters=_after(after),
        looks_volatile=tuple(_looks_volatile(found)),
    )


def _after(placed: Placed) -> int:
    if not isinstance(placed.node, (LLMNode, AgentNode)):
        return 0
    found = list(segments(placed.node.prompt, placed.levels, placed.graph))
    first = next((s for s in found if rank(s.stability) >= _CHANGES), None)
    return _known_before(found, first)


def _known_before(found: list[Segment], first: Segment | None) -> int:
    before = found if first is None else found[: found.index(first)]
    return sum(len(segment.text or "") for segment in before)


def _looks_volatile(found: list[Segment]) -> Iterator[str]:
    for segment in found:
        kind = volatile_kind(segment.text or "")
        if kind:
            yield f"{kind} in the static text of {segment.place}"


def all_moved(graph: Graph) -> Graph:
    """`graph`, with all of its prompts allowed to have their blocks moved."""
    return replace(graph, nodes=tuple(map(_moved, graph.nodes)))


def _moved(node: Node) -> Node:
    match node:
        case LLMNode() | AgentNode():
            return node if node.layout == "S3" else replace(node, layout="S2")
        case _:
            return with_bodies(node, all_moved)
