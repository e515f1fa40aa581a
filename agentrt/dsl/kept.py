"""What of a constant its JSON does not keep: a run would go on with something else, and nobody be told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from pydantic import BaseModel, SecretBytes, SecretStr


def lost(value: Any, back: Any) -> str | None:
    """What of `value` is not in `back`, which was read from its JSON; None: nothing that matters."""
    if isinstance(value, (SecretStr, SecretBytes)):
        if value == back:
            return None
        return "a secret, which JSON is not told: read it in the `@tool` that needs it"
    own, read = _fields(value), _fields(back)
    if own is not None and read is not None:
        if own.keys() <= read.keys():
            return _first((item, read[name]) for name, item in own.items())
        return (
            f"what a {type(value).__name__} has and a {type(back).__name__} has not: annotate the "
            "parameter with the class itself, or with a union of those there are"
        )
    if _is_list(value) and _is_list(back):
        return _first(zip(value, back, strict=False))
    if _is_mapping(value) and _is_mapping(back):
        return _first(zip(value.values(), back.values(), strict=False))
    return None


def _fields(value: Any) -> Mapping[str, Any] | None:
    """Of a model or a dataclass."""
    if isinstance(value, BaseModel):
        return {name: getattr(value, name, None) for name in type(value).model_fields}
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
    return None


def _first(pairs: Iterable[tuple[Any, Any]]) -> str | None:
    return next((found for pair in pairs if (found := lost(*pair)) is not None), None)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, (list, tuple))


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)
