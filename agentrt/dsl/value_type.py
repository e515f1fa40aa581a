"""`ValueType`: a Python annotation as JSON Schema, validation, and the form a model answers in."""

from __future__ import annotations

import functools
import json
import math
import types
import typing
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from pydantic import (
    BaseModel,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticSerializationError

from agentrt.dsl.json_text import parse_json, unfenced
from agentrt.dsl.validation import validated_as
from agentrt.errors import SchemaError
from agentrt.ir.schema import Json, Schema, canonical_json
from agentrt.ir.set_order import as_in_sets, sets_in_order

T = TypeVar("T")

_WRAPPER = "answer"
_SHOWN_PROBLEMS = 8
_SHOWN_TEXT = 1000
_EXACT = (str, int, float, bool, type(None))


class ValueType(Generic[T]):
    """One parameter's or result's type.

    Models answer in JSON with an object at its root (the strictest servers demand one), so any
    other type travels as `{"answer": ...}`. Text is not wrapped: it is just the answer.
    """

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """As an author would write it."""
        return type_name(self.annotation)

    @cached_property
    def is_text(self) -> bool:
        return self.annotation is str

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        return _make_adapter(self, is_strict=False)

    @cached_property
    def _strict_adapter(self) -> TypeAdapter[T]:
        return _make_adapter(self, is_strict=True)

    @cached_property
    def schema(self) -> Schema:
        """The JSON Schema of the value.

        Raises:
            SchemaError: the type has none (a function, an arbitrary class).
        """
        try:
            schema: Schema = sets_in_order(self._adapter.json_schema())
        except PydanticUserError as error:
            raise SchemaError(f"{self.name} has no JSON schema: {error}") from error
        return schema

    @cached_property
    def answer_schema(self) -> Schema | None:
        """What a model's answer must fit: an object; None for text."""
        if self.is_text:
            return None
        if self.is_wrapped:
            inner = dict(self.schema)
            definitions = inner.pop("$defs", None)
            wrapped: dict[str, Any] = {
                "type": "object",
                "properties": {_WRAPPER: inner},
                "required": [_WRAPPER],
                "additionalProperties": False,
            }
            return wrapped | ({"$defs": definitions} if definitions else {})
        return self.schema

    @cached_property
    def is_wrapped(self) -> bool:
        """Whether answers come as `{"answer": ...}`."""
        return not self.is_text and self.schema.get("type") != "object"

    @cached_property
    def instructions(self) -> str:
        """What a model is told about the form of its answer; empty for text."""
        if self.answer_schema is None:
            return ""
        return (
            "Answer with one JSON object that fits this JSON Schema, and nothing else:\n"
            + canonical_json(self.answer_schema)
        )

    def check(self, value: Any) -> T:
        """`value`, validated as a Python value: an int may become a float, a dict a model.

        Texts are not parsed into numbers, and numbers must be finite: JSON has no others.

        Raises:
            SchemaError: it does not fit.
        """
        if type(value) is self.annotation and _is_itself(value):
            return cast("T", value)
        try:
            return self._strict_adapter.validate_python(value)
        except ValidationError as error:
            raise SchemaError(f"expected {self.name}: {problems(error)}") from error
        except RecursionError as error:
            raise SchemaError(f"expected {self.name}: the value nests too deeply") from error

    def to_json(self, value: T) -> Json:
        """`value` as JSON data.

        Raises:
            SchemaError: it has no JSON form.
        """
        if type(value) in _EXACT:
            return value
        try:
            return self._adapter.dump_python(value, mode="json", warnings="error")
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise SchemaError(
                f"expected {self.name}: the value has no JSON form: {error}"
            ) from error

    def to_constant(self, value: T) -> Json:
        """`to_json`, for a graph: what is in a set is in one order, whatever the process.

        Raises:
            SchemaError: it has no JSON form.
        """
        data = self.to_json(value)
        if isinstance(data, (list, dict)):
            return as_in_sets(self._adapter.dump_python(value, warnings=False), data)
        return data

    def from_json(self, data: Json) -> T:
        """The inverse of `to_json`. Numbers and booleans in texts are taken for what they say.

        Fields may go by their names, as they do in a graph and in a store, or by their aliases, which
        are what a model is shown.

        Raises:
            SchemaError: it does not fit.
        """
        if type(data) is self.annotation and _is_itself(data):
            return cast("T", data)
        try:
            return self._adapter.validate_json(json.dumps(data), by_alias=True, by_name=True)
        except ValidationError as error:
            raise SchemaError(f"expected {self.name}: {problems(error)}") from error
        except RecursionError as error:
            raise SchemaError(f"expected {self.name}: the value nests too deeply") from error

    def parse_answer(self, text: str) -> T:
        """A model's answer as a value.

        Tolerates a Markdown fence around the JSON, and a value that is not wrapped though asked
        to be.

        Raises:
            SchemaError: saying what is wrong, in words a model can act on.
        """
        if self.is_text:
            return cast("T", text)
        data = parse_json(unfenced(text), "the answer")
        if not self.is_wrapped:
            return self.from_json(data)
        if isinstance(data, dict) and _WRAPPER in data:
            return self.from_json(cast("dict[str, Any]", data)[_WRAPPER])
        try:
            return self.from_json(data)
        except SchemaError as error:
            raise SchemaError(
                f'the answer must be an object with the key "{_WRAPPER}"; {error}'
            ) from error


def type_name(annotation: Any) -> str:
    """An annotation as an author would write it, without what `Annotated` adds."""
    if annotation is None or annotation is type(None):
        return "None"
    if annotation is ...:
        return "..."
    if isinstance(annotation, list):  # the parameters of a `Callable`
        return f"[{', '.join(map(type_name, annotation))}]"  # pyright: ignore[reportUnknownArgumentType]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(type_name(argument) for argument in arguments)
    if isinstance(origin, type) and arguments:
        return f"{origin.__name__}[{', '.join(map(type_name, arguments))}]"
    if isinstance(annotation, (type, typing.NewType)):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def value_type(annotation: Any) -> ValueType[Any]:
    """The `ValueType` of an annotation, shared where the annotation can be a key."""
    # Equal is not the same: `int | str == str | int`, but their schemas differ, and with them hashes.
    spelling = "" if type(annotation) is type else repr(annotation)
    try:
        return _shared(annotation, spelling)
    except TypeError:  # unhashable metadata inside `Annotated`
        return ValueType(annotation)


@functools.lru_cache(maxsize=4096)
def _shared(annotation: Any, _spelling: str) -> ValueType[Any]:
    return ValueType(annotation)


def problems(error: ValidationError) -> str:
    """A pydantic error as one line: where, and what is wrong there; values are left out.

    A model is told it in its next prompt, so it is short, whatever the model wrote.
    """
    details = error.errors(include_url=False, include_context=False, include_input=False)
    found: list[str] = []
    for detail in details[:_SHOWN_PROBLEMS]:
        where = _clipped(".".join(str(part) for part in detail["loc"]))
        message = _clipped(detail["msg"][:1].lower() + detail["msg"][1:])
        found.append(f"{where}: {message}" if where else message)
    more = len(details) - len(found)
    return "; ".join(found) + (f"; and {more} more" if more else "")


def _clipped(text: str) -> str:
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}…"


def _is_itself(value: Any) -> bool:
    """Whether a value that is exactly of its declared type needs no validation."""
    if type(value) is float:
        return math.isfinite(value)
    return type(value) in _EXACT or isinstance(value, BaseModel)


def _make_adapter(value_type: ValueType[T], *, is_strict: bool) -> TypeAdapter[T]:
    try:
        return TypeAdapter(validated_as(value_type.annotation, is_strict=is_strict))
    except PydanticUserError as error:
        raise SchemaError(f"{value_type.name} cannot be validated: {error.message}") from error
