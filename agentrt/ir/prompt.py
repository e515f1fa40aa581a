"""Prompts: what an author writes, and what a graph keeps of it."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from agentrt.ir.expression import Template
from agentrt.ir.set_order import as_in_sets

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Prompt(Generic[T_co]):
    """What an `@llm` or `@agent` function returns: the request, typed by the answer it asks for.

    Write the most stable text first: `system`, then `context`, then `user`. Prefix caches reuse a
    prompt only up to its first difference.

    Attributes:
        user: The question.
        system: Instructions; the system message.
        context: Blocks of material, most stable first; they precede `user` in the user message.
    """

    user: str
    system: str | None = None
    context: tuple[str, ...] | list[str] = ()


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A `Prompt` as a graph keeps it: static text and slots, told apart."""

    user: Template
    system: Template | None = None
    context: tuple[Template, ...] = ()

    def templates(self) -> Iterable[Template]:
        """In the order they are sent."""
        if self.system is not None:
            yield self.system
        yield from self.context
        yield self.user


def render_value(value: Any) -> str:
    """A value as prompt text.

    Text stays as it is; a list of texts becomes paragraphs (joined by blank lines); numbers and
    booleans print as in Python; everything else is JSON, keys in the author's order. Sets are in the
    order of their items' JSON: Python's own differs from process to process, and no prefix cache
    would know the prompt again. (Inside of pydantic models they are as the model writes them.)
    """
    value = _member_value(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (int, float)) or value is None:
        return str(value)
    if isinstance(value, (list, tuple)):
        items = [_member_value(item) for item in cast("Sequence[object]", value)]
        texts = [str.__str__(item) for item in items if isinstance(item, str)]
        if len(texts) == len(items):
            return "\n\n".join(texts)
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    data = as_in_sets(value, to_jsonable_python(value))
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _member_value(value: Any) -> Any:
    """Of an enum its value, whether it is a string (or a number) too or only has one."""
    return value.value if isinstance(value, enum.Enum) else value
