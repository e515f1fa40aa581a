"""JSON and text as the store keeps them: anything Python may hold comes back as it went in.

PostgreSQL refuses NUL characters in text, and no database takes a lone surrogate (a file name that
is not UTF-8 becomes one). Both survive as JSON escapes.
"""

from __future__ import annotations

import json
from typing import cast

from agentrt.errors import StoreError
from agentrt.ir.schema import Json

MAX_DEPTH = 400
"""Levels of nesting. Python reads and writes JSON recursively: what is written at the foot of the
stack must be readable from further up it."""

MAX_VALUE_CHARS = 256 * 2**20
"""Both databases refuse a value of about 1 GB, and would refuse it only when the whole group is
written, with the records of other runs in it."""

_plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_escaped = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def encode_json(value: Json, *, what: str) -> str:
    """`value` as JSON text that every database takes.

    Args:
        value: JSON data.
        what: What the value is, for the message.

    Raises:
        StoreError: JSON has no such value (NaN, infinity, an object), or it is nested too deeply,
            contains itself, or is too large.
    """
    if value is None:
        return "null"
    try:
        text = _plain.encode(value)
        if not text.isascii() and not _is_storable(text):
            text = _escaped.encode(value)
    except (ValueError, TypeError) as error:
        # json says "Out of range float values are not JSON compliant", "Circular reference
        # detected", "Object of type X is not JSON serializable": all for the author to read.
        raise StoreError(f"{what} cannot be stored, because it is not JSON: {error}.") from error
    except RecursionError as error:
        raise _too_deep(what) from error
    if len(text) > MAX_VALUE_CHARS:
        raise StoreError(
            f"{what} cannot be stored: {len(text):,} characters of JSON, "
            f"{MAX_VALUE_CHARS:,} at most. Keep the data in a file and return its path."
        )
    # Depth is bounded by the brackets there are, so nearly every value is cleared by a count.
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _too_deep(what)
    return text


def decode_json(text: str) -> Json:
    """The value `encode_json` was given."""
    return None if text == "null" else json.loads(text)


def encode_text(text: str) -> str:
    """Text that every database takes: as it is, or as a JSON string where it cannot be.

    A text that begins with a quotation mark becomes a JSON string too, so that `decode_text` can
    tell.
    """
    if text.isascii():
        if text[:1] != '"' and "\0" not in text:
            return text
    elif text[:1] != '"' and "\0" not in text and _is_storable(text):
        return text
    return _escaped.encode(text)


def decode_text(text: str) -> str:
    """The text `encode_text` was given."""
    if text[:1] != '"':
        return text
    return str(json.loads(text))


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(value: Json) -> int:
    """Levels of lists and dicts, without recursion: the value may be deeper than the stack."""
    deepest = 0
    stack: list[tuple[Json, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        if isinstance(item, dict):
            children = list(cast("dict[str, Json]", item).values())
        elif isinstance(item, (list, tuple)):
            children = list(cast("list[Json]", item))
        else:
            continue
        deepest = max(deepest, depth + 1)
        stack.extend((child, depth + 1) for child in children)
    return deepest


def _too_deep(what: str) -> StoreError:
    return StoreError(
        f"{what} cannot be stored: it is nested more than {MAX_DEPTH} levels deep. "
        "Return a flatter value."
    )
