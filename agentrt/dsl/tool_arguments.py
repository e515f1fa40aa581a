"""Tool arguments as models write them: JSON text that may be anything at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agentrt.dsl.json_text import parse_json
from agentrt.dsl.signature import Signature
from agentrt.errors import SchemaError


def parse_arguments(text: str, signature: Signature) -> dict[str, Any]:
    """The Python keyword arguments in a model's JSON text; no text at all means none.

    Numbers and booleans written as text are taken for what they say.

    Raises:
        SchemaError: saying what is wrong and what is expected, in words a model can act on.
    """
    given: Mapping[str, Any] = parse_object(text) if text.strip() else {}
    parameters = signature.parameters
    unknown = [name for name in given if name not in parameters]
    if unknown:
        known = ", ".join(parameters) or "none: it takes no arguments"
        raise SchemaError(f"unknown argument {_shown(unknown)}; the arguments are: {known}")
    missing = [p.name for p in parameters.values() if p.is_required and p.name not in given]
    if missing:
        raise SchemaError(f"missing argument {_shown(missing)}; expected: {signature}")
    arguments: dict[str, Any] = {}
    problems: list[str] = []
    for name, data in given.items():
        try:
            arguments[name] = parameters[name].type.from_json(data)
        except SchemaError as error:
            problems.append(f"argument {name!r}: {error}")
    if problems:
        raise SchemaError("; ".join(problems))
    return arguments


def parse_object(text: str) -> Mapping[str, Any]:
    """A JSON object in which no key is there twice.

    Raises:
        SchemaError: it is none.
    """
    data = parse_json(text, "the text of the arguments", is_unique=True)
    if not isinstance(data, dict):
        raise SchemaError(f"the arguments must be a JSON object, not {_kind(data)}")
    return cast("dict[str, Any]", data)


def _kind(data: Any) -> str:
    match data:
        case list():
            return "a list"
        case str():
            return "a string"
        case None:
            return "null"
        case bool():
            return "a boolean"
        case _:
            return "a number"


def _shown(names: list[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")  # noqa: PLR2004  a line
