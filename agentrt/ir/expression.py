"""Where a value comes from: a constant, another node, or something built from both.

Expressions are how data edges are written down: a node reads exactly the nodes its expressions
`use`. They are plain data; the runtime evaluates them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, assert_never, cast

from agentrt.ir.schema import Json
from agentrt.ir.stability import Stability

NodeId: TypeAlias = str
Step: TypeAlias = str | int
"""One step of a projection: an attribute or key (str), or an index (int)."""


@dataclass(frozen=True, slots=True)
class Const:
    """A value known when the workflow was traced, as JSON."""

    value: Json
    kind: Literal["const"] = "const"


@dataclass(frozen=True, slots=True)
class Use:
    """The value of a node, or the part of it that `path` leads to."""

    node: NodeId
    path: tuple[Step, ...] = ()
    kind: Literal["use"] = "use"


@dataclass(frozen=True, slots=True)
class Items:
    """A list built from expressions."""

    items: tuple[Expression, ...]
    kind: Literal["items"] = "items"


@dataclass(frozen=True, slots=True)
class Fields:
    """A string-keyed dict built from expressions, in the author's order."""

    fields: tuple[tuple[str, Expression], ...]
    kind: Literal["fields"] = "fields"


@dataclass(frozen=True, slots=True)
class Text:
    """The static part of a template."""

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Slot:
    """The dynamic part of a template: an expression, rendered by `render_value`.

    Attributes:
        stability: How often it changes, as the author says; None: as its sources tell.
    """

    expression: Expression
    stability: Stability | None = None
    kind: Literal["slot"] = "slot"


@dataclass(frozen=True, slots=True)
class Template:
    """An f-string, taken apart: what is static and what is dynamic is known, not guessed."""

    parts: tuple[Text | Slot, ...]
    kind: Literal["template"] = "template"


Expression: TypeAlias = Const | Use | Items | Fields | Template


def uses(expression: Expression) -> Iterator[Use]:
    """Every `Use` inside `expression`, left to right, repeats included."""
    match expression:
        case Use():
            yield expression
        case Const():
            return
        case Items(items):
            for item in items:
                yield from uses(item)
        case Fields(fields):
            for _, value in fields:
                yield from uses(value)
        case Template(parts):
            for part in parts:
                if isinstance(part, Slot):
                    yield from uses(part.expression)
        case _:
            assert_never(expression)


def rewrite_uses(expression: Expression, replace: Callable[[Use], Expression]) -> Expression:
    """`expression` with each `Use` replaced by `replace(use)`."""
    match expression:
        case Use():
            return replace(expression)
        case Const():
            return expression
        case Items(items):
            return Items(tuple(rewrite_uses(item, replace) for item in items))
        case Fields(fields):
            return Fields(tuple((name, rewrite_uses(value, replace)) for name, value in fields))
        case Template(parts):
            return Template(
                tuple(
                    Slot(rewrite_uses(part.expression, replace), part.stability)
                    if isinstance(part, Slot)
                    else part
                    for part in parts
                )
            )
        case _:
            assert_never(expression)


def project(value: Any, path: tuple[Step, ...]) -> Any:
    """The part of `value` that `path` leads to: keys of mappings, else attributes; int indexes."""
    for step in path:
        if isinstance(step, int) or isinstance(value, Mapping):
            value = cast("Any", value)[step]
        else:
            value = getattr(value, step)
    return value
