"""Marks: what stands inside Python strings for symbolic values formatted into them.

A mark is `<<label#process-trace:number>>`. The process part tells a value that leaked out of its
trace from text that merely looks like a mark; the trace part cannot be guessed, so no text can
forge one. ASCII without quotes or backslashes, so that `repr` and `json.dumps` leave it whole.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

_PROCESS: Final = secrets.token_hex(6)
_NOT_IN_LABEL: Final = re.compile(r"[^A-Za-z0-9_.-]+")

MARK: Final = re.compile(rf"<<[A-Za-z0-9_.-]*#{_PROCESS}-([0-9a-f]+):([0-9]+)>>")
"""A mark of this process; its groups are the trace's nonce and the number in the trace."""


def new_nonce() -> str:
    """What tells the marks of one trace from those of any other."""
    return secrets.token_hex(6)


def mark_text(nonce: str, number: int, label: str) -> str:
    """The mark of the value that has this number in its trace."""
    return f"<<{_NOT_IN_LABEL.sub('.', label)}#{_PROCESS}-{nonce}:{number}>>"


def readable(text: str) -> str:
    """`text`, for people: symbolic values in it go by their labels alone."""
    return MARK.sub(lambda mark: mark.group()[2:].partition("#")[0], text)


def has_marks(text: str) -> bool:
    """Whether some of `text` is, or was before it was changed, a mark."""
    return _PROCESS in text or (_PROCESS in text.lower() if "#" in text else False)
