"""JSON as models write it: text that may be anything at all, read by the letter of the standard."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

from agentrt.errors import SchemaError

_FENCED: Final = re.compile(r"```[A-Za-z]*[^\S\n]*\n(.*?)```", re.DOTALL)
"""What may stand before the line's end holds no line's end: else a fence that many empty lines follow
would be tried from each of them, to the end of the text."""


def parse_json(text: str, what: str, *, is_unique: bool = False) -> Any:
    """The value that `text` says; with `is_unique`, no object may name a key twice.

    Raises:
        SchemaError: it is no JSON (NaN and half a surrogate pair are none), or nests too deeply;
            `what` names the text.
    """
    pairs_hook = _unique if is_unique else None
    try:
        data = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=pairs_hook
        )
        if "\\u" in text or not text.isascii():
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise SchemaError(f"{what} is not text: it holds half a surrogate pair") from error
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{what} is not valid JSON: {error}") from error
    return data


def unfenced(text: str) -> str:
    """`text` without the Markdown fence, and the words around it, that models put around JSON."""
    stripped = text.strip()
    if stripped.startswith(("{", "[", '"')):
        return stripped
    fenced = _FENCED.search(stripped)
    return fenced.group(1).strip() if fenced else stripped


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is not a finite number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key {name[:80]!r} is there more than once")
            seen.add(name)
    return found
