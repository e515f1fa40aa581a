"""JSON values and JSON Schemas: the types of a graph, as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeGuard

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, or lists and string-keyed dicts of them."""

Schema: TypeAlias = Mapping[str, Any]
"""A JSON Schema (2020-12). Treated as immutable once it is in a graph."""


def is_object(value: Any) -> TypeGuard[dict[str, Json]]:
    """Whether `value` is a JSON object; its keys are not looked at."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Json]]:
    """Whether `value` is a JSON array."""
    return isinstance(value, list)


def canonical_json(value: Json) -> str:
    """One text per value, whatever the order its dicts were built in."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(value: Json) -> str:
    """A hex SHA-256 of `canonical_json(value)`: the same in every process."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
