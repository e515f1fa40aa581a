"""JSON records from lines, read field by field: what does not fit is told by line and field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from agentrt.errors import InputError
from agentrt.ir.schema import is_list, is_object

MOST = 2**53
"""The largest number accepted: up to it, JSON readers of every language agree on integers."""

MOST_TOKENS = 10**8
"""The most tokens of one prompt or answer accepted: beyond all models, within reach of memory."""

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON object of a file and the way to it. Every method raises `InputError`."""

    where: str
    data: dict[str, Any]

    def has(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self.data.get(field) is not None

    def text(self, field: str, default: str | None = None) -> str:
        value = self.data.get(field, default)
        return value if isinstance(value, str) else self.refuse(field, "a text", value)

    def count(self, field: str, *, least: int = 0) -> int:
        return whole(self, field, self.data.get(field), least=least)

    def tokens(self, field: str, *, least: int = 0) -> int:
        return whole(self, field, self.data.get(field), least=least, most=MOST_TOKENS)

    def number(self, field: str, default: float | None = None) -> float:
        """A finite number of either sign."""
        if default is not None and not self.has(field):
            return default
        return finite(self, field, self.data.get(field))

    def seconds(self, field: str, default: float | None = None) -> float:
        """A number that is not negative."""
        value = self.number(field, default)
        return value if value >= 0 else self.refuse(field, "seconds, not negative", value)

    def all_seconds(self, field: str) -> list[float]:
        """A list of finite numbers."""
        return [finite(self, f"{field}[{at}]", item) for at, item in enumerate(self.items(field))]

    def items(self, field: str) -> list[Any]:
        value = self.data.get(field)
        return value if is_list(value) else self.refuse(field, "a list", value)

    def records(self, field: str) -> list[Record]:
        """A list of objects."""
        return [
            Record(f"{self.where}, {field}[{at}]", item)
            if is_object(item)
            else self.refuse(f"{field}[{at}]", "an object", item)
            for at, item in enumerate(self.items(field))
        ]

    def record(self, field: str) -> Record:
        value = self.data.get(field)
        if not is_object(value):
            self.refuse(field, "an object", value)
        return Record(f"{self.where}, {field}", value)

    def counts(self, field: str) -> list[int]:
        return [whole(self, f"{field}[{at}]", item) for at, item in enumerate(self.items(field))]

    def pairs(self, field: str) -> list[tuple[int, int]]:
        """A list of pairs of counts."""
        found: list[tuple[int, int]] = []
        for at, item in enumerate(self.items(field)):
            name = f"{field}[{at}]"
            if not is_list(item) or len(item) != 2:  # noqa: PLR2004  a pair
                self.refuse(name, "a pair of whole numbers", item)
            found.append((whole(self, name, item[0]), whole(self, name, item[1])))
        return found

    def refuse(self, field: str, expected: str, value: object) -> NoReturn:
        """Say that the field is not as it should be."""
        raise InputError(f"{self.where}: {field}: expected {expected}, got {_shown(value)}")


def whole(record: Record, field: str, value: Any, *, least: int = 0, most: int = MOST) -> int:
    """`value` as a whole number from `least` to `most`."""
    # Exact type: True is no count here, though Python says so.
    if type(value) is not int or not least <= value <= most:
        record.refuse(field, f"a whole number from {least} to {most}", value)
    return value


def finite(record: Record, field: str, value: Any) -> float:
    """`value` as a number of either sign, within what counts may be."""
    if type(value) not in (int, float) or not -MOST <= value <= MOST:
        record.refuse(field, "a finite number", value)
    return float(value)


def records(lines: Iterable[str]) -> Iterator[Record]:
    """The objects on `lines`, one a line; blank lines are passed over.

    Raises:
        InputError: a line is not a JSON object.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield parse(line, f"line {number}")


def parse(line: str, where: str) -> Record:
    """One line as a record."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        # Not only JSONDecodeError: an integer of 5,000 digits is a plain ValueError.
        raise InputError(f"{where}: not JSON: {_cut(str(error))}") from error
    if not is_object(data):
        raise InputError(f"{where}: expected an object, got {_shown(data)}")
    return Record(where, data)


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "an object"
        case list():
            return "a list"
        case float() if not math.isfinite(value):
            return "a number out of range"
        case int() if abs(value) > MOST:
            return "a number out of range"
        case _:
            return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
