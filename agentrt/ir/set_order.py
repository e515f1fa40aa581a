"""Sets as JSON in one order: Python's own differs from process to process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentrt.ir.schema import Json, canonical_json, is_list, is_object


def as_in_sets(value: Any, data: Json) -> Json:
    """`data`, which is `value` as JSON, with lists that were sets sorted, those within sets first."""
    parts: Any = value
    if is_list(data) and isinstance(value, (set, frozenset, list, tuple)):
        if len(parts) == len(data):
            items = [as_in_sets(*pair) for pair in zip(parts, data, strict=True)]
            is_set = isinstance(value, (set, frozenset))
            return sorted(items, key=canonical_json) if is_set else items
    elif is_object(data) and isinstance(value, Mapping) and len(parts) == len(data):
        pairs = zip(data.items(), parts.values(), strict=True)
        return {name: as_in_sets(part, item) for (name, item), part in pairs}
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
