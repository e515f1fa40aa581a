"""Hints as the fields and headers of one kind of server, and how they join a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentrt.backends.hint_table import TABLE, Entry, Purpose
from agentrt.backends.json_shape import is_object
from agentrt.ir.engine_fields import EngineFields
from agentrt.ir.hints import Hints

__all__ = ["DIALECTS", "HintFields", "Purpose", "joined", "translate"]

DIALECTS = tuple(TABLE)

_OURS = {"cache_salt", "lmcache.tag.cache_salt"}
"""Where the client's word does not count: what keeps tenants apart. Whoever makes the hints has worked
the client's own salt into theirs."""


@dataclass(frozen=True, slots=True)
class HintFields:
    """What is added to a request.

    Attributes:
        body: Fields of its body, nested ones as objects.
        headers: By name; all of them plain ASCII.
    """

    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def translate(
    hints: Hints,
    *dialects: str,
    takes: EngineFields | None = None,
    purposes: tuple[Purpose, ...] = ("isolation", "identity", "order", "load", "caching"),
) -> HintFields:
    """What says `hints` in `dialects`, where hints of these `purposes` are wanted.

    A dialect's fields that have to be asked for are left out where `takes` does not have them, and
    `priority` where it says no order; a dialect that nobody knows says nothing.
    """
    takes = takes or EngineFields()
    body: dict[str, Any] = {}
    headers: dict[str, str] = {}
    for dialect in dialects:
        for entry in TABLE.get(dialect, ()):
            if entry.purpose not in purposes or (
                entry.is_asked and entry.path[0] not in takes.body
            ):
                continue
            _write(entry, hints, takes, body, headers)
    return HintFields(body, headers)


def joined(body: Mapping[str, Any], fields: HintFields) -> dict[str, Any]:
    """A request's `body` with `fields` in it; neither is changed.

    What the client says itself stays as it says it, also within objects that both have, and where it
    has something other than an object for one. Only the salts that keep tenants apart are ours: they
    take the place even of that.
    """
    return _joined(body, fields.body)


def _write(
    entry: Entry,
    hints: Hints,
    takes: EngineFields,
    body: dict[str, Any],
    headers: dict[str, str],
) -> None:
    value = entry.value(hints, takes)
    if value is None:
        return
    if entry.is_header:
        name = entry.path[0] or takes.session_header
        text = str(value)
        # A name of a tenant may be anything; a header may not.
        if name and text.isascii() and text.isprintable() and text == text.strip():
            headers[name] = text
        return
    for key in entry.path[:-1]:
        body = body.setdefault(key, {})
    body[entry.path[-1]] = value


def _joined(client: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    whole = dict(client)
    for key, value in ours.items():
        theirs = whole.get(key)
        if key in _OURS or theirs is None:
            whole[key] = value
        elif is_object(value):
            if is_object(theirs):
                whole[key] = _joined(theirs, value)
            elif salts := {name: salt for name, salt in value.items() if name in _OURS}:
                whole[key] = salts
    return whole
