"""Tool calls that a model wrote into its text instead of where they belong.

Small models do it often: asked for a call, Qwen2.5-Coder-1.5B answers with a fenced JSON object that
names the tool and its arguments, and the server's parser passes it on as text. Taken literally that
would be the agent's final answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, cast

from agentrt.ir.request import ToolCall

_FENCE = re.compile(
    r"^\s*```(?:json|tool_call|tool_code)?\s*\n(?P<inside>.*?)\n?```\s*$", re.DOTALL
)
_TAG = re.compile(r"<tool_call>\s*(?P<inside>.*?)\s*(?:</tool_call>|$)", re.DOTALL)


def spoken_calls(text: str, names: Collection[str]) -> tuple[ToolCall, ...]:
    """The calls that make up the whole of `text`, if that is all it is; ids are left empty.

    A call is an object with a known `name` and an object of `arguments` (or `parameters`), bare,
    fenced, in `<tool_call>` tags, or several of them in a list. Anything beside it makes `text` an
    answer: prose that quotes a call is not one.
    """
    tagged = _TAG.findall(text)
    if tagged and not _TAG.sub("", text).strip():
        pieces = tagged
    else:
        fenced = _FENCE.match(text)
        pieces = [fenced["inside"] if fenced else text]
    calls: list[ToolCall] = []
    for piece in pieces:
        found = _calls_in(piece, names)
        if not found:
            return ()
        calls.extend(found)
    return tuple(calls)


def _calls_in(text: str, names: Collection[str]) -> list[ToolCall]:
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        return []
    calls: list[ToolCall] = []
    entries: list[object] = [data]
    if isinstance(data, list):
        entries = cast("list[object]", data)
    for entry in entries:
        if not isinstance(entry, dict):
            return []
        item = cast("dict[str, Any]", entry)
        if item.keys() - {"name", "arguments", "parameters", "type"}:
            return []
        arguments = item.get("arguments", item.get("parameters"))
        if item.get("name") not in names or not isinstance(arguments, dict):
            return []
        calls.append(ToolCall("", item["name"], json.dumps(arguments)))
    return calls
