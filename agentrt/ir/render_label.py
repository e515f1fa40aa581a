"""What pictures of a graph say about a node and an expression, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import assert_never

from agentrt.ir.expression import Const, Expression, Fields, Items, Template, Text, Use, uses
from agentrt.ir.node import (
    AgentNode,
    BranchNode,
    InputNode,
    LLMNode,
    LLMOptions,
    LoopNode,
    MapNode,
    Node,
    PlanNode,
    ToolNode,
    expressions,
)
from agentrt.ir.prompt import PromptTemplate

ELLIPSIS = "…"


def printable(text: str, limit: int | None = None) -> str:
    """`text` on one line with nothing invisible in it, cut to `limit` characters.

    Control characters and the like become escapes, so that a hostile name can neither move a
    terminal's cursor nor turn the direction of a line.
    """
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + ELLIPSIS
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def describe(node: Node) -> str:
    """A node's kind and what is worth knowing of it, without its id."""
    match node:
        case InputNode():
            return "input" if node.is_required else f"input, default {_json(node.default)}"
        case ToolNode():
            return _called("tool", node.tool, node.id)
        case LLMNode():
            return ", ".join([_called("llm", node.function, node.id), *_model(node.options)])
        case AgentNode():
            turns = _plural(node.max_turns, "turn")
            parts = [_called("agent", node.function, node.id), *_model(node.options)]
            return ", ".join([*parts, f"up to {turns}", *_tools(node)])
        case PlanNode():
            parts = [_called("plan", node.function, node.id), *_model(node.options)]
            return ", ".join(
                [*parts, f"up to {_plural(1 + node.max_replans, 'plan')}", *_tools(node)]
            )
        case MapNode():
            return f"map over {', '.join(node.mapped)}"
        case BranchNode():
            return f"branch on {show(node.condition)}"
        case LoopNode():
            return f"loop, up to {_plural(node.max_steps, 'step')}"
        case _:
            assert_never(node)


def explain(node: Node) -> str:
    """Several lines for a tooltip: all that `describe` says, and what the node is given."""
    lines = [f"{node.id}: {describe(node)}"]
    match node:
        case InputNode():
            lines.append(f"schema: {_json(node.schema)}")
        case LLMNode() | AgentNode() | PlanNode():
            lines.extend(_prompt_lines(node.prompt))
        case ToolNode() | MapNode() | BranchNode():
            lines.extend(f"{name} = {show(value)}" for name, value in node.inputs)
        case LoopNode():
            lines.append(f"{node.state} = {show(node.initial)}")
            lines.extend(f"{name} = {show(value)}" for name, value in node.inputs)
        case _:
            assert_never(node)
    return "\n".join(lines)


def reads(node: Node) -> Iterator[str]:
    """What `node` reads, as an author would write it: `plan.queries[0]`. Constants are left out."""
    seen: set[str] = set()
    for expression in expressions(node):
        for use in uses(expression):
            shown = show(use)
            if shown not in seen:
                seen.add(shown)
                yield shown


def show(expression: Expression) -> str:
    """An expression, much as an author would write it."""
    match expression:
        case Use(node, path):
            return node + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path)
        case Const(value):
            return _json(value)
        case Items(items):
            return f"[{', '.join(show(item) for item in items)}]"
        case Fields(fields):
            return f"{{{', '.join(f'{_json(name)}: {show(value)}' for name, value in fields)}}}"
        case Template(parts):
            return "".join(
                part.text if isinstance(part, Text) else f"{{{show(part.expression)}}}"
                for part in parts
            )
        case _:
            assert_never(expression)


def _prompt_lines(prompt: PromptTemplate) -> Iterator[str]:
    if prompt.system is not None:
        yield f"system: {show(prompt.system)}"
    for block in prompt.context:
        yield f"context: {show(block)}"
    yield f"user: {show(prompt.user)}"


def _called(kind: str, name: str, node_id: str) -> str:
    return kind if name == node_id else f"{kind} {name}"


def _model(options: LLMOptions) -> Iterator[str]:
    if options.model is not None:
        yield options.model
    elif options.tier is not None:
        yield options.tier


def _tools(node: AgentNode | PlanNode) -> Iterator[str]:
    if node.tools:
        yield f"tools {' '.join(node.tools)}"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
