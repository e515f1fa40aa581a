"""`Task`: one line of a plan, and what its references stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentrt.ir.expression import Step
from agentrt.ir.schema import Json, is_list, is_object

BARE_NAME = re.compile(r"[^\s=,()\"\x00-\x1f\x7f]+")
"""Names of arguments that need no quotes."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The result of another task, or the part of it that `path` leads to: `$2.name[0]`."""

    task: int
    path: tuple[Step, ...] = ()

    def __str__(self) -> str:
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return f"${self.task}{''.join(steps)}"


@dataclass(frozen=True, slots=True)
class Task:
    """A call of a tool that a plan asks for.

    Attributes:
        id: As the plan numbers it; unique in the plan, and in those that replace it.
        arguments: JSON values by name, with a `Reference` wherever a result is to stand.
    """

    id: int
    tool: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        """The line of the plan, as a model should have written it."""
        given = ", ".join(
            f"{written_name(name)}={written(value)}" for name, value in self.arguments.items()
        )
        return f"{self.id} {self.tool}({given})"

    @property
    def references(self) -> tuple[int, ...]:
        """The tasks it reads, each once, in order of first use."""
        found = (reference.task for reference in references(dict(self.arguments)))
        return tuple(dict.fromkeys(found))


def references(value: Any) -> Iterator[Reference]:
    """Every reference in an argument, left to right, repeats included."""
    if isinstance(value, Reference):
        yield value
    elif is_list(value):
        for item in value:
            yield from references(item)
    elif is_object(value):
        for item in value.values():
            yield from references(item)


def resolved(value: Any, results: Mapping[int, Json]) -> Json:
    """`value` with each reference replaced by what it stands for. Texts are never looked into.

    Raises:
        LookupError: a result has no such part; the message names the reference.
    """
    if isinstance(value, Reference):
        return _part(results[value.task], value)
    if is_list(value):
        return [resolved(item, results) for item in value]
    if is_object(value):
        return {name: resolved(item, results) for name, item in value.items()}
    return value


def _part(result: Json, reference: Reference) -> Json:
    part = result
    for step in reference.path:
        # Not `project`: that reads attributes of Python objects, and a text has methods.
        found: Sequence[Json] = ()
        if isinstance(step, int):
            found = part[step : step + 1] if is_list(part) or isinstance(part, str) else ()
        elif is_object(part) and step in part:
            found = (part[step],)
        if not found:
            raise LookupError(f"{reference} leads nowhere: task {reference.task} has no such part")
        part = found[0]
    return part


def written_name(name: str) -> str:
    """The name of an argument as a plan writes it: in quotes, if it would not be read without."""
    return name if BARE_NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def written(value: Any) -> str:
    """An argument as a plan writes it."""
    if isinstance(value, Reference):
        return str(value)
    if is_list(value):
        return f"[{', '.join(written(item) for item in value)}]"
    if is_object(value):
        items = (f"{json.dumps(k, ensure_ascii=False)}: {written(v)}" for k, v in value.items())
        return f"{{{', '.join(items)}}}"
    return json.dumps(value, ensure_ascii=False)
