"""Prune: what nobody reads and what changes nothing in the world is not run."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import assert_never

from agentrt.compiler.calls import calls_of, outermost
from agentrt.compiler.rewrite import with_bodies
from agentrt.errors import GraphError
from agentrt.ir.expression import NodeId
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
from agentrt.ir.tool import ToolSpec

_SHOWN = 5


class Prune:
    """Removes nodes whose value reaches neither the output nor a call with `write` effects.

    Kept: parameters (they are the workflow's interface), calls of `write` tools, agents that have a
    `write` tool, regions with such a call inside, and all that these read. The bodies of regions
    are pruned by the same rule.

    A pruned node never runs: it costs nothing, and it cannot fail. A workflow that calls a `read`
    tool only to see whether it raises must use its result, or declare `effects="write"`.
    """

    name = "prune"

    def requires(self, graph: Graph) -> None:
        """Any sound graph will do."""

    def run(self, graph: Graph) -> Graph:
        return _pruned(graph, graph.tools)

    def ensures(self, before: Graph, after: Graph) -> None:
        if after.output != before.output or after.inputs != before.inputs:
            raise GraphError("pruning changed the output or the parameters")
        missing = set(_writers(before)) - set(_writers(after))
        if missing:
            raise GraphError(f"pruning removed calls with write effects: {sorted(missing)}")

    def summarise(self, before: Graph, after: Graph) -> str:
        kept = {node_id for node_id, _ in after.walk()}
        left_out = {node_id: node for node_id, node in before.walk() if node_id not in kept}
        gone = list(left_out)
        if not gone:
            return "every node is used"
        more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
        plural = "node" if len(gone) == 1 else "nodes"
        saved = calls_of(outermost(left_out).values())
        return (
            f"removed {len(gone)} {plural} nobody reads: {', '.join(gone[:_SHOWN])}{more}; "
            f"saves {saved} a run"
        )


def has_write_effects(node: Node, tools: Mapping[str, ToolSpec]) -> bool:
    """Whether running `node`, or anything inside it, may change the world."""
    match node:
        case ToolNode():
            return tools[node.tool].effects == "write"
        case AgentNode() | PlanNode():
            return any(tools[tool].effects == "write" for tool in node.tools)
        case InputNode() | LLMNode():
            return False
        case MapNode() | BranchNode() | LoopNode():
            return any(
                has_write_effects(inner, tools) for _, body in bodies(node) for inner in body.nodes
            )
        case _:
            assert_never(node)


def _pruned(graph: Graph, tools: Mapping[str, ToolSpec]) -> Graph:
    live = _live(graph, tools)
    nodes = tuple(
        with_bodies(node, lambda body: _pruned(body, tools))
        for node in graph.nodes
        if node.id in live
    )
    is_same = len(nodes) == len(graph.nodes) and all(map(operator.is_, nodes, graph.nodes))
    return graph if is_same else replace(graph, nodes=nodes)


def _live(graph: Graph, tools: Mapping[str, ToolSpec]) -> set[NodeId]:
    """The nodes to keep: from the output and from every write, back to what they read."""
    waiting = [*graph.output_uses]
    waiting += [node.id for node in graph.nodes if has_write_effects(node, tools)]
    live = {parameter.id for parameter in graph.inputs}
    while waiting:
        node_id = waiting.pop()
        if node_id not in live:
            live.add(node_id)
            waiting += graph.dependencies[node_id]
    return live


def _writers(graph: Graph) -> Iterator[str]:
    for node_id, node in graph.walk():
        if has_write_effects(node, graph.tools):
            yield node_id
