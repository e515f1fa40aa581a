"""The shape of a question: its text with quoted strings, numbers and names replaced by slots."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPACE = re.compile(r"\s+")
_SLOT = re.compile(
    r"""
      "[^"\n]+" | \u201c[^\u201d\n]+\u201d | (?<!\w)'[^'\n]+'(?!\w)              # quoted
    | (?<![\w.])\d+(?:[.,]\d+)*(?![\w])                            # a number
    | (?<!\w)[A-Z][\w'\u2019.-]*(?:\ (?:(?:of|the|and|de|von)\ )?[A-Z0-9][\w'\u2019.-]*)*   # a name
    """,
    re.VERBOSE,
)
# Words that begin a question and are capitalised for that alone.
_OPENING = frozenset(
    re.findall(
        r"\w+",
        "a an and are at by can could did do does during find for from give had has have how i if "
        "in is of on or please recommend should tell the there this to was were what when where "
        "which who whom whose why will with would compare compute calculate list name between given",
    )
)
_QUOTES = "\"'\u201c\u201d"


@dataclass(frozen=True, slots=True)
class Shape:
    """A question taken apart.

    Attributes:
        pieces: The text between the slots; one more than there are slots.
        slots: What fills them, in order, without quotes.
    """

    pieces: tuple[str, ...]
    slots: tuple[str, ...]


def shape_of(question: str) -> Shape:
    """The normal form of `question`; spaces are of no account."""
    text = _SPACE.sub(" ", question).strip()
    pieces: list[str] = []
    slots: list[str] = []
    start = at = 0
    while (found := _SLOT.search(text, at)) is not None:
        begin, end = found.span()
        first = text[begin:end].split(" ", 1)[0]
        if first.lower() in _OPENING:
            at = begin + len(first)  # what follows it may be a name
            continue
        end = begin + len(
            text[begin:end].rstrip(".,'\u2019-")
        )  # the end of a sentence is not the name's
        pieces.append(text[start:begin])
        slots.append(text[begin:end].strip(_QUOTES))
        if text[begin] in _QUOTES:
            pieces[-1] += '"'  # a quoted slot and a bare one are two shapes
        start = at = end
    pieces.append(text[start:])
    return Shape(tuple(pieces), tuple(slots))
