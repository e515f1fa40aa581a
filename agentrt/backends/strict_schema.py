"""The strict form of a JSON Schema: what OpenAI wants before it constrains decoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agentrt.backends.json_shape import is_array


def strict_form(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """`schema` with closed objects and all properties required; None where that cannot be.

    Whatever fits the strict form fits `schema` too. Free-form objects (`dict[str, int]`) have no
    strict form. Defaults are dropped: a required property has no use for one.
    """
    try:
        return cast("dict[str, Any]", _strict(schema))
    except _FreeFormError:
        return None


class _FreeFormError(Exception):
    pass


def _strict(value: Any) -> Any:
    if is_array(value):
        return [_strict(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    node = cast("Mapping[str, Any]", value)
    closed = {key: _strict_member(key, member) for key, member in node.items() if key != "default"}
    if node.get("type") != "object":
        return closed
    properties = node.get("properties")
    if node.get("additionalProperties", False) is not False or not isinstance(properties, Mapping):
        raise _FreeFormError
    names = list(cast("Mapping[str, Any]", properties))
    return closed | {"additionalProperties": False, "required": names}


def _strict_member(key: str, member: Any) -> Any:
    if key in {"properties", "$defs"} and isinstance(member, Mapping):
        # Names of properties, not keywords: one may well be called "default" or "enum".
        named = cast("Mapping[str, Any]", member)
        return {name: _strict(inner) for name, inner in named.items()}
    if key in {"enum", "const", "examples"}:
        return member
    return _strict(member)
