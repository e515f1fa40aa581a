"""Where answers go: a stdout that nothing but the answer can write to."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Generator
from typing import Any, TextIO

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python


class Answers:
    """The process's stdout, kept for answers. A reader that went away (`| head`) is no error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.has_written = False

    def json(self, value: Any) -> None:
        """Print one JSON value on one line."""
        self.text(as_json(value))

    def text(self, text: str) -> None:
        """Print `text`, and a line end if it has none."""
        self.has_written = True
        try:
            self._stream.write(text if text.endswith("\n") else text + "\n")
            self._stream.flush()
        except BrokenPipeError:
            discard(self._stream)

    def value(self, value: Any) -> None:
        """Print a workflow's output: text as it is, anything else as indented JSON."""
        if isinstance(value, str):
            self.text(value)
        else:
            self.text(as_json(value, indent=2))


def as_json(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON that any parser takes: no NaN, and what has no JSON form as text."""
    try:
        return to_json(value, indent=indent, inf_nan_mode="null", fallback=str).decode()
    except PydanticSerializationError:  # half a surrogate pair: JSON can escape it, UTF-8 cannot
        plain = to_jsonable_python(value, fallback=str)
        return json.dumps(plain, indent=indent)


def discard(stream: TextIO) -> None:
    """Point a stream whose reader is gone at nothing, so that its last flush is quiet."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(nothing, stream.fileno())
    os.close(nothing)


@contextlib.contextmanager
def only_answers_on_stdout() -> Generator[Answers]:
    """Lend out stdout; meanwhile whatever else writes to it, in any library, lands on stderr.

    Users' tools print, native code logs: with `--json` a program reads stdout, and expects one
    object there.
    """
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  # started with >&-
        with open(os.devnull, "w", encoding="utf-8") as nothing:  # noqa: PTH123  a device
            yield Answers(nothing)
        return
    sys.stdout.flush()
    try:
        number = sys.stdout.fileno()
        kept = os.dup(number)
        os.dup2(2, number)
    except (OSError, ValueError):  # no real file: a test's capture, or a notebook
        with contextlib.redirect_stdout(sys.stderr):
            yield Answers(sys.__stdout__ or sys.stdout)
        return
    stream = os.fdopen(kept, "w", encoding=sys.stdout.encoding, errors="backslashreplace")
    try:
        yield Answers(stream)
    finally:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        os.dup2(stream.fileno(), number)
        stream.close()


def tell(*lines: str) -> None:
    """Lines for people, on stderr; nobody reading is no error."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        for line in lines:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()
