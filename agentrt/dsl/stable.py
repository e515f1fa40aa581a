"""`stable` and `volatile`: what an author knows of how often a piece of a prompt changes."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from agentrt.dsl.marks import has_marks
from agentrt.dsl.ref import Ref
from agentrt.dsl.template import text_parts
from agentrt.dsl.tracer import current_tracer
from agentrt.errors import DefinitionError, PromptError
from agentrt.ir.expression import Const, Expression, Slot, Template
from agentrt.ir.prompt import render_value
from agentrt.ir.schema import Json
from agentrt.ir.stability import STABILITIES, Stability

T = TypeVar("T")


def stable(value: T, stability: Stability) -> T:
    """`value` as one piece of a prompt that changes as often as this, whatever its source suggests.

    For the body of an `@llm` or `@agent` function: `f"{stable(handbook, 'deployment')} {question}"`.
    What comes back can only be put into text.

    Raises:
        PromptError: it is not used in such a body, or there is no such stability.
    """
    tracer = current_tracer()
    if tracer is None or tracer.prompt_of is None:
        raise PromptError("pieces are marked in the body of an `@llm` or `@agent` function")
    if stability not in STABILITIES:
        raise PromptError(f"{stability!r} is not one of {', '.join(STABILITIES)}")
    if not isinstance(value, Ref) and not (isinstance(value, str) and has_marks(value)):
        marked: Expression = Const(_text(value))
    elif isinstance(value, Ref):
        marked = tracer.resolve(value)
    else:
        marked = Template(tuple(text_parts(value, tracer)))
    return cast("T", Ref(tracer, Template((Slot(marked, stability),)), str))


def volatile(value: T) -> T:
    """`stable(value, "call")`: a clock, an id, a working directory.

    With `layout="S2"` it moves to the end of the prompt. Mark the whole piece: `volatile(f"It is {now}.")`. A clock that is read in the body is read once,
    when the workflow is traced: take it as a parameter, from the workflow's input or a `@tool`.
    """
    return stable(value, "call")


def _text(value: object) -> Json:
    try:
        return render_value(cast("Any", value))
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"a {type(value).__name__} cannot be part of a prompt") from error
