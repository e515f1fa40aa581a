"""Annotations as pydantic is given them, for what differs from its own ways."""

from __future__ import annotations

import types
import typing
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

_ENTERED: Final[tuple[Any, ...]] = (
    *(types.UnionType, Union, Annotated),
    *(dict, list, tuple, set, frozenset),
)


def validated_as(annotation: Any, *, is_strict: bool) -> Any:
    """What pydantic validates for `annotation`.

    Numbers must be finite: JSON has no others. `Never`, the item type of an empty list, validates
    nothing. Strictly, scalars are not parsed from texts, wherever in lists, dicts and unions they
    are; models keep their own rules, and lists and dicts take other sequences and mappings.
    """
    if isinstance(annotation, typing.NewType):
        return validated_as(annotation.__supertype__, is_strict=is_strict)
    origin = _origin(annotation)
    if origin is None:
        scalars = _STRICT if is_strict else _LOOSE
        return next(
            (known for scalar, known in scalars.items() if scalar is annotation), annotation
        )
    if origin not in _ENTERED:
        return annotation
    arguments = typing.get_args(annotation)
    inner = tuple(validated_as(part, is_strict=is_strict) for part in arguments)
    if origin in (types.UnionType, Union):
        return _UNION[inner]
    if origin is Annotated:
        return _ANNOTATED[(inner[0], *annotation.__metadata__)]
    if origin is dict:  # keys stay loose: in JSON they are all texts
        return types.GenericAlias(dict, (arguments[0], inner[1]))
    return types.GenericAlias(origin, inner)


def _origin(annotation: Any) -> Any:
    return typing.get_origin(annotation)
