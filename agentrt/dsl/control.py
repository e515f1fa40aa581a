"""`branch` and `loop`: decisions and repetition on values that are known only at run time."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from agentrt.dsl.arguments import annotation_of, expression_of
from agentrt.dsl.assignable import is_assignable
from agentrt.dsl.projection import union
from agentrt.dsl.ref import Ref, describe
from agentrt.dsl.signature import checked_name
from agentrt.dsl.traceable import Traceable
from agentrt.dsl.tracer import Captures, Tracer, tracer_for, tracing
from agentrt.dsl.value_type import type_name, value_type
from agentrt.errors import TraceError
from agentrt.ir.expression import Const, Expression
from agentrt.ir.node import BranchNode, LoopNode

T = TypeVar("T")
S = TypeVar("S")

_BOOL: Final = value_type(bool)
_STATE: Final = "state"


def branch(
    condition: bool,
    then: Callable[[], T],
    otherwise: Callable[[], T],
    *,
    name: str = "branch",
) -> T:
    """The value of `then()` where `condition` holds, else of `otherwise()`; only one of them runs.

    Both are traced, so both must give values of one type (or one of them None). A condition known
    while tracing is decided then.

    Raises:
        TraceError: the condition is no bool, or the two do not give values of one type.
    """
    tracer = tracer_for("branch")
    _check_function(name, "then", then, "lambda: ...")
    _check_function(name, "otherwise", otherwise, "lambda: ...")
    expression = expression_of(condition, _BOOL, tracer, (name, "the condition"))
    if isinstance(expression, Const):
        return then() if expression.value else otherwise()
    captures = Captures()
    bodies = [
        _Body(part, function, tracer, captures)
        for part, function in (("then", then), ("otherwise", otherwise))
    ]
    result = _joined(name, *(annotation_of(body.value) for body in bodies))
    outputs = [body.output(result, name) for body in bodies]
    node = BranchNode(
        id=tracer.new_id(checked_name(name)),
        condition=expression,
        then=bodies[0].tracer.graph(outputs[0]),
        otherwise=bodies[1].tracer.graph(outputs[1]),
        inputs=captures.inputs(),
    )
    return cast("T", tracer.add(node, result))


def loop(
    step: Callable[[S], S],
    initial: S,
    *,
    until: Callable[[S], bool],
    max_steps: int,
    name: str = "loop",
) -> S:
    """`step` applied to the state over and over, until `until(state)` holds; the last state.

    `until` is asked after each step, the first included. After `max_steps` steps without a yes the
    run fails with `LimitExceeded`.

    Raises:
        TraceError: `step` does not give what it takes, or `until` gives no bool.
    """
    tracer = tracer_for("loop")
    if type(max_steps) is not int or max_steps < 1:
        raise TraceError(f"{name}: max_steps must be a constant of 1 or more, got {max_steps!r}")
    _check_function(name, "step", step, "lambda state: ...")
    _check_function(name, "until", until, "lambda state: ...")
    state = _state_annotation(step, initial)
    source = expression_of(initial, value_type(state), tracer, (name, "the initial state"))
    node_id = tracer.new_id(checked_name(name))
    captures, stepped, state = _traced_step(step, state, tracer, node_id)
    asked = _Body("until", until, tracer, captures, state)
    node = LoopNode(
        id=node_id,
        state=_STATE,
        initial=source,
        step=stepped.tracer.graph(stepped.output(state, node_id)),
        until=asked.tracer.graph(asked.output(bool, node_id)),
        max_steps=max_steps,
        inputs=captures.inputs(),
    )
    return cast("S", tracer.add(node, state))


def _check_function(region: str, part: str, function: Any, example: str) -> None:
    """A value in place of a function was made outside the region, whatever the region decides."""
    if type(function) is Ref or not callable(function):
        shown = describe(function) if type(function) is Ref else repr(function)
        raise TraceError(
            f"{region}: `{part}` must be a function, so that what it calls is inside the region: write "
            f"`{example}`; got {shown}"
        )
    if inspect.iscoroutinefunction(function):
        raise TraceError(
            f"{region}: `{part}` is async; a plain function is traced, and awaits nothing"
        )


class _Body:
    """A body of a region: what its function gave, and the tracer it ran in."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        outer: Tracer,
        captures: Captures,
        *state: Any,
    ) -> None:
        self.name = name
        self.tracer = outer.body(name, captures)
        arguments = [self.tracer.add_input(_STATE, annotation) for annotation in state]
        with tracing(self.tracer):
            self.value: Any = function(*arguments)

    def output(self, annotation: Any, region: str) -> Expression:
        place = (region, f"the value of `{self.name}`")
        return expression_of(self.value, value_type(annotation), self.tracer, place)


def _traced_step(
    step: Callable[..., Any], state: Any, tracer: Tracer, region: str
) -> tuple[Captures, _Body, Any]:
    """The body of `step` and the state's type, which may be wider than the initial state's."""
    captures = Captures(taken={_STATE})
    body = _Body("step", step, tracer, captures, state)
    given = annotation_of(body.value)
    if is_assignable(given, state):
        return captures, body, state
    wider = union([state, given]) if _is_none(state) or _is_none(given) else given
    if is_assignable(state, wider) and not isinstance(step, Traceable):
        captures = Captures(taken={_STATE})
        body = _Body("step", step, tracer, captures, wider)
        if is_assignable(annotation_of(body.value), wider):
            return captures, body, wider
    raise TraceError(
        f"{region}: `step` must give what it takes: it takes {type_name(state)} and gives "
        f"{_shown(body.value)}"
    )


def _state_annotation(step: Callable[..., Any], initial: Any) -> Any:
    """What `step` says it takes; a lambda says nothing, so it takes what it is given first."""
    if isinstance(step, Traceable):
        traceable = cast("Traceable[..., Any]", step)
        if traceable.signature.positional:
            return traceable.signature.parameters[traceable.signature.positional[0]].type.annotation
        return annotation_of(initial)
    try:
        names = list(inspect.signature(step).parameters)
        hints = typing.get_type_hints(step, include_extras=True)
    except (NameError, TypeError, ValueError):  # a callable that says nothing readable
        return annotation_of(initial)
    return hints.get(names[0], annotation_of(initial)) if names else annotation_of(initial)


def _joined(region: str, then: Any, otherwise: Any) -> Any:
    """The type of a value that is either."""
    if is_assignable(then, otherwise):
        return otherwise
    if is_assignable(otherwise, then):
        return then
    if _is_none(then) or _is_none(otherwise):
        return union([then, otherwise])
    raise TraceError(
        f"{region}: `then` gives {type_name(then)} and `otherwise` gives {type_name(otherwise)}; "
        "they must give values of one type"
    )


def _is_none(annotation: Any) -> bool:
    return annotation is None or annotation is type(None)


def _shown(value: Any) -> str:
    return describe(value) if isinstance(value, Ref) else type_name(annotation_of(value))
