"""Server-sent events as bytes: where one ends, and which are not for the client. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from agentrt.backends.json_shape import is_array, is_object

_FIRST_BYTES = b"deir:"
"""What a line of an event stream begins with: `data`, `event`, `id`, `retry`, or a comment."""

_EMPTY_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_EVENT = re.compile(rb".*?(?:\n\r?\n|\r\r|\Z)", re.DOTALL)
_LONGEST_HELD = 65_536


def is_event_stream(first: bytes) -> bool:
    """Whether a body that begins with `first`, space stripped, is a stream of events."""
    return first[:1] in _FIRST_BYTES


def end_of_events(data: bytes) -> int:
    """Where the last whole event in `data` ends; 0: there is none.

    Of a line end in two bytes only the first may be there yet; the rest is then no whole event.
    """
    end = 0
    for blank in (b"\n\n", b"\n\r\n", b"\r\r"):
        found = data.rfind(blank)
        if found >= 0:
            end = max(end, found + len(blank))
    return end


def events(data: bytes) -> Iterator[str]:
    """The data of each event in whole ones; events without data are left out."""
    text = data.decode(errors="replace")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    for event in text.split("\n\n"):
        if event.startswith("data: ") and "\n" not in event:
            yield event[6:]
        elif event:
            lines = [line for line in event.split("\n") if line.startswith("data")]
            found = [_value(line) for line in lines if line[4:5] in {"", ":"}]
            if found:
                yield "\n".join(found)


class UsageWithheld:
    """Passes a stream on, but for the chunk that has nothing but the usage.

    Only what might be the beginning of that chunk is held back, and never for longer than until the
    event is whole.
    """

    def __init__(self) -> None:
        self._held = b""
        self._is_inside = False

    def passed(self, piece: bytes) -> bytes:
        """What of it the client is to have, and of what was held back."""
        data = self._held + piece if self._held else piece
        end = len(data) if data.endswith(b"\n\n") else end_of_events(data)
        whole, rest = data[:end], data[end:]
        if end and _EMPTY_CHOICES.search(whole):
            whole = self._filtered(whole)
        elif end:
            self._is_inside = False
        if self._is_inside or len(rest) > _LONGEST_HELD:
            # Nothing so long is a count of tokens.
            inside = rest.rstrip(b"\r\n")
            self._is_inside = bool(inside) or (self._is_inside and not end)
            self._held = rest[len(inside) :]
            return whole + inside
        self._held = rest
        return whole

    def rest(self) -> bytes:
        """What was held back when the stream ended."""
        held, self._held = self._held, b""
        return _line_ends(held) if _is_usage_only(held) else held

    def _filtered(self, whole: bytes) -> bytes:
        kept: list[bytes] = []
        for event in _EVENT.findall(whole):
            is_kept = self._is_inside or not _is_usage_only(event)
            kept.append(event if is_kept else _line_ends(event))
            self._is_inside = False
        return b"".join(kept)


def _is_usage_only(event: bytes) -> bool:
    if not _EMPTY_CHOICES.search(event):
        return False
    for data in events(event):
        try:
            body: Any = json.loads(data)
        except (ValueError, RecursionError):
            return False
        if not is_object(body):
            return False
        choices = body.get("choices")
        return is_array(choices) and not choices and bool(body.get("usage"))
    return False


def _line_ends(event: bytes) -> bytes:
    """Those before it: whether they came with the event before is chance."""
    return event[: len(event) - len(event.lstrip(b"\r\n"))]


def _value(line: str) -> str:
    return line[5:].removeprefix(" ")
