"""A graph as one SVG file that needs nothing else. It reads well on light and on dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
)
from agentrt.ir.order import topological_order
from agentrt.ir.render_label import describe, explain, show
from agentrt.ir.render_layout import Layout, arrange
from agentrt.ir.render_shape import (
    STYLE,
    Box,
    at,
    below,
    card,
    edge,
    escaped,
    framed,
    grid,
    pill,
    region,
    size_of,
    stacked,
)

_MARGIN = 16.0
_ARC = 26.0
_MANY = 12


def to_svg(graph: Graph) -> str:
    """A picture from left to right; regions are boxes with their bodies inside.

    Hovering over a node shows what it is given: prompts, arguments, schemas.
    """
    box = _level(graph)
    width, height = box.width + 2 * _MARGIN, box.height + 2 * _MARGIN
    return "\n".join(
        [
            f'<svg class="agentrt" xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{escaped(graph.name)}</title>",
            f"<style>{STYLE}</style>",
            '<defs><marker id="agentrt-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto-start-reverse">'
            '<path class="head" d="M0 .5 7.5 4 0 7.5z"/></marker></defs>',
            at(box.markup, _MARGIN, _MARGIN),
            "</svg>",
            "",
        ]
    )


def _level(graph: Graph) -> Box:
    """A graph: its nodes, what it returns, and the edges between them."""
    groups = _alike(graph)
    leader_of = {member: group[0] for group in groups for member in group}
    boxes: dict[str, Box] = {}
    reads: dict[str, Sequence[str]] = {}
    for group in groups:
        boxes[group[0]] = grid([_node(graph.by_id[node_id]) for node_id in group])
        read_ids = (leader_of[read] for read in graph.dependencies[group[0]])
        reads[group[0]] = tuple(dict.fromkeys(read_ids))
    # No node's id has a space, so this one is free.
    boxes["the output"] = pill(
        "output" if graph.output_uses else show(graph.output), f"output = {show(graph.output)}"
    )
    reads["the output"] = tuple(dict.fromkeys(leader_of[read] for read in graph.output_uses))
    return _joined(boxes, arrange({name: size_of(box) for name, box in boxes.items()}, reads))


def _alike(graph: Graph) -> list[list[str]]:
    """All nodes, in groups of one, except where many siblings have the same edges.

    Two hundred of them in a column would be no picture; in a block with one edge they are.
    """
    readers = graph.readers()
    outputs = set(graph.output_uses)
    found: dict[object, list[str]] = {}
    for node_id in topological_order(graph):
        read_ids = frozenset(graph.dependencies[node_id])
        edges = (read_ids, readers[node_id], node_id in outputs, graph.by_id[node_id].kind)
        found.setdefault(edges, []).append(node_id)
    groups: list[list[str]] = []
    for group in found.values():
        groups.extend([group] if len(group) > _MANY else [[node_id] for node_id in group])
    rank = {node_id: index for index, node_id in enumerate(topological_order(graph))}
    return sorted(groups, key=lambda group: rank[group[0]])


def _joined(boxes: Mapping[str, Box], layout: Layout, *, is_both_ways: bool = False) -> Box:
    markup = [
        edge(points, f"{read} → {reader}", is_both_ways=is_both_ways)
        for (read, reader), points in layout.routes.items()
    ]
    markup += [at(box.markup, *layout.corners[name]) for name, box in boxes.items()]
    return Box(layout.size.width, layout.size.height, "\n".join(markup))


def _node(node: Node) -> Box:
    match node:
        case InputNode():
            return pill(node.id, explain(node))
        case LLMNode():
            return card("llm", node.id, describe(node), explain(node))
        case ToolNode():
            return card("tool", node.id, describe(node), explain(node))
        case AgentNode():
            return region(node, _turn(node))
        case PlanNode():
            return region(node, _plan(node))
        case MapNode():
            return stacked(region(node, _level(node.body)))
        case BranchNode():
            bodies = [
                framed("then", _level(node.then)),
                framed("otherwise", _level(node.otherwise)),
            ]
            return region(node, below(bodies))
        case LoopNode():
            return region(node, _round(_level(node.step), _level(node.until)))
        case _:
            assert_never(node)


def _round(step: Box, until: Box) -> Box:
    """A loop: one step, the question whether that is enough, and the way back."""
    boxes = {"step": framed("step", step), "until": framed("until", until)}
    sizes = {name: size_of(box) for name, box in boxes.items()}
    layout = arrange(sizes, {"step": (), "until": ("step",)})
    there = _joined(boxes, layout)
    ends = [layout.corners[name][0] + sizes[name].width / 2 for name in boxes]
    lows = [layout.corners[name][1] + sizes[name].height for name in boxes]
    low = there.height + _ARC
    back = (
        f'<path class="edge again" marker-end="url(#agentrt-arrow)" d="M{ends[1]:.1f} {lows[1]:.1f}'
        f'C{ends[1]:.1f} {low:.1f} {ends[0]:.1f} {low:.1f} {ends[0]:.1f} {lows[0]:.1f}"/>'
        f'<text class="label mid" x="{sum(ends) / 2:.1f}" y="{low + 4:.1f}">not yet</text>'
    )
    return Box(there.width, low + 6, f"{there.markup}\n{back}")


def _plan(node: PlanNode) -> Box:
    """One plan: who writes it, the tools it may call, and who answers from what they gave."""
    llm = card(
        "llm", "llm", "writes a plan", "writes a plan, whose tasks start while it is written"
    )
    join = card("llm", "join", "answers", "answers from the results, or asks for another plan")
    cards = {f"tool {name}": card("tool", name, "tool", f"{name}: tool") for name in node.tools}
    boxes = {"llm": llm, **cards, "join": join}
    between: Sequence[str] = tuple(cards) or ("llm",)
    reads: dict[str, Sequence[str]] = {"llm": (), **dict.fromkeys(cards, ("llm",)), "join": between}
    return _joined(boxes, arrange({name: size_of(box) for name, box in boxes.items()}, reads))


def _turn(node: AgentNode) -> Box:
    """A turn of an agent: the model, and the tools it may call and hear from."""
    model = card("llm", "llm", "until it answers", "one turn: the model answers or calls tools")
    if not node.tools:
        return model
    cards = {f"tool {name}": card("tool", name, "tool", f"{name}: tool") for name in node.tools}
    boxes = {"llm": model, **cards}
    reads: dict[str, Sequence[str]] = {name: ("llm",) if name in cards else () for name in boxes}
    layout = arrange({name: size_of(box) for name, box in boxes.items()}, reads)
    return _joined(boxes, layout, is_both_ways=True)
