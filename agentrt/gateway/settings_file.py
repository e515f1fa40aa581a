"""A gateway's settings from a TOML file and from flags, with errors that say where and what to do."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agentrt.errors import InputError
from agentrt.gateway.settings import GatewaySettings, ReplicaSettings, TenantSettings

_MOST_BYTES = 1 << 20
_MOST_LINES = 1_000
"""Of longer files it is not said in which line they are wrong: see `line_of`."""

_TABLES: dict[str, type[BaseModel]] = {"replica": ReplicaSettings, "tenant": TenantSettings}
Location: TypeAlias = tuple[int | str, ...]


def read_settings(path: Path | None, flags: Mapping[str, Any]) -> GatewaySettings:
    """What `path` says, and before that what `flags` say: by names of `GatewaySettings`.

    Raises:
        InputError: one of them is wrong; its first line says where, those after it what to do.
    """
    text = "" if path is None else _read(path)
    name = "" if path is None else path.name
    return settings_of(text, flags, name=name)


def settings_of(text: str, flags: Mapping[str, Any], *, name: str = "") -> GatewaySettings:
    """As `read_settings`, of the text of a file called `name`."""
    told = _parsed(text, name)
    in_file = _validated(told, text=text, name=name)
    given = {_alias(key): value for key, value in flags.items() if value is not None}
    if not given:
        return in_file
    urls = given.get("replica")
    if urls is not None:
        # A flag chooses among the replicas, and what the file says of one that is chosen holds.
        known = {replica["url"]: replica for replica in told.get("replica", ())}
        given["replica"] = [known.get(url, {"url": url}) for url in urls]
    return _validated(told | given, text="", name="")


def line_of(text: str, location: Location) -> int | None:
    """The line on which the value at `location` is complete: that of its key, nearly always.

    The file is read again, as far as each of its lines, until the value is there: no second reader
    of TOML is needed that could read it otherwise.
    """
    lines = text.splitlines(keepends=True)
    if len(lines) > _MOST_LINES:
        return None
    for number in range(1, len(lines) + 1):
        try:
            value: Any = tomllib.loads("".join(lines[:number]))
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
        if _has(value, location):
            return number
    return None


def _has(value: Any, location: Location) -> bool:
    for step in location:
        try:
            value = value[step]
        except (LookupError, TypeError):
            return False
    return True


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"--config {path}: {said or error}") from error
    if len(data) > _MOST_BYTES:
        raise InputError(f"--config {path}: too long for a file of settings")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"--config {path}: not text in UTF-8") from error


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name or 'settings'}: not TOML: {error}") from error
    except (
        RecursionError,
        ValueError,
    ) as error:  # a million brackets; a date, a number beyond bounds
        raise InputError(f"{name or 'settings'}: not TOML that can be read") from error


def _validated(told: Mapping[str, Any], *, text: str, name: str) -> GatewaySettings:
    """`text` empty: `told` is from flags, and the file is known to be right."""
    try:
        return GatewaySettings.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=True)[0]
        raise InputError(_sentence(first, told, text=text, name=name)) from error.__cause__


def _sentence(error: ErrorDetails, told: Mapping[str, Any], *, text: str, name: str) -> str:
    location = error["loc"]
    table, key = _table_of(location)
    if error["type"] == "extra_forbidden":
        said, hint = f"nothing is called {str(key)[:60]!r} here", _nearest(str(key), table)
    elif error["type"] == "missing":
        said, hint = f"{key} is missing", _description(table, key)
        location = location[:-1]
    else:
        said, hint = _said(error, _value_at(told, location)), _description(table, key)
    where = _where(location, text, name)
    return f"{where}{said}" + (f"\n{hint}" if hint else "")


def _where(location: Location, text: str, name: str) -> str:
    """`gateway.toml, line 7, replica 1, kv_tokens: `, or the flag."""
    if not text:
        flag = str(location[0]).replace("_", "-") if location else ""
        return f"--{flag}: " if flag else ""
    parts = [name or "settings"]
    line = line_of(text, location) if location else None
    if line is not None:
        parts.append(f"line {line}")
    if location:
        head, *rest = location
        numbered = rest and isinstance(rest[0], int)
        parts.append(f"{head} {int(rest.pop(0)) + 1}" if numbered else str(head)[:60])
        parts += [str(step)[:60] for step in rest if isinstance(step, str)]
    return ", ".join(parts) + ": "


def _table_of(location: Location) -> tuple[type[BaseModel], int | str]:
    """The table that `location` is in, and the key there."""
    if not location:
        return GatewaySettings, ""
    kind = _TABLES.get(str(location[0]))
    if kind is None or len(location) == 1 or len(location) == 2:  # noqa: PLR2004  the list, an item
        return GatewaySettings, location[0]
    return kind, location[2]


def _said(error: ErrorDetails, value: Any) -> str:
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    said = error["msg"].replace("Input should be", "expected")
    # Numbers are never secret; what else stands there may be a key that was put in the wrong place.
    is_shown = isinstance(value, int | float) and abs(value) < 10**18
    return f"{said}, not {str(value).lower()}" if is_shown else said


def _description(table: type[BaseModel], key: int | str) -> str:
    for name, field in table.model_fields.items():
        if key in {name, field.alias}:
            return f"{key}: {field.description}"
    return ""


def _nearest(key: str, table: type[BaseModel]) -> str:
    known = [field.alias or name for name, field in table.model_fields.items()]
    near = difflib.get_close_matches(key[:60], known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are: {', '.join(known)}"


def _value_at(told: Any, location: Location) -> Any:
    for step in location:
        try:
            told = told[step]
        except (LookupError, TypeError):
            return None
    return told


def _alias(name: str) -> str:
    return GatewaySettings.model_fields[name].alias or name
