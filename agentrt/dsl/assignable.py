"""Whether a value of one type may go where another is declared, decided before anything runs."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Literal

from agentrt.dsl.projection import is_typed_dict, is_union, keys, unwrapped


def is_assignable(source: Any, target: Any) -> bool:
    """Whether every value of type `source` is fine as a `target`.

    As type checkers see it, except that a `bool` is no number and that lists and dicts are
    covariant (a symbolic value cannot be changed in place). Constraints inside `Annotated` are left
    to validation at run time.
    """
    if source is target:
        return True
    source, target = unwrapped(source), unwrapped(target)
    if source == target or source in (Any, typing.Never) or target in (Any, object):
        return True
    if is_union(source):
        return all(is_assignable(part, target) for part in typing.get_args(source))
    if typing.get_origin(source) is Literal:
        return _is_literal_in(source, target)
    return _is_one_assignable(source, target)


def _is_one_assignable(source: Any, target: Any) -> bool:
    """As `is_assignable`, for a source that is neither a union nor a literal."""
    if is_union(target):
        return any(is_assignable(source, part) for part in typing.get_args(target))
    if typing.get_origin(target) is Literal:
        return source is bool and {True, False} == set(typing.get_args(target))
    if isinstance(source, typing.NewType):
        return is_assignable(source.__supertype__, target)
    return _is_class_assignable(source, target)


def _is_literal_in(source: Any, target: Any) -> bool:
    """Whether each of the literal values of `source` fits `target`, alone."""
    if typing.get_origin(target) is Literal:
        allowed: list[tuple[Any, Any]] = [(type(value), value) for value in typing.get_args(target)]
        return all((type(value), value) in allowed for value in typing.get_args(source))
    if is_union(target):
        return all(
            any(is_assignable(Literal[value], part) for part in typing.get_args(target))
            for value in typing.get_args(source)
        )
    return all(is_assignable(type(value), target) for value in typing.get_args(source))


def _is_class_assignable(source: Any, target: Any) -> bool:
    source_class = typing.get_origin(source) or source
    target_class = typing.get_origin(target) or target
    if not isinstance(source_class, type) or not isinstance(target_class, type):
        return False
    if source_class is bool:
        return target_class is bool
    if target_class is float:
        return issubclass(source_class, (float, int))
    if issubclass(source_class, (str, bytes)) and target_class.__module__ == "collections.abc":
        return False  # a text is a sequence to Python, but no list to anybody else
    if is_typed_dict(source_class) or is_typed_dict(target_class):
        return _is_typeddict_assignable(source_class, target)
    if not issubclass(source_class, target_class):
        return False
    return _are_arguments_assignable(source, target)


def _is_typeddict_assignable(source_class: Any, target: Any) -> bool:
    """A `TypedDict` is itself, or a read-only mapping; a plain dict is never a `TypedDict`."""
    target_class = typing.get_origin(target) or target
    source_keys = keys(source_class)
    if source_keys is None or is_typed_dict(target_class) or target_class is not Mapping:
        return False
    _, item = typing.get_args(target) or (Any, Any)
    return all(is_assignable(known, item) for known in source_keys.values())


def _are_arguments_assignable(source: Any, target: Any) -> bool:
    source_arguments, target_arguments = typing.get_args(source), typing.get_args(target)
    if not source_arguments or not target_arguments:
        return True  # an unparametrised `list` is a list of anything
    if typing.get_origin(source) is tuple:
        return _is_tuple_assignable(source_arguments, target, target_arguments)
    return len(source_arguments) == len(target_arguments) and all(
        is_assignable(a, b) for a, b in zip(source_arguments, target_arguments, strict=True)
    )


def _is_tuple_assignable(
    source_arguments: tuple[Any, ...], target: Any, target_arguments: tuple[Any, ...]
) -> bool:
    items = [argument for argument in source_arguments if argument is not ...]
    if typing.get_origin(target) is not tuple or ... in target_arguments:  # one type for all items
        return all(is_assignable(item, target_arguments[0]) for item in items)
    if ... in source_arguments or len(items) != len(target_arguments):
        return False
    return all(is_assignable(a, b) for a, b in zip(items, target_arguments, strict=True))
