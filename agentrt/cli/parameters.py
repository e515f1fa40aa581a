"""A workflow's parameters from the command line: `--name value` words and `--input`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from agentrt.cli.failure import UsageError
from agentrt.dsl.value_type import ValueType
from agentrt.errors import SchemaError

Parameters = Mapping[str, ValueType[Any]]

_INPUT_FORMS = "--input takes a JSON object, @file, or - for stdin"
_MISSING = object()


def parse_parameters(
    words: Sequence[str], parameters: Parameters, *, given: str | None = None
) -> dict[str, Any]:
    """Values by parameter name, as the workflow takes them; words win over `--input`.

    Args:
        words: What was left of the command line: `--name value`, `--name=value`, and `--name`
            alone for a `bool`. Dashes in a name may stand for its underscores.
        parameters: What the workflow takes.
        given: The text after `--input`.

    Raises:
        UsageError: an unknown parameter (the known ones are named), a value that does not fit
            its type, or an input that is not a JSON object.
    """
    values = _from_input(given, parameters) if given is not None else {}
    seen: set[str] = set()
    for name, text in _pairs(words, parameters):
        if name in seen:
            raise UsageError(f"--{name} is given twice")
        seen.add(name)
        values[name] = parse_value(name, text, parameters[name])
    return values


def parse_value(name: str, text: str, value_type: ValueType[Any]) -> Any:
    """`text` by the parameter's type: a `str` verbatim, anything else as JSON.

    Where the type takes text among other things (`str | None`, a Literal, an enum, a date), text
    that is not JSON is taken verbatim.

    Raises:
        UsageError: it does not fit.
    """
    if value_type.is_text:
        return text
    parsed = _json_or_missing(text)
    candidates = [text] if parsed is _MISSING else [text, parsed]
    if parsed is not _MISSING and not isinstance(parsed, str):
        candidates.reverse()  # `5` is a number wherever a number will do; `"a"` keeps its quotes
    problem: SchemaError | None = None
    for candidate in candidates:
        try:
            return value_type.from_json(candidate)
        except SchemaError as error:
            problem = problem or error
    hint = "" if parsed is not _MISSING else "values other than text are given as JSON"
    raise UsageError(f"--{name}: {problem}", hint=hint)


def _pairs(words: Sequence[str], parameters: Parameters) -> Iterator[tuple[str, str]]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            raise UsageError(
                f"{word!r} belongs to no parameter", hint=f"parameters: {_known(parameters)}"
            )
        written, has_value, value = word[2:].partition("=")
        name = _name(written, parameters)
        if not has_value:
            is_flag = parameters[name].annotation is bool
            if is_flag and (not rest or rest[0].startswith("--")):
                value = "true"
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"--{written} needs a value")
        yield name, value


def _name(written: str, parameters: Parameters) -> str:
    for name in (written, written.replace("-", "_")):
        if name in parameters:
            return name
    raise UsageError(
        f"there is no option or parameter --{written}",
        hint=f"the workflow's parameters: {_known(parameters)}; options: agentrt run --help",
    )


def _known(parameters: Parameters) -> str:
    return ", ".join(f"--{name} ({kind.name})" for name, kind in parameters.items()) or "none"


def _from_input(given: str, parameters: Parameters) -> dict[str, Any]:
    text = _input_text(given)
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--input is not JSON: {error}", hint=_INPUT_FORMS) from error
    if not isinstance(data, dict):
        raise UsageError(
            f"--input must be a JSON object of parameters, not {type(data).__name__}",
            hint=f"parameters: {_known(parameters)}",
        )
    values = cast("dict[str, Any]", data)
    unknown = [name for name in values if name not in parameters]
    if unknown:
        raise UsageError(
            f"--input has no parameter {unknown[0]!r} to fill",
            hint=f"parameters: {_known(parameters)}",
        )
    return {name: _checked(name, value, parameters[name]) for name, value in values.items()}


def _checked(name: str, value: Any, value_type: ValueType[Any]) -> Any:
    try:
        return value_type.from_json(value)
    except SchemaError as error:
        raise UsageError(f"--input, {name}: {error}") from error


def _input_text(given: str) -> str:
    try:
        if given == "-":
            return sys.stdin.read() if sys.stdin else ""
        if given.startswith("@"):
            return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"--input {given} cannot be read: {reason}") from error
    return given


def _json_or_missing(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _MISSING
