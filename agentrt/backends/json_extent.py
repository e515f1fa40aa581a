"""`JsonExtent`: whether a JSON object that comes in pieces is there to its end. Pure."""

from __future__ import annotations

import json


class JsonExtent:
    """Give it the pieces. Each character is looked at once, and what looks whole is parsed."""

    __slots__ = ("_depth", "_is_escaped", "_is_in_text", "_is_over", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._depth = 0
        self._is_in_text = False
        self._is_escaped = False
        self._is_over = False

    def feed(self, piece: str) -> bool:
        """Whether the pieces so far are one JSON object, and nothing after it."""
        if self._is_over:
            return False
        self._pieces.append(piece)
        closed = False
        for character in piece:
            if self._is_in_text:
                self._in_text(character)
            elif character == '"':
                self._is_in_text, closed = True, False
            elif character in "{[":
                self._depth, closed = self._depth + 1, False
            elif character in "}]":
                self._depth -= 1
                closed = self._depth == 0
        if closed:  # nothing more can make it an object, or a longer one
            self._is_over = True
        return closed and self._is_object()

    def _in_text(self, character: str) -> None:
        if self._is_escaped:
            self._is_escaped = False
        elif character == "\\":
            self._is_escaped = True
        elif character == '"':
            self._is_in_text = False

    def _is_object(self) -> bool:
        try:
            return isinstance(json.loads("".join(self._pieces)), dict)
        except (ValueError, RecursionError):
            return False
