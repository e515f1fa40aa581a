"""Strings that symbolic values were formatted into, taken apart into `Text` and `Slot`s."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from agentrt.dsl.marks import MARK, has_marks
from agentrt.dsl.ref import Ref
from agentrt.dsl.tracer import Tracer
from agentrt.dsl.value_type import value_type
from agentrt.errors import TraceError
from agentrt.ir.expression import Const, Expression, Slot, Template, Text
from agentrt.ir.prompt import render_value


def text_expression(text: str, tracer: Tracer) -> Const | Template:
    """`text` as an expression: a constant, unless symbolic values are in it."""
    return constant_or_template(text_parts(text, tracer))


def text_parts(text: str, tracer: Tracer) -> list[Text | Slot]:
    """`text`, split at the marks in it.

    Raises:
        TraceError: a mark is of another trace, or was cut apart.
    """
    parts: list[Text | Slot] = []
    at = 0
    for match in MARK.finditer(text):
        parts += [Text(_without_marks(text[at : match.start()])), *_slot(match, tracer)]
        at = match.end()
    parts.append(Text(_without_marks(text[at:])))
    return parts


def value_parts(expression: Expression, annotation: Any) -> list[Text | Slot]:
    """A value of this type as part of a text: constants become text, templates are spliced in."""
    match expression:
        case Const(value):
            # Rendered as the value it was, not as its JSON: a model prints like a model.
            return [Text(render_value(value_type(annotation).from_json(value)))]
        case Template(parts):
            return list(parts)
        case _:
            return [Slot(expression)]


def template(parts: Iterable[Text | Slot]) -> Template:
    """A template of `parts`, with neighbouring texts joined and empty ones left out."""
    joined: list[Text | Slot] = []
    for part in parts:
        if isinstance(part, Slot):
            joined.append(part)
        elif part.text:
            before = joined[-1] if joined else None
            if isinstance(before, Text):
                joined[-1] = Text(before.text + part.text)
            else:
                joined.append(part)
    return Template(tuple(joined))


def constant_or_template(parts: Iterable[Text | Slot]) -> Const | Template:
    """A template without slots is a constant."""
    made = template(parts)
    if any(isinstance(part, Slot) for part in made.parts):
        return made
    return Const("".join(part.text for part in made.parts if isinstance(part, Text)))


def _slot(match: re.Match[str], tracer: Tracer) -> list[Text | Slot]:
    nonce, number = match.groups()
    if nonce != tracer.trace.nonce:
        where = f"the prompt of {tracer.prompt_of}" if tracer.prompt_of else repr(tracer.name)
        raise TraceError(
            f"a text used in {where} holds a symbolic value of another trace ({match.group()}): "
            "pass it as an argument"
        )
    ref: Ref = tracer.trace.marks[int(number)]
    return value_parts(tracer.resolve(ref), ref.__annotation__)


def _without_marks(text: str) -> str:
    if has_marks(text):
        raise TraceError(
            "a text that a symbolic value was formatted into was changed (cut, or its case), so the "
            f"value in it is lost: {text[:120]!r}; change texts in a `@tool`"
        )
    return text
