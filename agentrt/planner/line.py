"""One line of a plan: `3 compare(a=$1, b=$2.height, unit="m")`. Values are JSON, and references.

References stand outside of quotes and only where a value can; inside quotes `$1` is text. What
models like to write around that is let pass: `3. compare(...)`, `$3 = compare(...)`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from agentrt.ir.expression import Step
from agentrt.ir.lint_value import MAX_DEPTH
from agentrt.ir.schema import Json
from agentrt.planner.task import BARE_NAME, Reference, Task

_HEAD = re.compile(r"\s*\$?([0-9]{1,9})\s*[.:)=]?\s*")
_TOOL = re.compile(r"([^\s(),=\"\x00-\x1f\x7f]+)\s*\(")
# Spaces are matched by one part of it each time: two that could share them take quadratic time.
_JOIN = re.compile(r"\s*(?:[0-9]{1,9}(?:\s*[.:)])?\s*)?join(?:\s*(\(\s*\)))?\s*")
_EQUALS = re.compile(r"[ \t]*=")
_SPACE = re.compile(r"[ \t]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_]+")
_REFERENCE = re.compile(r"\$([0-9]{1,9})((?:\.[A-Za-z_][A-Za-z0-9_]*|\[[0-9]{1,9}\])*)")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]")
_CONSTANTS: dict[str, Json] = {"true": True, "false": False, "null": None}
_DECODER = json.JSONDecoder()
_SHOWN = 24


class LineError(ValueError):
    """A line is none; the message says why, in words that a model can act on."""


@dataclass(frozen=True, slots=True)
class LineHead:
    """What of a line can be told whatever follows: for one that is no good otherwise."""

    id: int | None = None
    tool: str | None = None


def is_join(line: str, *, has_tool_join: bool = False) -> bool:
    """Whether `line` ends the plan. With a tool of that name, parentheses make a call of it."""
    found = _JOIN.fullmatch(line)
    return found is not None and not (has_tool_join and found.group(1))


def read_head(line: str) -> LineHead:
    """The number and the name that a line begins with."""
    head = _HEAD.match(line)
    tool = _TOOL.match(line.lstrip() if head is None else line[head.end() :])
    return LineHead(
        None if head is None else int(head.group(1)), None if tool is None else tool.group(1)
    )


def is_tool_name(name: str) -> bool:
    """Whether a line can call a tool of this name."""
    return _TOOL.fullmatch(f"{name}(") is not None


def read_line(line: str) -> Task:
    """The task that a line says.

    Raises:
        LineError: it says none.
    """
    head = _HEAD.match(line)
    if head is None:
        raise LineError("a line begins with the number of its task")
    tool = _TOOL.match(line, head.end())
    if tool is None:
        raise LineError("after the number comes a tool with its arguments in parentheses")
    scanner = _Scanner(line, tool.end())
    arguments = scanner.arguments()
    if line[scanner.at :].strip():
        raise LineError(f"nothing may follow the call, but there is {_shown(line[scanner.at :])}")
    return Task(int(head.group(1)), tool.group(1), arguments)


@dataclass(slots=True)
class _Scanner:
    """Reads values off a line from `at` on."""

    text: str
    at: int
    depth: int = field(default=0)

    def arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._takes(")"):
            if found and not self._takes(","):
                self._refuse("expected a comma or the closing parenthesis")
            name = self._name()
            if name in found:
                raise LineError(f"the argument {name[:_SHOWN]!r} is given twice")
            found[name] = self.value()
        return found

    def _name(self) -> str:
        self._skip_space()
        start = self.at
        bare = BARE_NAME.match(self.text, start)
        if bare is not None:
            name, self.at = bare[0], bare.end()
        else:
            name = self._string() if self.text.startswith('"', start) else ""
        equals = _EQUALS.match(self.text, self.at)
        if not name or equals is None:
            self.at = start
            self._refuse('arguments are named, as in tool(name="value"), but there is')
        self.at = equals.end()
        return name

    def value(self) -> Any:
        self._skip_space()
        match self.text[self.at : self.at + 1]:
            case '"':
                return self._string()
            case "$":
                return self._reference()
            case "[":
                return self._nested(self._list)
            case "{":
                return self._nested(self._object)
            case character if character == "-" or "0" <= character <= "9":
                return self._number()
            case _:
                return self._constant()

    def _nested(self, read: Any) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise LineError(f"values may nest {MAX_DEPTH} levels deep")
        self.at += 1
        value = read()
        self.depth -= 1
        return value

    def _list(self) -> list[Any]:
        found: list[Any] = []
        while not self._takes("]"):
            if found and not self._takes(","):
                self._refuse("expected a comma or the end of the list")
            found.append(self.value())
        return found

    def _object(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._takes("}"):
            if found and not self._takes(","):
                self._refuse("expected a comma or the end of the object")
            self._skip_space()
            if not self.text.startswith('"', self.at):
                self._refuse("the keys of an object are texts in double quotes, but there is")
            name = self._string()
            if name in found:
                raise LineError(f"the key {name[:_SHOWN]!r} is there twice")
            if not self._takes(":"):
                self._refuse("expected a colon after the key")
            found[name] = self.value()
        return found

    def _string(self) -> str:
        try:
            value, self.at = _DECODER.raw_decode(self.text, self.at)
            value.encode()
        except UnicodeEncodeError:
            raise LineError("a text holds half a surrogate pair") from None
        except ValueError as error:
            raise LineError(f"a text in double quotes is not valid JSON: {error}") from None
        return str(value)

    def _number(self) -> int | float:
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            self._refuse("expected a number")
        self.at = found.end()
        try:
            number = float(found[0]) if found[1] or found[2] else int(found[0])
        except ValueError:
            raise LineError("a number is too long") from None
        if not math.isfinite(number):
            raise LineError(f"{_shown(found[0])} is not a finite number")
        return number

    def _reference(self) -> Reference:
        found = _REFERENCE.match(self.text, self.at)
        if found is None:
            self._refuse("a reference is a dollar sign and a number, as $1, but there is")
        self.at = found.end()
        path: list[Step] = [
            name or int(index) for name, index in _STEP.findall(found.group(2) or "")
        ]
        return Reference(int(found.group(1)), tuple(path))

    def _constant(self) -> Json:
        found = _WORD.match(self.text, self.at)
        if found is None or found[0] not in _CONSTANTS:
            self._refuse("a value is JSON (texts in double quotes) or a reference, but there is")
        self.at = found.end()
        return _CONSTANTS[found[0]]

    def _takes(self, character: str) -> bool:
        self._skip_space()
        if not self.text.startswith(character, self.at):
            return False
        self.at += 1
        return True

    def _skip_space(self) -> None:
        space = _SPACE.match(self.text, self.at)
        if space is not None:
            self.at = space.end()

    def _refuse(self, why: str) -> NoReturn:
        rest = self.text[self.at :].strip()
        raise LineError(f"{why} {_shown(rest)}" if rest else f"{why}, but the line ends")


def _shown(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
