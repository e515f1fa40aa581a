"""Tool arguments as models write them: JSON text that may be anything at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn, cast

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
    """A JSON object, by the letter of the standard: no NaN, no key twice, no half surrogates.

    Raises:
        SchemaError: it is not.
    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        if "\\u" in text or not text.isascii():
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise SchemaError("the arguments hold half a surrogate pair, which is no text") from error
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"the arguments are not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise SchemaError(f"the arguments must be a JSON object, not {_kind(data)}")
    return cast("dict[str, Any]", data)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} is there more than once")
    return found


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
