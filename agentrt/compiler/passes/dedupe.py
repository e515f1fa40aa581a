"""Dedupe: the same call with the same inputs is made once."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from agentrt.compiler.calls import calls_of, outermost
from agentrt.compiler.rewrite import rewrite_node, with_bodies
from agentrt.errors import GraphError
from agentrt.ir.expression import Const, Expression, NodeId, Use, rewrite_uses
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
from agentrt.ir.tool import ToolSpec

_SHOWN = 5


class Dedupe:
    """Whoever reads a call that an earlier one makes already reads that one; the later call goes.

    Only calls that cannot be told apart: of tools with effects `none` or `read` that are
    deterministic, of LLM functions at temperature 0, and regions with nothing else inside. That a tool
    reads a world which others write makes no difference: two calls with the same inputs are ready at
    the same moment, and nothing says which of them goes first.

    Agents stay: what they ask depends on when they ask it. Calls of different bodies are not compared,
    nor those of a body with those around it.
    """

    name = "dedupe"

    def requires(self, graph: Graph) -> None:
        """Any sound graph will do."""

    def run(self, graph: Graph) -> Graph:
        return _deduped(graph, graph.tools)

    def ensures(self, before: Graph, after: Graph) -> None:
        if after.inputs != before.inputs:
            raise GraphError("deduping changed the parameters")
        kept = {node_id for node_id, _ in after.walk()}
        gone = {node_id: node for node_id, node in before.walk() if node_id not in kept}
        for node_id, node in outermost(gone).items():
            if not is_deterministic(node, before.tools):
                raise GraphError(f"deduping removed {node_id!r}, which may differ each time")

    def summarise(self, before: Graph, after: Graph) -> str:
        kept = {node_id for node_id, _ in after.walk()}
        gone = {node_id: node for node_id, node in before.walk() if node_id not in kept}
        if not gone:
            return "no call is made twice"
        outer = list(outermost(gone))
        saved = calls_of(gone[node_id] for node_id in outer)
        more = f" and {len(outer) - _SHOWN} more" if len(outer) > _SHOWN else ""
        plural = "node" if len(outer) == 1 else "nodes"
        return (
            f"removed {len(outer)} {plural} that an earlier one does: "
            f"{', '.join(outer[:_SHOWN])}{more}; saves {saved} a run"
        )


def is_deterministic(node: Node, tools: Mapping[str, ToolSpec]) -> bool:
    """Whether two of `node` at the same time, with the same inputs, come to the same."""
    match node:
        case ToolNode():
            spec = tools[node.tool]
            return spec.effects != "write" and spec.is_deterministic
        case LLMNode():
            return node.options.temperature == 0
        case InputNode() | AgentNode() | PlanNode():
            return False
        case MapNode() | BranchNode() | LoopNode():
            return all(
                isinstance(inner, InputNode) or is_deterministic(inner, tools)
                for _, body in bodies(node)
                for inner in body.nodes
            )
        case _:
            assert_never(node)


def _deduped(graph: Graph, tools: Mapping[str, ToolSpec]) -> Graph:
    first_of: dict[str, NodeId] = {}
    instead: dict[NodeId, NodeId] = {}

    def change(use: Use) -> Expression:
        return replace(use, node=instead.get(use.node, use.node))

    left: dict[NodeId, Node] = {}
    for node_id in topological_order(graph):
        node = with_bodies(graph.by_id[node_id], lambda body: _deduped(body, tools))
        if any(read in instead for read in graph.dependencies[node_id]):
            node = rewrite_node(node, change)
        if is_deterministic(node, tools):
            first = first_of.setdefault(_content(node), node_id)
            if first != node_id:
                instead[node_id] = first
                continue
        left[node_id] = node
    nodes = tuple(left[node.id] for node in graph.nodes if node.id in left)
    is_same = len(nodes) == len(graph.nodes) and all(map(operator.is_, nodes, graph.nodes))
    if is_same:
        return graph
    return replace(graph, nodes=nodes, output=rewrite_uses(graph.output, change))


def _content(node: Node) -> str:
    """All of a node but its id. As JSON: Python takes 1, 1.0 and True for the same, prompts do not.

    Keys stay in the author's order, since a prompt shows them in it.
    """
    alone = Graph("", (replace(node, id=""),), Const(None))
    return json.dumps(alone.to_json())
