"""What an author passes or returns (constants, symbolic values, mixtures) as expressions."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard, cast

from pydantic import BaseModel

from agentrt.dsl.assignable import is_assignable
from agentrt.dsl.kept import lost
from agentrt.dsl.marks import has_marks
from agentrt.dsl.projection import (
    element_annotation,
    is_union,
    keys,
    members,
    required_keys,
    union,
    unwrapped,
)
from agentrt.dsl.ref import Ref, describe
from agentrt.dsl.template import text_expression
from agentrt.dsl.tracer import Tracer
from agentrt.dsl.value_type import ValueType, type_name, value_type
from agentrt.errors import SchemaError, TraceError
from agentrt.ir.expression import Const, Expression, Fields, Items
from agentrt.ir.schema import Json


def expression_of(
    value: Any, expected: ValueType[Any], tracer: Tracer, place: tuple[str, str]
) -> Expression:
    """`value` as an expression of the tracer's graph, checked against the type it must have.

    Raises:
        SchemaError: a constant does not fit; the message names the place.
        TraceError: a symbolic value does not fit, or cannot be used here.
    """
    if type(value) is Ref:
        if not is_assignable(value.__annotation__, expected.annotation):
            raise _misfit(f"{describe(value)}", expected, place)
        return tracer.resolve(value)
    if type(value) is str and has_marks(value):
        if not is_assignable(str, expected.annotation):
            raise _misfit("an f-string", expected, place)
        return text_expression(value, tracer)
    if _has_ref(value):
        return _container(value, expected, tracer, place)
    return _constant(value, expected, tracer, place)


def annotation_of(value: Any) -> Any:
    """The type of what an author wrote: of a symbolic value its own, of a container its items'."""
    if isinstance(value, Ref):
        return value.__annotation__
    if _is_tuple(value):
        return types.GenericAlias(tuple, tuple(annotation_of(item) for item in value))
    if _is_list(value):
        return types.GenericAlias(list, union([annotation_of(item) for item in value]))
    if _is_dict(value):
        items = union([annotation_of(item) for item in value.values()])
        return types.GenericAlias(dict, (str, items))
    return cast("Any", type(value))


def _constant(
    value: Any, expected: ValueType[Any], tracer: Tracer, place: tuple[str, str]
) -> Expression:
    try:
        checked = expected.check(value)
        data = expected.to_constant(checked)
        if _holds_marks(data):
            return _from_json(data, tracer)
        missing = None if checked is data else lost(checked, expected.from_json(data))
    except SchemaError as error:
        raise SchemaError(f"{_at(place)}: {error}; got {_shown(value)}") from error
    if missing is not None:
        raise SchemaError(f"{_at(place)}: constants of a graph are JSON, which loses {missing}")
    return Const(data)


def _from_json(data: Json, tracer: Tracer) -> Expression:
    """JSON data with marks in its texts: a constant model one of whose fields was an f-string."""
    if isinstance(data, str):
        return text_expression(data, tracer)
    if _is_list(data):
        return Items(tuple(_from_json(item, tracer) for item in data))
    if _is_dict(data):
        if any(has_marks(name) for name in data):
            raise TraceError("a symbolic value cannot be a key of a dict")
        return Fields(tuple((name, _from_json(item, tracer)) for name, item in data.items()))
    return Const(data)


def _container(
    value: Any, expected: ValueType[Any], tracer: Tracer, place: tuple[str, str]
) -> Expression:
    annotation = unwrapped(expected.annotation)
    if is_union(annotation):
        return _container_of_union(value, annotation, tracer, place)
    if _is_dict(value):
        return _fields(value, expected, tracer, place)
    if not _is_list(value) and not _is_tuple(value):
        raise TraceError(
            f"{_at(place)}: a {type(value).__name__} cannot hold symbolic values; build it in a "
            "`@tool` that takes them as arguments"
        )
    items: list[Any] = list(value)
    item_types = _item_types(annotation, len(items))
    if item_types is None:
        raise _misfit(f"a {type(value).__name__} of {len(items)}", expected, place)
    node, part = place
    return Items(
        tuple(
            expression_of(item, value_type(each), tracer, (node, f"{part}[{index}]"))
            for index, (item, each) in enumerate(zip(items, item_types, strict=True))
        )
    )


def _container_of_union(
    value: Any, annotation: Any, tracer: Tracer, place: tuple[str, str]
) -> Expression:
    """As the first member of the union that it fits."""
    failures: list[SchemaError | TraceError] = []
    for member in typing.get_args(annotation):
        if member is not type(None):
            try:
                return _container(value, value_type(member), tracer, place)
            except (SchemaError, TraceError) as error:
                failures.append(error)
    raise (
        failures[0] if len(failures) == 1 else _misfit(_shown(value), value_type(annotation), place)
    )


def _item_types(annotation: Any, count: int) -> list[Any] | None:
    """The types that `count` items must have in a container of this type; None: not a list."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple and ... not in arguments:
        return list(arguments) if len(arguments) == count else None
    named = members(annotation)
    if named is not None:
        is_tuple = isinstance(annotation, type) and issubclass(annotation, tuple)
        return list(named.values()) if is_tuple and len(named) == count else None
    element = element_annotation(annotation)
    return None if element is None else [element] * count


def _fields(
    value: dict[Any, Any], expected: ValueType[Any], tracer: Tracer, place: tuple[str, str]
) -> Expression:
    annotation = unwrapped(expected.annotation)
    field_types = _field_types(annotation, value)
    if field_types is None and members(annotation) is not None:
        raise TraceError(
            f"{_at(place)}: a {expected.name} cannot be put together from symbolic values in a dict; "
            "build it in a `@tool` that takes them as arguments"
        )
    if field_types is None:
        raise _misfit(f"a dict with keys {', '.join(map(repr, value))}", expected, place)
    node, part = place
    fields: list[tuple[str, Expression]] = []
    for key, item in value.items():
        if not isinstance(key, str) or has_marks(key):
            raise TraceError(f"{_at(place)}: the key {key!r} must be a constant str")
        where = (node, f"{part}[{key!r}]")
        fields.append((key, expression_of(item, value_type(field_types[key]), tracer, where)))
    return Fields(tuple(fields))


def _field_types(annotation: Any, value: dict[Any, Any]) -> Mapping[Any, Any] | None:
    """The types that the values of a dict must have by key; None: not a dict, or wrong keys."""
    known = keys(annotation)
    if known is not None:
        return known if required_keys(annotation) <= value.keys() <= known.keys() else None
    origin = typing.get_origin(annotation) or annotation
    if annotation is not Any and not (isinstance(origin, type) and issubclass(dict, origin)):
        return None
    key_type, item_type = (typing.get_args(annotation) or (str, Any))[-2:]
    return dict.fromkeys(value, item_type) if is_assignable(str, key_type) else None


def _has_ref(value: Any) -> bool:
    if isinstance(value, Ref):
        return True
    if isinstance(value, (str, int, float)) or value is None:
        return False
    return any(_is_symbolic(part) for part in _parts(value))


def _is_symbolic(item: Any) -> bool:
    """In a container, an f-string has to be found too: its neighbours decide how to read it."""
    return (type(item) is str and has_marks(item)) or _has_ref(item)


def _parts(value: Any) -> Iterable[Any]:
    """What a container or a model directly holds. A model's texts are looked at as JSON later."""
    if _is_list(value) or _is_tuple(value) or isinstance(value, (set, frozenset)):
        return cast("Iterable[Any]", value)
    if _is_dict(value):
        return value.values()
    fields: Iterable[Any] = ()
    if isinstance(value, BaseModel):
        fields = value.__dict__.values()
    elif dataclasses.is_dataclass(value):
        fields = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return [field for field in fields if not isinstance(field, str)]


def _holds_marks(data: Json) -> bool:
    if isinstance(data, str):
        return has_marks(data)
    if _is_list(data):
        return any(_holds_marks(item) for item in data)
    if _is_dict(data):
        return any(has_marks(name) or _holds_marks(item) for name, item in data.items())
    return False


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def _is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _misfit(what: str, expected: ValueType[Any], place: tuple[str, str]) -> TraceError:
    return TraceError(f"{_at(place)} must be {expected.name}, got {what}")


def _at(place: tuple[str, str]) -> str:
    return f"{place[0]}: {place[1]}"


def _shown(value: Any) -> str:
    shown = f"{value!r} ({type_name(type(value))})"
    return shown if len(shown) <= 120 else f"a {type_name(type(value))}"  # noqa: PLR2004  a line
