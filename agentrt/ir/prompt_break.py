"""Where a prompt stops being what an earlier one began with, and what that is. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LEFT_OUT: Final = "text was left out at the end"
"""What differs where a prompt ends and the earlier one goes on."""

_AROUND: Final = 40
_SHOWN: Final = 24

# Whole names: "Monitor 3 hosts", "Maybe 4" and "Section 2" are no dates.
_DAY: Final = "(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs?)?|Fri|Sat(?:ur)?|Sun)(?:day)?"
_MONTH: Final = (
    "(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    "|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_KINDS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("a timestamp", re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")),
    ("a timestamp", re.compile(r"\b\d\d?:\d\d(?::\d\d)?(?:\.\d+)?(?: ?[AaPp][Mm])?\b")),
    ("a timestamp", re.compile(r"\b\d\d?[./]\d\d?[./]\d{2,4}\b")),
    ("a timestamp", re.compile(rf"\b(?:{_DAY}|{_MONTH})\.?,? \d{{1,2}}\b[^\n]{{0,12}}")),
    ("a timestamp", re.compile(rf"\b\d{{1,2}}\.? {_MONTH}\b[^\n]{{0,12}}")),
    ("an id", re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")),
    ("a timestamp", re.compile(r"\b1[5-9]\d{8}(?:\.\d+|\d{3})?\b")),
    ("an id", re.compile(r"\b(?=[0-9a-zA-Z_-]{0,64}\d)(?=[0-9a-zA-Z_-]{0,64}[a-zA-Z])[0-9a-zA-Z_-]{12,64}\b")),
    ("a path", re.compile(r"(?:/[\w.@-]{1,64}){2,16}/?|\b[A-Z]:\\[\w.\\@-]{1,256}")),
    ("a number", re.compile(r"-?\d{1,32}(?:[.,]\d{1,32})*")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a prompt that has one source.

    Attributes:
        message: Which message it is in, from 0; None: in the tools, which precede them.
    """

    text: str
    origin: str
    message: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """The first character in which a prompt differs from an earlier one.

    Attributes:
        shared_characters: Before it.
        lost_characters: Of the earlier prompt, from there on: what cannot be reused.
        offset: Characters from the start of the piece.
        kind: What differs, for people: `a timestamp`, `the order of the tools`.
        before: A few characters of the earlier prompt around it; `now` of this one.
    """

    shared_characters: int
    lost_characters: int
    origin: str
    message: int | None
    offset: int
    kind: str
    before: str
    now: str


def first_break(before: Sequence[Piece], now: Sequence[Piece]) -> Break | None:
    """None if `now` goes on from `before`, or is it."""
    old, new = text_of(before), text_of(now)
    shared = common_length(old, new)
    if shared == len(old):
        return None
    piece, offset = _blamed(before, now, shared)
    return Break(
        shared_characters=shared,
        lost_characters=len(old) - shared,
        origin=piece.origin,
        message=piece.message,
        offset=offset,
        kind=_kind(before, now, old, new, shared),
        before=_excerpt(old, shared),
        now=_excerpt(new, shared),
    )


def text_of(pieces: Sequence[Piece]) -> str:
    """The prompt as one text."""
    return "".join(piece.text for piece in pieces)


def common_length(a: str, b: str) -> int:
    """Characters that both begin with: by halves, as comparing slices is far faster than characters."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while low < high:  # a[:low] == b[:low], a[:high + 1] != b[:high + 1]
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def volatile_kind(text: str) -> str:
    """What in `text` looks as if it were of the moment it was written in: a timestamp, an id; or ""."""
    for kind, pattern in _KINDS:
        if kind in ("a timestamp", "an id") and pattern.search(text):
            return kind
    return ""


def _blamed(before: Sequence[Piece], now: Sequence[Piece], position: int) -> tuple[Piece, int]:
    """The piece of `now` that is another, and where in it.

    A value that the earlier one begins with ends where the text after it begins: so of prompts made
    of the same pieces it is the first one that differs.
    """
    start = 0
    for old, new in zip(before, now, strict=False):
        if old != new:
            is_same_place = (old.origin, old.message) == (new.origin, new.message)
            if is_same_place and start <= position <= start + len(new.text):
                return new, position - start
            break
        start += len(new.text)
    return _at(now, position)


def _at(pieces: Sequence[Piece], position: int) -> tuple[Piece, int]:
    for piece in pieces:
        if position < len(piece.text):
            return piece, position
        position -= len(piece.text)
    return Piece("", "the end of the prompt", pieces[-1].message if pieces else None), 0


def _kind(before: Sequence[Piece], now: Sequence[Piece], old: str, new: str, position: int) -> str:
    if position == len(new):
        return LEFT_OUT
    if _at(now, position)[0].message is None or _at(before, position)[0].message is None:
        found = _tools_kind(before, now)
        if found:
            return found
    around = slice(max(0, position - _AROUND), position + _AROUND)
    at = position - around.start
    for kind, pattern in _KINDS:
        if _covers(pattern, new[around], at) and _covers(pattern, old[around], at):
            return kind
    return "other text"


def _tools_kind(before: Sequence[Piece], now: Sequence[Piece]) -> str:
    was = [piece for piece in before if piece.message is None]
    now_are = [piece for piece in now if piece.message is None]
    old, new = [piece.origin for piece in was], [piece.origin for piece in now_are]
    if sorted(old) != sorted(new):
        added, gone = len(set(new) - set(old)), len(set(old) - set(new))
        told = [f"{added} added"] * bool(added) + [f"{gone} removed"] * bool(gone)
        return f"the tools: {', '.join(told)}" if told else ""
    if old != new:
        return "the order of the tools"
    return "the schema of a tool" if was != now_are else ""


def _covers(pattern: re.Pattern[str], text: str, at: int) -> bool:
    return any(match.start() <= at <= match.end() for match in pattern.finditer(text))


def _excerpt(text: str, position: int) -> str:
    return text[max(0, position - _SHOWN) : position + _SHOWN]
