"""What of a JSON Schema the embedded engine may safely be given.

llama.cpp turns a schema into a grammar and checks every candidate token against it, on the thread
that all slots share. It accepts schemas whose grammars stall it (an enum of 20,000 values: over 20 s
a token), and prints to stderr about those it cannot convert. So what costs more than it constrains
is left out here; the answer is checked against the whole schema by whoever asked, as always.
"""

from __future__ import annotations

import math
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
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
# Keys of the lower bounds of something, and of the upper ones.
_RANGES = (
    (("minItems",), ("maxItems",)),
    (("minLength",), ("maxLength",)),
    (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")),
)
# Of parts of a pattern that may occur or not. With 32 after one another a token took three times as
# long as without, with 64 more than 25 s.
_MAX_OPTIONAL = 16


def constrainable(schema: Schema) -> Schema | None:
    """`schema` without what the engine cannot use; None: it is better not constrained at all."""
    try:
        slim: Schema = _slim(schema)
        written = canonical_json(slim)
        written.encode()
    except (ValueError, RecursionError):  # text that cannot be sent, or deeper than anybody means
        return None
    return slim if len(written) <= _MAX_SCHEMA_CHARS else None


def safe_parameters(parameters: Schema) -> Schema:
    """The schema of a tool's arguments without what the engine cannot use; of any length.

    Where the model's template marks calls, the engine holds their arguments to a grammar as well.
    """
    try:
        slim: Schema = _slim(parameters)
    except RecursionError:
        return plain_parameters(parameters)
    return slim


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
            return _without_empty_ranges(slim)
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


def _without_empty_ranges(schema: dict[str, Any]) -> dict[str, Any]:
    """Nothing fits between bounds that cross, and the engine looks for it for ever, or breaks."""
    for low, high in _RANGES:
        least = [_whole(key, schema[key]) for key in low if _is_number(schema.get(key))]
        most = [_whole(key, schema[key]) for key in high if _is_number(schema.get(key))]
        if least and most and max(least) > min(most):
            schema = {key: value for key, value in schema.items() if key not in low + high}
    return schema


def _whole(key: str, bound: float) -> int:
    """The first whole number within a bound."""
    match key:
        case "exclusiveMinimum":
            return math.floor(bound) + 1
        case "exclusiveMaximum":
            return math.ceil(bound) - 1
        case _:
            return math.ceil(bound) if key.startswith("min") else math.floor(bound)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_usable(key: str, value: Any) -> bool:
    if key in _COUNTED:
        return isinstance(value, int) and 0 <= value <= _MAX_REPETITIONS
    if key in _BOUNDS:
        return isinstance(value, int | float) and abs(value) < _MAX_BOUND
    return True


def _plain_pattern(pattern: Any) -> dict[str, str]:
    """`pattern` in the words the engine knows, or nothing.

    It must be anchored at both ends, without look-around, without escapes other than of punctuation,
    without repetitions that multiply and with few of them.
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
        and len(re.findall(r"(?<!\\)[?*+{]", plain)) <= _MAX_OPTIONAL
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
