"""`ChunkShape`: chunks of a stream that differ in nothing but their text, read without parsing each. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

_NOTHING_ESCAPED = re.compile(r'[^"\\\x00-\x1f]+')
_TEXT_FIELDS = {"content", "role"}
_PROBE = "agentrt looks where this is found"
_MOST_LEARNED = 4
"""Streams whose chunks differ in more than that are parsed, chunk by chunk."""


class ChunkShape:
    """What is before and after the text in one stream's chunks, as its server writes them.

    The chunks of an answer have the same id, time and model in the same places. What begins and ends
    as one that was parsed, and has nothing between that JSON would escape, differs in its text alone.
    """

    __slots__ = ("_after", "_before", "_learned")

    def __init__(self) -> None:
        self._before = self._after = ""
        self._learned = 0

    def text_of(self, data: str) -> str:
        """The text that a chunk brings; "": it has to be parsed."""
        before, after = self._before, self._after
        if before and data.startswith(before) and data.endswith(after):
            end = len(data) - len(after)
            if _NOTHING_ESCAPED.fullmatch(data, len(before), end):
                return data[len(before) : end]
        return ""

    def learn(self, data: str, delta: dict[str, Any]) -> None:
        """A chunk was parsed: it has nothing but text, in the first choice's `delta`."""
        text = delta.get("content")
        has_more = any(value for name, value in delta.items() if name not in _TEXT_FIELDS)
        if self._learned >= _MOST_LEARNED or not text or has_more:
            return
        self._learned += 1
        for written in (f'"content":"{text}"', f'"content": "{text}"'):
            found = data.find(written)
            if found >= 0:
                end = found + len(written) - 1
                before, after = data[: end - len(text)], data[end:]
                if _text_in(before + _PROBE + after) == _PROBE:
                    self._before, self._after = before, after
                return


def _text_in(data: str) -> Any:
    try:
        return json.loads(data)["choices"][0]["delta"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
