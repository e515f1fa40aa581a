"""Annotations as pydantic is given them, for what differs from its own ways."""

from __future__ import annotations

import types
import typing
from collections import abc, deque
from typing import Annotated, Any, Final, Never, Union

from pydantic import AllowInfNan, Strict

# Seen as plain objects: the types below are made at run time.
_ANNOTATED: Final[Any] = Annotated
_UNION: Final[Any] = Union

_FINITE: Final = AllowInfNan(allow_inf_nan=False)
_LOOSE: Final[dict[Any, Any]] = {float: _ANNOTATED[float, _FINITE], Never: Any}
_STRICT: Final[dict[Any, Any]] = {
    float: _ANNOTATED[float, _FINITE, Strict()],
    int: _ANNOTATED[int, Strict()],
    bool: _ANNOTATED[bool, Strict()],
    str: _ANNOTATED[str, Strict()],
    Never: Any,
}

_MAPPINGS: Final[tuple[Any, ...]] = (dict, abc.Mapping, abc.MutableMapping)
_ENTERED: Final[tuple[Any, ...]] = (
    *(types.UnionType, Union, Annotated),
    *_MAPPINGS,
    *(list, tuple, set, frozenset, deque, abc.Sequence, abc.MutableSequence),
    *(abc.Iterable, abc.Collection),
)


def validated_as(annotation: Any, *, is_strict: bool, within: tuple[Any, ...] = ()) -> Any:
    """What pydantic validates for `annotation`.

    Numbers must be finite: JSON has no others. `Never`, the item type of an empty list, validates
    nothing. Strictly, scalars are not parsed from texts, wherever in lists, dicts and unions they
    are; models keep their own rules, and lists and dicts take other sequences and mappings. An
    `Iterable` is a list, which can be gone through again.

    Args:
        annotation: What the author wrote.
        is_strict: Whether texts are not numbers.
        within: The aliases that it is the value of, or a part of that.
    """
    if isinstance(annotation, typing.NewType):
        return validated_as(annotation.__supertype__, is_strict=is_strict, within=within)
    # Loosely, an alias is left alone: its name is in the schema.
    if is_strict and _is_plain_alias(annotation) and not any(annotation is a for a in within):
        inside = (*within, annotation)
        return validated_as(annotation.__value__, is_strict=is_strict, within=inside)
    origin = _origin(annotation)
    if origin is None:
        scalars = _STRICT if is_strict else _LOOSE
        return next(
            (known for scalar, known in scalars.items() if scalar is annotation), annotation
        )
    if origin not in _ENTERED:
        return annotation
    arguments = typing.get_args(annotation)
    inner = tuple(validated_as(part, is_strict=is_strict, within=within) for part in arguments)
    if origin is Annotated:
        return _ANNOTATED[(inner[0], *annotation.__metadata__)]
    return _rebuilt(origin, arguments, inner)


def _rebuilt(origin: Any, arguments: tuple[Any, ...], inner: tuple[Any, ...]) -> Any:
    if origin in (types.UnionType, Union):
        return _UNION[inner]
    if origin in _MAPPINGS:  # keys stay loose: in JSON they are all texts
        return types.GenericAlias(origin, (arguments[0], inner[1]))
    if origin in (abc.Iterable, abc.Collection):  # what is read once would be gone for a retry
        return types.GenericAlias(list, inner)
    return types.GenericAlias(origin, inner)


def _is_plain_alias(annotation: Any) -> bool:
    """A `type` statement without parameters, whose names are known."""
    is_alias = type(annotation).__name__ == "TypeAliasType"
    return is_alias and not annotation.__type_params__ and _is_spelled_out(annotation.__value__)


def _is_spelled_out(annotation: Any) -> bool:
    """Without names as text, which only pydantic can look up."""
    if isinstance(annotation, (str, typing.ForwardRef)):
        return False
    origin, arguments = _origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return True
    return all(map(_is_spelled_out, arguments[:1] if origin is Annotated else arguments))


def _origin(annotation: Any) -> Any:
    return typing.get_origin(annotation)
