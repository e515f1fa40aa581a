"""Engines in files: what `agentrt calibrate` writes and `agentrt simulate --engine FILE` reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, cast

from agentrt.errors import InputError
from agentrt.simulator.engine_model import EngineModel

_KIND = "agentrt engine"
_VERSION = 1
_CACHES = ("paged", "slots")
_MOST = 1e15


def engine_json(model: EngineModel, *, about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The contents of an engine file. `about` is for people: where the numbers are from."""
    return {
        "kind": _KIND,
        "version": _VERSION,
        "model": asdict(model),
        "about": dict(about or {}),
    }


def read_engine(text: str) -> EngineModel:
    """The engine of a file.

    Raises:
        InputError: it is no engine file, or its numbers cannot be an engine's.
    """
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"no engine file: it is not JSON ({str(error)[:100]})") from error
    if not isinstance(data, dict) or cast("dict[str, Any]", data).get("kind") != _KIND:
        raise InputError("no engine file: `agentrt calibrate URL -o FILE` writes one")
    whole = cast("dict[str, Any]", data)
    if whole.get("version") != _VERSION:
        raise InputError(
            f"an engine file of version {whole.get('version')!r}, this reads {_VERSION}"
        )
    model = whole.get("model")
    if not isinstance(model, dict):
        raise InputError("an engine file without a model")
    try:
        return EngineModel(**_values(cast("dict[str, Any]", model)))
    except (TypeError, ValueError) as error:
        raise InputError(f"an engine file that holds no engine: {str(error)[:200]}") from error


def _values(model: dict[str, Any]) -> dict[str, Any]:
    types = {field.name: field.type for field in fields(EngineModel)}
    unknown = sorted(set(model) - set(types))
    if unknown:
        raise InputError(f"an engine file with {unknown[0][:40]!r}, which no engine has")
    return {name: _value(name, value, str(types[name])) for name, value in model.items()}


def _value(name: str, value: Any, kind: str) -> Any:
    match kind:
        case "str":
            is_fine = isinstance(value, str)
        case "EngineCache":
            is_fine = value in _CACHES
        case "int":
            is_fine = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
        case _:
            is_fine = (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and math.isfinite(value)
                and value <= _MOST
            )
    if not is_fine:
        raise InputError(f"an engine file where {name} is {str(value)[:40]!r}")
    return value
