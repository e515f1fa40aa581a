"""The type of a part of a value: `x.name` and `x[key]`, by annotation."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Union

from pydantic import BaseModel

from agentrt.dsl.value_type import type_name, value_type
from agentrt.errors import SchemaError, TraceError


def unwrapped(annotation: Any) -> Any:
    """The annotation without `Annotated`, aliases and type variables (which become `Any`).

    So does a name inside a recursive alias, as in pydantic's `JsonValue`: who knows what it is?
    """
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        elif hasattr(annotation, "__value__"):  # TypeAliasType, of Python 3.12 or typing_extensions
            annotation = annotation.__value__
        elif isinstance(annotation, typing.TypeVar):
            annotation = annotation.__bound__ or Any
        elif isinstance(annotation, (str, typing.ForwardRef)):
            return Any
        elif annotation is None:
            return type(None)
        else:
            return annotation


def plain(annotation: Any) -> Any:
    """`unwrapped`, and a `NewType` as the type that its values are of."""
    annotation = unwrapped(annotation)
    while isinstance(annotation, typing.NewType):
        annotation = unwrapped(annotation.__supertype__)
    return annotation


def is_union(annotation: Any) -> bool:
    """Whether it is `X | Y`, however written."""
    return isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is Union


def union(annotations: Sequence[Any]) -> Any:
    """`X | Y` of the different ones among `annotations`; `Never` of none."""
    different: list[Any] = []
    for annotation in annotations:
        if not any(annotation is known or annotation == known for known in different):
            different.append(annotation)
    if not different:
        return typing.Never
    return different[0] if len(different) == 1 else Union[tuple(different)]  # noqa: UP007  of any number


def members(annotation: Any) -> Mapping[str, Any] | None:
    """The public fields of a model, dataclass or named tuple with their types; None: no such."""
    cls: Any = typing.get_origin(annotation) or annotation
    if not inspect.isclass(cls):
        return None
    if issubclass(cls, BaseModel):
        return {name: field.annotation for name, field in cls.model_fields.items()}
    if dataclasses.is_dataclass(cls):
        hints = _hints(cls)
        return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(cls)}
    named: tuple[str, ...] | None = getattr(annotation, "_fields", None)
    if named is not None and issubclass(cls, tuple):
        hints = _hints(cls)
        return {name: hints.get(name, Any) for name in named}
    return None


def keys(annotation: Any) -> Mapping[str, Any] | None:
    """The keys of a `TypedDict` with their types; None for anything else."""
    cls = typing.get_origin(annotation) or annotation
    if not is_typed_dict(cls):
        return None
    return {name: _unqualified(hint) for name, hint in _hints(cls).items()}


def required_keys(typed_dict: Any) -> frozenset[str]:
    """The keys that a `TypedDict` must have.

    Python's own `__required_keys__` misses qualifiers in annotations that are written as text.
    """
    cls = typing.get_origin(typed_dict) or typed_dict
    qualifiers = {name: typing.get_origin(hint) for name, hint in _hints(cls).items()}
    named: frozenset[str] = cls.__required_keys__
    return frozenset(
        name
        for name, qualifier in qualifiers.items()
        if qualifier is not typing.NotRequired and (name in named or qualifier is typing.Required)
    )


def is_typed_dict(cls: Any) -> bool:
    """Whether it is a `TypedDict`, of `typing` or of typing_extensions (which are not related)."""
    return isinstance(cls, type) and hasattr(cls, "__required_keys__")


def member_annotation(annotation: Any, name: str, label: str) -> Any:
    """The type of `value.name`.

    Raises:
        TraceError: there is no such attribute; the message lists those there are.
    """
    annotation = plain(annotation)
    if annotation is Any:
        return Any
    if is_union(annotation):
        return _of_each(annotation, label, lambda part: member_annotation(part, name, label))
    known = members(annotation)
    if known is not None:
        if name in known:
            return known[name]
        if hasattr(typing.get_origin(annotation) or annotation, name):  # a method, a property
            raise _known_when_it_runs(annotation, name, label)
        raise TraceError(
            f"{label} ({type_name(annotation)}) has no attribute {name!r}; it has: "
            f"{', '.join(known) or 'none'}"
        )
    typed_keys = keys(annotation)
    if typed_keys is not None:
        way_out = f"write `[{name!r}]`" if name in typed_keys else f"it has: {_listed(typed_keys)}"
        raise TraceError(f"{label} ({type_name(annotation)}) has keys, not attributes: {way_out}")
    raise _known_when_it_runs(annotation, name, label)


def item_annotation(annotation: Any, key: Any, label: str) -> Any:
    """The type of `value[key]`.

    Raises:
        TraceError: the value cannot be indexed so.
    """
    if type(key) not in (int, str):
        raise TraceError(f"{label}[{key!r}]: only a constant int or str can be an index")
    annotation = plain(annotation)
    if annotation is Any:
        return Any
    if is_union(annotation):
        return _of_each(annotation, label, lambda part: item_annotation(part, key, label))
    typed_keys = keys(annotation)
    if typed_keys is not None:
        if key in typed_keys:
            return typed_keys[key]
        raise TraceError(
            f"{label} ({type_name(annotation)}) has no key {key!r}; it has: {_listed(typed_keys)}"
        )
    origin = typing.get_origin(annotation) or annotation
    if isinstance(origin, type) and origin is not str:
        if issubclass(origin, tuple):
            return _tuple_item(annotation, key, label)
        if issubclass(origin, Mapping):
            return _mapping_item(annotation, key, label)
        if issubclass(origin, Sequence) and isinstance(key, int):
            return element_annotation(annotation)
    raise TraceError(f"{label} ({type_name(annotation)}) cannot be indexed with {key!r}")


def element_annotation(annotation: Any) -> Any | None:
    """The type of the items of a list-like type (a tuple's may differ); None: not list-like."""
    annotation = plain(annotation)
    if annotation is Any:
        return Any
    if is_union(annotation):
        parts = [element_annotation(part) for part in typing.get_args(annotation)]
        return None if None in parts else union(parts)
    origin = typing.get_origin(annotation) or annotation
    if not isinstance(origin, type) or issubclass(origin, (str, bytes, Mapping)):
        return None
    arguments = typing.get_args(annotation)
    if issubclass(origin, tuple):
        return union([part for part in arguments if part is not ...]) if arguments else Any
    if issubclass(origin, (Sequence, set, frozenset)) or origin.__module__ == "collections.abc":
        return arguments[0] if arguments else Any
    return None


def _of_each(annotation: Any, label: str, part_of: Callable[[Any], Any]) -> Any:
    parts = typing.get_args(annotation)
    if type(None) in parts:
        raise TraceError(
            f"{label} ({type_name(annotation)}) may be None, so it has no parts that can be counted "
            "on: put the logic in a `@tool`"
        )
    return union([part_of(part) for part in parts])


def _tuple_item(annotation: Any, key: Any, label: str) -> Any:
    arguments = typing.get_args(annotation)
    if isinstance(key, int):
        if not arguments:
            named = members(annotation)
            arguments = tuple(named.values()) if named else (Any, ...)
        if len(arguments) == 2 and arguments[1] is ...:  # noqa: PLR2004  tuple[X, ...]
            return arguments[0]
        if -len(arguments) <= key < len(arguments):
            return arguments[key]
    raise TraceError(f"{label} ({type_name(annotation)}) has no item {key!r}")


def _mapping_item(annotation: Any, key: Any, label: str) -> Any:
    key_type, item_type = typing.get_args(annotation) or (Any, Any)
    try:
        value_type(key_type).check(key)
    except SchemaError as error:
        raise TraceError(
            f"{label} ({type_name(annotation)}) has no key {key!r}: {error}"
        ) from error
    return item_type


def _known_when_it_runs(annotation: Any, name: str, label: str) -> TraceError:
    return TraceError(
        f"{label} ({type_name(annotation)}) is known only when the workflow runs, so its attribute "
        f"{name!r} cannot be used while the workflow is traced: put the logic in a `@tool`"
    )


def _unqualified(hint: Any) -> Any:
    while typing.get_origin(hint) in (typing.NotRequired, typing.Required):
        hint = typing.get_args(hint)[0]
    return hint


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError:  # a name of a function's own scope: not known is not wrong
        return dict.fromkeys(cls.__annotations__, Any)


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "none"
