"""The tools of a request, as far as they are part of its prompt."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from agentrt.backends.json_shape import is_array, is_object
from agentrt.gateway.content import json_text, plain_string
from agentrt.ir.tool import ToolSpec

_LONGEST_REMEMBERED = 100_000
_MOST_TOOLS = 2_000
"""More than any model is shown: they are one, as long as all of them."""


def read_tools(tools: Any) -> tuple[ToolSpec, ...]:
    """Tools of any kind, in their order. What is no tool that is known of is described by its JSON.

    Agents send the same tools with each request, and get the same objects for them.
    """
    if not tools:
        return ()
    text = json.dumps(tools if is_array(tools) else [tools])
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _tools(json.loads(text))


@lru_cache(maxsize=128)
def _remembered(text: str) -> tuple[ToolSpec, ...]:
    return _tools(json.loads(text))


def _tools(entries: list[Any]) -> tuple[ToolSpec, ...]:
    if len(entries) > _MOST_TOOLS:
        return (ToolSpec(name="", description=json_text(entries)),)
    return tuple([_tool(entry) for entry in entries])


def _tool(entry: Any) -> ToolSpec:
    if not is_object(entry):
        return ToolSpec(name="", description=json_text(entry))
    kind = plain_string(entry.get("type"))
    # Chat nests what a tool is, responses and the legacy `functions` do not.
    nested = entry.get(kind or "function")
    function = nested if is_object(nested) else entry
    name = plain_string(function.get("name"))
    parameters = function.get("parameters")
    if not name or not is_object(parameters):
        return ToolSpec(name=name or kind, description=json_text(entry))
    return ToolSpec(
        name=name,
        description=plain_string(function.get("description")),
        parameters=parameters,
    )
