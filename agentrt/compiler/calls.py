"""The calls that nodes stand for, as far as they can be counted before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from agentrt.compiler.analysis import static_text
from agentrt.ir.expression import NodeId
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

CHARACTERS_PER_TOKEN = 4
"""What English text comes to; what is not sent is in nobody's tokens."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls, each counted once however often a region repeats it.

    Attributes:
        prompt_tokens: At least: of text that is known.
    """

    tool: int = 0
    llm: int = 0
    agent: int = 0
    prompt_tokens: int = 0

    def __add__(self, other: Calls) -> Calls:
        return Calls(
            self.tool + other.tool,
            self.llm + other.llm,
            self.agent + other.agent,
            self.prompt_tokens + other.prompt_tokens,
        )

    def __str__(self) -> str:
        counted = [
            f"{count} {what}{'' if count == 1 else 's'}"
            for count, what in (
                (self.tool, "tool call"),
                (self.llm, "LLM call"),
                (self.agent, "agent"),
            )
            if count
        ]
        tokens = f" ({self.prompt_tokens:,} prompt tokens or more)" if self.prompt_tokens else ""
        return (" and ".join(counted) or "no call") + tokens


def outermost(nodes: Mapping[NodeId, Node]) -> dict[NodeId, Node]:
    """Those of `nodes`, by full id, that are inside of none of the others."""
    return {node_id: node for node_id, node in nodes.items() if not _is_inside(node_id, nodes)}


def _is_inside(node_id: NodeId, regions: Collection[NodeId]) -> bool:
    while "." in node_id:
        node_id = node_id.rpartition(".")[0]
        if node_id in regions:
            return True
    return False


def calls_of(nodes: Iterable[Node]) -> Calls:
    """The calls of `nodes`, with those in their bodies."""
    return sum((_calls(node) for node in nodes), Calls())


def _calls(node: Node) -> Calls:
    match node:
        case InputNode():
            return Calls()
        case ToolNode():
            return Calls(tool=1)
        case LLMNode() | AgentNode() | PlanNode():
            tokens = static_text(node.prompt).chars // CHARACTERS_PER_TOKEN
            is_agent = not isinstance(node, LLMNode)
            return Calls(llm=not is_agent, agent=is_agent, prompt_tokens=tokens)
        case MapNode() | LoopNode() | BranchNode():
            return calls_of(inner for _, body in bodies(node) for inner in body.nodes)
        case _:
            assert_never(node)
