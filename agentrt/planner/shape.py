"""The shape of a question: its text with quoted strings, numbers and names replaced by slots.

What is taken for a name is a guess, and may be a bad one: `PlanCache` uses a plan again only where
each slot's value stands in it verbatim, so that a bad guess costs a hit and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SPACE = re.compile(r"[ \t]+")
_SLOT = re.compile(
    r"""
      "[^"\n]+" | \u201c[^\u201d\n]+\u201d | (?<!\w)'[^'\n]+'(?!\w)     # quoted
    | (?<![\w.])\d+(?:[.,]\d+)*(?![\w])                               # a number
    | (?<!\w)[A-Z][\w'\u2019.&-]*                                      # a name
      (?:\ (?:(?:of|the|in|for|to|a|an|at|on|from|with|de|von|-|&)\ ){0,3}[A-Z0-9][\w'\u2019.&-]*)*
    """,
    re.VERBOSE,
)
_TITLE = re.compile(r"[A-Z0-9][^:?!]*(?<!\.)")
_SENTENCE_END = re.compile(r"(?:^|[.?!] )$")
# Words that begin a sentence and are capitalised for that alone.
_OPENING = frozenset(
    re.findall(
        r"\w+",
        "a an and are at by can could did do does during find for from give given had has have how "
        "i if in is of on or recommend should tell the there this to was were what when where which "
        "who whom whose why will with would compare compute calculate list name between",
    )
)
_QUOTES = "\"'\u201c\u201d"
_LIST = 3


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
    """The normal form of `question`; spaces are of no account.

    On a line of its own, and as an item of a list of three or more, a title is one slot, whatever
    words it has.
    """
    text = "\n".join(_SPACE.sub(" ", line).strip() for line in question.strip().split("\n"))
    pieces: list[str] = []
    slots: list[str] = []
    start = 0
    for begin, end in _spans(text):
        pieces.append(text[start:begin])
        slots.append(text[begin:end].strip(_QUOTES))
        if text[begin] in _QUOTES:
            pieces[-1] += '"'  # a quoted slot and a bare one are two shapes
        start = end
    pieces.append(text[start:])
    return Shape(tuple(pieces), tuple(slots))


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the slots are."""
    at = 0
    for line in text.split("\n"):
        if at and _TITLE.fullmatch(line):
            yield at, at + len(line)
        elif not line.endswith(":"):
            items = _items(line)
            listed = items[0] if items else len(line)
            yield from ((at + begin, at + end) for begin, end in _names(line[:listed]))
            for begin in items:
                end = line.find(", ", begin)
                yield at + begin, at + (len(line) if end < 0 else end)
        at += len(line) + 1


def _items(line: str) -> list[int]:
    """Where the items of a list begin, from the second one on; empty if the line is no such list."""
    parts = line.split(", ")
    if len(parts) < _LIST or not all(_TITLE.fullmatch(part) for part in parts[1:]):
        return []
    starts = [len(parts[0]) + 2]
    for part in parts[1:-1]:
        starts.append(starts[-1] + len(part) + 2)
    return starts


def _names(line: str) -> Iterator[tuple[int, int]]:
    at = 0
    while (found := _SLOT.search(line, at)) is not None:
        begin, end = found.span()
        first, _, rest = found[0].partition(" ")
        is_first = line[begin].isalpha() and _SENTENCE_END.search(line[:begin]) is not None
        if first == "I" or (is_first and (not rest or first.lower() in _OPENING)):
            at = begin + len(first)  # what follows it may be a name
            continue
        if line[begin] not in _QUOTES:  # neither the full stop nor the genitive is the name's
            name = re.sub(r"['\u2019]s?$", "", found[0].rstrip(".,-&"))
            end = begin + len(name)
        yield begin, end
        at = end
