"""What is wrong with a value or an expression, in words; None when nothing is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from agentrt.ir.expression import Const, Expression, Fields, Items, Slot, Step, Template, Text, Use
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
from agentrt.ir.schema import Schema, is_list, is_object
from agentrt.ir.tool import ToolSpec

MAX_DEPTH = 48
"""How deep bodies may nest, and expressions, and JSON values: far beyond what people write, and far
enough from Python's recursion limit that every graph that lints can be hashed, drawn and run."""

_MAX_BITS = 14_000
"""Of whole numbers: Python writes and reads 4,300 digits, which is a little more."""

_SHOWN = 40
_SCALARS = ("string", "integer", "number", "boolean", "null")


def text_problem(text: Any) -> str | None:
    """Texts must be encodable: a lone surrogate can be neither hashed, stored nor sent."""
    return next(_text_problems(text), None)


def _text_problems(text: Any) -> Iterator[str]:
    if not isinstance(text, str):
        yield f"{_shown(text)} is no text"
    elif not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            yield f"{_shown(text)} has a lone surrogate, which is no character"


def json_problem(value: Any) -> str | None:
    """Whether `value` survives a round trip through JSON text unchanged."""
    return next(_json_problems(value, 0), None)


def _json_problems(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield from _text_problems(value)
    elif isinstance(value, (int, float)):
        yield from _number_problems(value)
    elif value is None:
        return
    elif depth >= MAX_DEPTH:
        yield f"it nests deeper than {MAX_DEPTH} levels"
    elif is_object(value):
        for key, item in value.items():
            yield from _text_problems(key)
            yield from _json_problems(item, depth + 1)
    elif is_list(value):
        for item in value:
            yield from _json_problems(item, depth + 1)
    else:
        yield f"{_shown(value)} is no JSON value"


def _number_problems(value: Any) -> Iterator[str]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield f"{value} is no JSON number"
    elif value.bit_length() > _MAX_BITS:
        yield "a whole number has more digits than Python reads"


def below(least: int, **values: float | None) -> str | None:
    """The first of `values` that is less than `least`, or infinite, or not a number."""
    for name, value in values.items():
        if value is not None and not least <= value < math.inf:
            return f"{name} must be at least {least}, not {value}"
    return None


def not_positive(**values: float | None) -> str | None:
    """The first of `values` that is not more than 0, or infinite, or not a number."""
    for name, value in values.items():
        if value is not None and not 0 < value < math.inf:
            return f"{name} must be more than 0, not {value}"
    return None


def expression_problem(
    expression: Expression, graph: Graph, tools: Mapping[str, ToolSpec]
) -> str | None:
    """Whether `expression` makes sense in `graph`, whose top graph has `tools`."""
    if isinstance(expression, Use) and not expression.path and expression.node in graph.by_id:
        return None  # nearly all of them
    return next(_expression_problems(expression, graph, tools, 0), None)


def _expression_problems(
    expression: Expression, graph: Graph, tools: Mapping[str, ToolSpec], depth: int
) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f"an expression nests deeper than {MAX_DEPTH} levels"
        return
    match expression:
        case Use():
            yield from _use_problems(expression, graph, tools)
        case Const(value):
            yield from (f"a constant: {problem}" for problem in _json_problems(value, 0))
        case Fields(fields):
            names = [name for name, _ in fields]
            yield from (f"a key: {problem}" for name in names for problem in _text_problems(name))
            if len(set(names)) != len(names):
                yield "two values have the same key"
        case Template(parts):
            texts = (part.text for part in parts if isinstance(part, Text))
            yield from (
                f"its text: {problem}" for text in texts for problem in _text_problems(text)
            )
        case Items():
            pass
        case _:
            assert_never(expression)
    for part in _parts(expression):
        yield from _expression_problems(part, graph, tools, depth + 1)


def _parts(expression: Expression) -> tuple[Expression, ...]:
    match expression:
        case Use() | Const():
            return ()
        case Items(items):
            return items
        case Fields(fields):
            return tuple(value for _, value in fields)
        case Template(parts):
            return tuple(part.expression for part in parts if isinstance(part, Slot))
        case _:
            assert_never(expression)


def _use_problems(use: Use, graph: Graph, tools: Mapping[str, ToolSpec]) -> Iterator[str]:
    node = graph.by_id.get(use.node)
    if node is None:
        yield f"it reads {use.node!r}, which is not in the graph"
        return
    for step in use.path:
        if isinstance(step, str):
            yield from (f"a part of {use.node!r}: {problem}" for problem in _text_problems(step))
        elif type(step) is not int:  # a bool, or anything from untyped code
            yield f"it reads {_shown(step)} of {use.node!r}; a step is a name or an index"
    if leads_nowhere(_schema(node, tools), use.path):
        path = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in use.path)
        yield f"it reads {use.node}{path}, but {use.node!r} has no such part"


def leads_nowhere(schema: Schema, path: tuple[Step, ...]) -> bool:
    """Whether `path` surely leads to nothing: into a plain scalar. Where in doubt, it does not.

    Attributes that a schema does not list may exist all the same (a property of a model), and a
    text with a format is some Python object with attributes of its own (a date, a path).
    """
    for step in path:
        kind = schema.get("type")
        if kind in _SCALARS:
            is_plain = not ({"format", "enum", "const"} & schema.keys())
            return is_plain and not (kind == "string" and isinstance(step, int))
        inner = schema.get("properties") if isinstance(step, str) else schema
        part = inner.get("items" if isinstance(step, int) else step) if is_object(inner) else None
        if not is_object(part):
            return False
        schema = part
    return False


def _schema(node: Node, tools: Mapping[str, ToolSpec]) -> Schema:
    match node:
        case InputNode():
            return node.schema
        case ToolNode():
            return tools[node.tool].output if node.tool in tools else {}
        case LLMNode() | AgentNode() | PlanNode():
            return node.output
        case MapNode() | BranchNode() | LoopNode():
            return {}
        case _:
            assert_never(node)


def _shown(value: Any) -> str:
    shown = ascii(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
