"""What of a JSON Schema the embedded engine may safely be given.

llama.cpp turns a schema into a grammar and checks every candidate token against it, on the thread
that all slots share. It accepts schemas whose grammars stall it (an enum of 20,000 values: over 20 s
a token), and prints to stderr about those it cannot convert. So what costs more than it constrains
is left out here; the answer is checked against the whole schema by whoever asked, as always.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

from agentrt.backends.json_shape import is_array, is_object
from agentrt.ir.schema import Schema, canonical_json

_MAX_SCHEMA_CHARS = 8_000
_MAX_REPETITIONS = 200
_COUNTED = {"minItems", "maxItems", "minLength", "maxLength"}
# Names of properties, not keywords: what is below them is a schema each.
_NAMED = {"properties", "$defs", "definitions"}
_VERBATIM = {"enum", "const", "required", "examples", "default"}
_PLAIN_TYPES = {"array", "boolean", "integer", "number", "object", "string"}
_MAX_BOUND = 2**53


def constrainable(schema: Schema) -> Schema | None:
    """`schema` without what the engine cannot use; None: it is better not constrained at all."""
    slim: Schema = _slim(schema)
    return slim if len(canonical_json(slim)) <= _MAX_SCHEMA_CHARS else None


def plain_parameters(schema: Schema) -> Schema:
    """Names, plain types and descriptions of a tool's arguments: what the engine takes in any case."""
    properties, required = schema.get("properties"), schema.get("required")
    plain: dict[str, Schema] = {}
    if is_object(properties):
        plain = {name: _plain(below) for name, below in properties.items()}
    names = required if is_array(required) else []
    return {
        "type": "object",
        "properties": plain,
        "required": [name for name in names if isinstance(name, str) and name in plain],
    }


def _plain(schema: Any) -> Schema:
    if not is_object(schema):
        return {}
    kind, text = schema.get("type"), schema.get("description")
    return ({"type": kind} if isinstance(kind, str) and kind in _PLAIN_TYPES else {}) | (
        {"description": text} if isinstance(text, str) else {}
    )


def _slim(value: Any) -> Any:
    match value:
        case list():
            return [_slim(item) for item in cast("Sequence[Any]", value)]
        case Mapping():
            slim: dict[str, Any] = {}
            for key, item in cast("Mapping[str, Any]", value).items():
                slim |= _slim_keyword(key, item)
            return slim
        case _:
            return value


def _slim_keyword(key: str, value: Any) -> dict[str, Any]:
    if key in _VERBATIM:
        return {key: value}
    if key in _NAMED and isinstance(value, Mapping):
        named = cast("Mapping[str, Any]", value)
        return {key: {name: _slim(below) for name, below in named.items()}}
    if key == "pattern":
        return _plain_pattern(value)
    return {key: _slim(value)} if _is_usable(key, value) else {}


def _is_usable(key: str, value: Any) -> bool:
    if key in _COUNTED:
        return isinstance(value, int) and value <= _MAX_REPETITIONS
    if key in {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}:
        return isinstance(value, int | float) and abs(value) < _MAX_BOUND
    return True


def _plain_pattern(pattern: Any) -> dict[str, str]:
    """`pattern` in the words the engine knows, or nothing.

    It must be anchored at both ends, without look-around, without escapes other than of punctuation
    and without repetitions that multiply.
    """
    if not isinstance(pattern, str):
        return {}
    plain = pattern.replace(r"\d", "[0-9]").replace(r"\w", "[A-Za-z0-9_]")
    in_class = re.search(r"\[[^\]]*\\[dw]", pattern)  # would nest brackets
    counts = [int(number) for number in re.findall(r"(?<=[{,])\d+(?=[,}])", plain)]
    is_plain = (
        re.fullmatch(r"\^.*(?<!\\)\$", plain, re.DOTALL) is not None
        and "(?" not in plain
        and in_class is None
        and re.search(r"\\[A-Za-z0-9]|\)[*+{]", plain) is None
        and sum(counts) <= _MAX_REPETITIONS
        and _compiles(plain)
    )
    return {"pattern": plain} if is_plain else {}


def _compiles(pattern: str) -> bool:
    try:
        # A warning is for what will mean something else one day ("[[a]"): not plain either.
        with warnings.catch_warnings(action="error"):
            re.compile(pattern)
    except (re.error, FutureWarning, OverflowError, RecursionError):
        return False
    return True
