"""Sets as JSON in one order: Python's differs from process to process, and a graph's hash must not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentrt.ir.lint_value import is_list, is_object
from agentrt.ir.schema import Json, canonical_json


def as_in_sets(value: Any, data: Json) -> Json:
    """`data`, which is `value` as JSON, with lists that were sets sorted."""
    if is_list(data):
        if isinstance(value, (set, frozenset)):
            return sorted(data, key=canonical_json)
        if isinstance(value, (list, tuple)) and len(_seen(value)) == len(data):
            pairs = zip(_seen(value), data, strict=True)
            return [as_in_sets(part, item) for part, item in pairs]
    elif is_object(data) and isinstance(value, Mapping) and len(_seen(value)) == len(data):
        fields = zip(data.items(), _seen(value).values(), strict=True)
        return {name: as_in_sets(part, item) for (name, item), part in fields}
    return data


def sets_in_order(schema: Any) -> Any:
    """`schema`, with defaults that are sets sorted."""
    if is_list(schema):
        return [sets_in_order(item) for item in schema]
    if not is_object(schema):
        return schema
    fields = {name: sets_in_order(item) for name, item in schema.items()}
    default = fields.get("default")
    if fields.get("uniqueItems") is True and is_list(default):
        fields["default"] = sorted(default, key=canonical_json)
    return fields


def _seen(value: Any) -> Any:
    return value
