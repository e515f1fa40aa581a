"""What a planner is told: what never changes first, the tools next, the question last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentrt.ir.lint_tool import parameters_of
from agentrt.ir.request import Message
from agentrt.ir.schema import Schema, canonical_json, is_list, is_object
from agentrt.ir.tool import ToolSpec
from agentrt.planner.arguments import followed
from agentrt.planner.task import written_name

INSTRUCTIONS = """\
You answer questions with tools, in two steps. First you write a plan: one call a line, then the \
line join. Then you are given the results and answer.

A line of the plan is a number, a tool and its arguments by name:
1 search(query="Eiffel Tower")
Arguments are JSON. A bare $1 stands for the result of line 1, $1.name and $1[0] for parts of it; \
inside quotes it is only text. A line may refer only to lines above it. Lines that do not refer to \
each other run at the same time, so let as many as possible be independent. Plan only the calls \
that are needed, use no other tools than these, and write nothing but the plan.
"""

EXAMPLE = """\
For example, with tools not given here, "How much older is Ada than the average of her children?":
1 age(name="Ada")
2 children(name="Ada")
3 average_age(names=$2)
4 subtract(a=$1, b=$3)
join
"""


_LEVELS = 4
_MAX_WORDS = 4_000


def planner_messages(tools: Iterable[ToolSpec], question: str) -> tuple[Message, ...]:
    """The conversation that asks for a plan. All but the last message is the same every time."""
    return (Message("system", system_text(tools)), Message("user", f"Question: {question}\nPlan:"))


def system_text(tools: Iterable[ToolSpec]) -> str:
    """The instructions and the tools, in order of their names: one text for one set of tools."""
    shown = "\n".join(tool_text(tool) for tool in sorted(tools, key=lambda tool: tool.name))
    return f"{INSTRUCTIONS}\nTools:\n{shown}\n\n{EXAMPLE}"


def tool_text(tool: ToolSpec) -> str:
    """A tool as a planner sees it: `search(query: string, top: integer = 3) -> string: Finds ...`."""
    required = parameters_of(tool).required
    properties: Mapping[str, Any] = tool.parameters.get("properties", {})
    parameters: list[str] = []
    for name, schema in properties.items():
        default = ""
        if name not in required:
            default = f" = {canonical_json(schema.get('default') if is_object(schema) else None)}"
        parameters.append(f"{written_name(name)}: {type_text(schema, tool.parameters)}{default}")
    output = f" -> {type_text(tool.output, tool.output)}" if tool.output else ""
    description = f": {tool.description}" if tool.description else ""
    return f"{tool.name}({', '.join(parameters)}){output}{description}"


def type_text(schema: Any, root: Schema) -> str:
    """A schema in a few words: as many levels of it as they suffice for."""
    words = ""
    for levels in range(_LEVELS, 0, -1):
        words = _type_text(schema, root, levels)
        if len(words) <= _MAX_WORDS:
            break
    return words


def _type_text(schema: Any, root: Schema, levels: int) -> str:
    if not is_object(schema):
        return "any"
    schema = followed(schema, root)
    if is_list(schema.get("enum")):
        return " | ".join(canonical_json(value) for value in schema["enum"])
    parts = schema.get("anyOf") or schema.get("oneOf")
    if is_list(parts) and levels:
        return " | ".join(_type_text(part, root, levels - 1) for part in parts)
    kind = schema.get("type")
    if kind == "array" and levels:
        return f"[{_type_text(schema.get('items'), root, levels - 1)}]"
    if kind == "object" and levels and is_object(schema.get("properties")):
        fields: Sequence[str] = [
            f"{name}: {_type_text(inner, root, levels - 1)}"
            for name, inner in schema["properties"].items()
        ]
        return "{" + ", ".join(fields) + "}"
    described = schema.get("description")
    words = kind if isinstance(kind, str) else "any"
    return f"{words} ({described})" if isinstance(described, str) else words
