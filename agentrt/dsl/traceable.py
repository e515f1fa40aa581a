"""`Traceable`: what tools, LLM functions, agents and workflows share: calls and `.map` in a trace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from agentrt.dsl.arguments import annotation_of, expression_of
from agentrt.dsl.projection import element_annotation
from agentrt.dsl.ref import Ref, describe
from agentrt.dsl.signature import Signature
from agentrt.dsl.tracer import Captures, Tracer, tracer_for, tracing
from agentrt.dsl.value_type import ValueType, type_name, value_type
from agentrt.errors import TraceError
from agentrt.ir.expression import Const, Expression, Items
from agentrt.ir.node import MapNode

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
A_contra = TypeVar("A_contra", contravariant=True)
B_contra = TypeVar("B_contra", contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)
S_co = TypeVar("S_co", covariant=True)


# Self-types of `.map`. Type checkers refuse `Traceable[[A], S]` for functions with named parameters;
# a protocol that is called by position accepts them, and still knows the items' type.
class _OfOne(Protocol[A_contra, S_co]):
    def __call__(self, a: A_contra, /) -> S_co: ...


class _OfTwo(Protocol[A_contra, B_contra, S_co]):
    def __call__(self, a: A_contra, b: B_contra, /) -> S_co: ...


class _OfThree(Protocol[A_contra, B_contra, C_contra, S_co]):
    def __call__(self, a: A_contra, b: B_contra, c: C_contra, /) -> S_co: ...


class _OfMore(Protocol[A_contra, S_co]):
    def __call__(self, a: A_contra, /, *args: Any, **kwargs: Any) -> S_co: ...


class Traceable(ABC, Generic[P, R_co]):
    """A decorated function. Inside a workflow, calls are recorded and give symbolic values."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.name = signature.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.signature}>"

    @property
    @abstractmethod
    def result(self) -> ValueType[R_co]:
        """The type of what a call gives."""

    @abstractmethod
    def is_same(self, other: Any) -> bool:
        """Whether both may go by one name in a graph."""

    @abstractmethod
    def emit(self, tracer: Tracer, arguments: Mapping[str, Any]) -> Any:
        """Add a call to the graph under construction; what it gives, symbolically.

        Raises:
            DefinitionError: an argument does not fit its parameter.
        """

    def emit_alone(self, tracer: Tracer, arguments: Mapping[str, Any]) -> Any:
        """As `emit`, into a graph that holds nothing but this call."""
        return self.emit(tracer, arguments)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        tracer = tracer_for(self.name)
        arguments = self.signature.bind(args, kwargs, TraceError)
        return cast("R_co", self.emit(tracer, arguments))

    @overload
    def map(self: _OfOne[A, S], items: list[A] | tuple[A, ...], /) -> list[S]: ...
    @overload
    def map(
        self: _OfTwo[A, B, S], items: list[A] | tuple[A, ...], more: list[B] | tuple[B, ...], /
    ) -> list[S]: ...
    @overload
    def map(
        self: _OfThree[A, B, C, S],
        items: list[A] | tuple[A, ...],
        more: list[B] | tuple[B, ...],
        most: list[C] | tuple[C, ...],
        /,
    ) -> list[S]: ...
    @overload
    def map(self: _OfMore[A, S], items: list[A] | tuple[A, ...], /, **fixed: Any) -> list[S]: ...
    def map(self, /, *items: Any, **fixed: Any) -> Any:
        """One call for each item, all at once; the results as a list, in order.

        Like the builtin: the first parameter takes the items of the first list, the second those
        of the second (of the same length). Arguments by name are the same in every call.
        """
        tracer = tracer_for(f"{self.name}.map")
        if not items:
            raise TraceError(f"{self.name}.map: the list of items is missing")
        given = self.signature.bind(items, fixed, TraceError)
        mapped = dict(zip(self.signature.positional, items, strict=False))
        return _map_node(self, tracer, given, mapped)


def _map_node(
    function: Traceable[..., Any],
    tracer: Tracer,
    given: Mapping[str, Any],
    mapped: Mapping[str, Any],
) -> Ref:
    tracer.register(function)
    captures = Captures(
        taken={name for name, value in given.items() if name in mapped or isinstance(value, Ref)}
    )
    body = tracer.body(function.name, captures)
    inputs: list[tuple[str, Expression]] = []
    arguments: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for name, value in given.items():
        parameter = function.signature.parameters[name]
        if name not in mapped and (parameter.is_static or not isinstance(value, Ref)):
            arguments[name] = value  # a constant; or symbolic values in it are captured
            continue
        if parameter.is_static:
            raise TraceError(f"{function.name}.map: {name!r} is static; give it by name")
        place = (f"{function.name}.map", f"the argument {name!r}")
        if name in mapped:
            source = _items_of(value, parameter.type, tracer, place)
            lengths |= _known_length(name, source)
        else:
            source = expression_of(value, parameter.type, tracer, place)
        inputs.append((name, source))
        arguments[name] = body.add_input(name, parameter.type.annotation)
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise TraceError(f"{function.name}.map: the lists differ in length ({shown})")
    with tracing(body):
        value = function.emit_alone(body, arguments)
    output = expression_of(value, function.result, body, (function.name, "the result"))
    node = MapNode(
        id=tracer.new_id(function.name),
        body=body.graph(output),
        mapped=tuple(mapped),
        inputs=(*inputs, *captures.inputs()),
    )
    return tracer.add(node, list[function.result.annotation])  # type: ignore[name-defined]  # a type made at run time


def _items_of(
    value: Any, item: ValueType[Any], tracer: Tracer, place: tuple[str, str]
) -> Expression:
    """The list that is iterated over."""
    if isinstance(value, Ref):
        element = element_annotation(value.__annotation__)
        if element is None:
            raise TraceError(
                f"{place[0]}: {place[1]} must be a list of {item.name}, got {describe(value)}"
            )
        return expression_of(value, value_type(Iterable[item.annotation]), tracer, place)  # type: ignore[name-defined]  # a type made at run time
    if not isinstance(value, (list, tuple)):
        raise TraceError(
            f"{place[0]}: {place[1]} must be a list of {item.name}, got a "
            f"{type_name(annotation_of(value))}"
        )
    items: list[Any] = list(cast("list[Any]", value))
    return expression_of(items, value_type(list[item.annotation]), tracer, place)  # type: ignore[name-defined]  # likewise


def _known_length(name: str, source: Expression) -> dict[str, int]:
    match source:
        case Const(value):
            return {name: len(value)}
        case Items(items):
            return {name: len(items)}
        case _:
            return {}
