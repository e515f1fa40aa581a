"""`ValueType`: validation, JSON both ways, and answers as models give them."""

from __future__ import annotations

import datetime
import enum
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Never, NewType

import pytest
from annotated_types import Ge
from pydantic import BaseModel, Field, JsonValue
from typing_extensions import TypeAliasType

from agentrt.dsl.value_type import ValueType, value_type
from agentrt.errors import SchemaError


class Colour(enum.Enum):
    RED = "red"


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Weekday(enum.StrEnum):
    MONDAY = "monday"


Count = TypeAliasType("Count", int)
Weights = TypeAliasType("Weights", list[float])
Key = NewType("Key", str)
Length = NewType("Length", float)


class User(BaseModel):
    name: str = Field(alias="userName")
    age: int = Field(default=0, validation_alias="userAge", serialization_alias="age_of_user")


@dataclass
class Span:
    start: int
    end: int


@pytest.mark.parametrize(
    ("annotation", "value", "data"),
    [
        (str, "é\n", "é\n"),
        (int, 10**30, 10**30),
        (float, 1.5, 1.5),
        (bool, True, True),
        (None, None, None),
        (list[str], ["a"], ["a"]),
        (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
        (dict[int, str], {1: "a"}, {"1": "a"}),
        (tuple[int, str], (1, "a"), [1, "a"]),
        (set[str], {"a"}, ["a"]),
        (str | None, None, None),
        (int | str, "1", "1"),
        (Literal["a", 1], 1, 1),
        (Colour, Colour.RED, "red"),
        (Weekday, Weekday.MONDAY, "monday"),
        (Tree, Tree(name="a", children=[Tree(name="b")]), None),
        (list[Tree], [Tree(name="a")], [{"name": "a", "children": []}]),
        (User, User.model_validate({"userName": "a", "userAge": 3}), {"name": "a", "age": 3}),
        (list[User], [User(userName="a")], [{"name": "a", "age": 0}]),
        (Span, Span(1, 2), {"start": 1, "end": 2}),
        (datetime.date, datetime.date(2026, 1, 2), "2026-01-02"),
        (Any, {"a": [1, None]}, {"a": [1, None]}),
        (Annotated[int, Ge(0)], 3, 3),
        (Count, 3, 3),
        (Weights | None, [1.5], [1.5]),
        (JsonValue, {"a": [1, "b", None]}, {"a": [1, "b", None]}),
        (Iterable[str], ["a"], ["a"]),
        (Sequence[str], ["a"], ["a"]),
        (list[Never], [], []),
    ],
)
def test_values_go_to_json_and_back(annotation: Any, value: Any, data: Any) -> None:
    kind: ValueType[Any] = ValueType(annotation)
    checked = kind.check(value)
    assert (type(checked), checked) == (type(value), value)
    written = kind.to_json(value)
    if data is not None:
        assert written == data
    assert kind.from_json(json.loads(json.dumps(written))) == value
    json.dumps(kind.schema)


@pytest.mark.parametrize(
    ("annotation", "value", "checked"),
    [
        (float, 1, 1.0),
        (list[float], [1], [1.0]),
        (list[str], ("a",), ["a"]),
        (Tree, {"name": "a"}, Tree(name="a")),
        (list[Tree], [{"name": "a"}, Tree(name="b")], [Tree(name="a"), Tree(name="b")]),
        (Colour, "red", Colour.RED),
        (Tree | None, {"name": "a"}, Tree(name="a")),
        (Span, {"start": 1, "end": 2}, Span(1, 2)),
    ],
)
def test_values_widen(annotation: Any, value: Any, checked: Any) -> None:
    assert ValueType[Any](annotation).check(value) == checked


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, "1", "expected int: input should be a valid integer"),
        (int, True, "expected int"),
        (int, 1.0, "expected int"),
        (float, "1", "expected float"),
        (float, True, "expected float"),
        (float, float("nan"), "finite"),
        (list[float], [float("inf")], "finite"),
        (Sequence[int], ["1"], r"expected Sequence\[int\]: 0: "),
        (Sequence[float], [float("nan")], "finite"),
        (Mapping[str, int], {"a": "1"}, r"expected Mapping\[str, int\]: a: "),
        (Iterable[int], ["1"], r"expected Iterable\[int\]: 0: "),
        (Count, "3", "expected Count"),
        (Count | None, "3", "expected"),
        (Weights, ["1"], "expected Weights: 0: "),
        (Length, float("nan"), "expected Length: .*finite"),
        (Length, "1", "expected Length"),
        (list[Key | None], [3], "expected"),
        (str, 1, "expected str"),
        (str, b"a", "expected str"),
        (str, None, "expected str"),
        (bool, 1, "expected bool"),
        (bool, "yes", "expected bool"),
        (list[int], ["1"], r"expected list\[int\]: 0: "),
        (dict[str, list[bool]], {"a": ["no"]}, "a.0: "),
        (int | None, "1", "expected"),
        (list[str], "abc", "expected"),
        (Annotated[int, Ge(0)], -1, "greater than or equal to 0"),
        (Tree, {"name": "a", "children": [{"nam": "b"}]}, "children.0.name: field required"),
    ],
)
def test_values_that_do_not_fit_are_refused_without_being_shown(
    annotation: Any, value: Any, message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        ValueType[Any](annotation).check(value)


def test_a_secret_never_gets_into_the_message() -> None:
    with pytest.raises(SchemaError) as caught:
        ValueType[Any](dict[str, int]).check({"key": "sk-secret"})
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("annotation", [Callable[[], int], object(), type("Handle", (), {}), 3])
def test_types_without_schema_are_refused(annotation: Any) -> None:
    with pytest.raises(SchemaError):
        _ = ValueType[Any](annotation).schema


def test_values_without_json_are_refused() -> None:
    circular: list[Any] = []
    circular.append(circular)
    for value in (object(), circular, {"a": {1, object()}}):
        with pytest.raises(SchemaError):
            ValueType[Any](Any).to_json(ValueType[Any](Any).check(value))


def test_one_type_is_shared_by_all_who_use_it() -> None:
    assert value_type(list[str]) is value_type(list[str])
    assert value_type(Literal[1]) is not value_type(Literal[True])
    unhashable = Annotated[str, ["a"]]
    assert value_type(unhashable).annotation == unhashable


# --- answers ---


def answer_schema(annotation: Any) -> Mapping[str, Any] | None:
    return ValueType[Any](annotation).answer_schema


def test_text_is_asked_for_as_it_is() -> None:
    assert answer_schema(str) is None
    assert ValueType[Any](str).instructions == ""
    assert ValueType[Any](str).parse_answer('{"a": 1}') == '{"a": 1}'


def test_the_root_of_every_other_answer_is_an_object() -> None:
    assert answer_schema(list[str]) == {
        "type": "object",
        "properties": {"answer": {"items": {"type": "string"}, "type": "array"}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    tree = answer_schema(Tree)
    assert tree is not None
    assert tree["required"] == ["answer"]
    assert tree["properties"] == {"answer": {"$ref": "#/$defs/Tree"}}
    assert set(tree["$defs"]) == {"Tree"}
    span = answer_schema(Span)
    assert span is not None
    assert set(span["properties"]) == {"start", "end"}


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (list[str], '{"answer": ["a"]}', ["a"]),
        (list[str], ' \n{"answer": []}\n', []),
        (list[str], '```json\n{"answer": ["a"]}\n```', ["a"]),
        (list[str], 'Here it is:\n```\n{"answer": ["a"]}\n```\nDone.', ["a"]),
        (list[str], '["a"]', ["a"]),
        (int, "42", 42),
        (int, '{"answer": "42"}', 42),
        (bool, '{"answer": false}', False),
        (Literal["yes", "no"], '{"answer": "yes"}', "yes"),
        (Literal["yes", "no"], '"no"', "no"),
        (Span, '{"start": 1, "end": 2}', Span(1, 2)),
        (Tree, '{"answer": {"name": "a"}}', Tree(name="a")),
        (Tree, '{"name": "a"}', Tree(name="a")),
        (Span | None, '{"answer": null}', None),
        (list[str], '{"answer": ["```\\ncode\\n```"]}', ["```\ncode\n```"]),
    ],
)
def test_answers_are_read_with_or_without_their_wrapping(
    annotation: Any, text: str, value: Any
) -> None:
    assert ValueType[Any](annotation).parse_answer(text) == value


@pytest.mark.parametrize(
    ("annotation", "text", "message"),
    [
        (int, "", "the answer is not valid JSON"),
        (int, "forty-two", "the answer is not valid JSON"),
        (int, '{"answer": 4', "the answer is not valid JSON"),
        (float, '{"answer": NaN}', "NaN is not JSON"),
        (float, '{"answer": 1e999}', "finite"),
        (list[str], '{"answer": ["\\udfff"]}', "half a surrogate pair"),
        (int, "[" * 100_000, "not valid JSON"),
        (Any, "[" * 300 + "]" * 300, "recursion limit"),
        (int, '{"result": 4}', 'must be an object with the key "answer"'),
        (int, '{"answer": "x"}', "expected int: input should be a valid integer"),
        (Span, '{"start": 1}', "expected Span: end: field required"),
        (Span, "[1, 2]", "expected Span"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(annotation: Any, text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        ValueType[Any](annotation).parse_answer(text)


def test_what_a_model_is_told_is_short_whatever_it_wrote() -> None:
    for annotation, answer in (
        (list[int], ["x"] * 10_000),
        (dict[str, int], {"k" * 100_000: "x"}),
        (Tree, {"name": 1, "children": [{}] * 10_000}),
    ):
        with pytest.raises(SchemaError) as caught:
            ValueType[Any](annotation).parse_answer(json.dumps({"answer": answer}))
        assert len(str(caught.value)) < 3000
    with pytest.raises(SchemaError, match=r"7: input should be .*; and 9992 more$"):
        ValueType[Any](list[int]).from_json(["x"] * 10_000)


def test_a_fence_that_is_never_closed_is_looked_at_once() -> None:
    for empty in ("\n", " \n", "\r\n", "```\n", "``` "):  # what is quadratic takes hours
        with pytest.raises(SchemaError, match="not valid JSON"):
            ValueType[Any](int).parse_answer("It is ```" + empty * 500_000 + "4")


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (None, "None"),
        (Key, "Key"),
        (list[Key], "list[Key]"),
        (Tree, "Tree"),
        (list[list[Tree]], "list[list[Tree]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Callable[[int], str], "Callable[[int], str]"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Annotated[int, Ge(1)], "int"),
        (dict[str, Annotated[int, Ge(1)] | None], "dict[str, int | None]"),
    ],
)
def test_types_are_named_as_an_author_writes_them(annotation: Any, name: str) -> None:
    assert ValueType(annotation).name == name
