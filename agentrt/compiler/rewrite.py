"""A node with what it reads rewritten, or the bodies it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias, assert_never

from agentrt.ir.expression import Expression, Slot, Template, Use, rewrite_uses
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
)
from agentrt.ir.prompt import PromptTemplate

ReplaceUse: TypeAlias = Callable[[Use], Expression]


def rewrite_node(node: Node, change: ReplaceUse) -> Node:
    """`node` with each `Use` it reads replaced; bodies read nothing of the graph around them."""
    match node:
        case InputNode():
            return node
        case ToolNode() | MapNode():
            return replace(node, inputs=_inputs(node.inputs, change))
        case LLMNode() | AgentNode() | PlanNode():
            return replace(node, prompt=_prompt(node.prompt, change))
        case BranchNode():
            condition = rewrite_uses(node.condition, change)
            return replace(node, condition=condition, inputs=_inputs(node.inputs, change))
        case LoopNode():
            initial = rewrite_uses(node.initial, change)
            return replace(node, initial=initial, inputs=_inputs(node.inputs, change))
        case _:
            assert_never(node)


def with_bodies(node: Node, change: Callable[[Graph], Graph]) -> Node:
    """`node` with each of its bodies changed; `node` itself if they all stay the very same."""
    match node:
        case MapNode():
            body = change(node.body)
            return node if body is node.body else replace(node, body=body)
        case BranchNode():
            then, otherwise = change(node.then), change(node.otherwise)
            is_same = then is node.then and otherwise is node.otherwise
            return node if is_same else replace(node, then=then, otherwise=otherwise)
        case LoopNode():
            step, until = change(node.step), change(node.until)
            is_same = step is node.step and until is node.until
            return node if is_same else replace(node, step=step, until=until)
        case InputNode() | ToolNode() | LLMNode() | AgentNode() | PlanNode():
            return node
        case _:
            assert_never(node)


def _inputs(inputs: Inputs, change: ReplaceUse) -> Inputs:
    return tuple((name, rewrite_uses(value, change)) for name, value in inputs)


def _prompt(prompt: PromptTemplate, change: ReplaceUse) -> PromptTemplate:
    return PromptTemplate(
        user=_template(prompt.user, change),
        system=None if prompt.system is None else _template(prompt.system, change),
        context=tuple(_template(block, change) for block in prompt.context),
    )


def _template(template: Template, change: ReplaceUse) -> Template:
    return Template(
        tuple(
            replace(part, expression=rewrite_uses(part.expression, change))
            if isinstance(part, Slot)
            else part
            for part in template.parts
        )
    )
