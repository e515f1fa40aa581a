"""Types, arguments and answers against arbitrary text and values."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentrt.dsl.decorators import tool
from agentrt.dsl.value_type import ValueType
from agentrt.errors import SchemaError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(BaseModel):
    name: str
    weights: list[float] = []
    colour: Colour | None = None


@tool
def paint(
    leaf: Leaf, count: int, mode: Literal["a", "b"] = "a", extra: dict[str, bool] | None = None
) -> str:
    return ""


TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=10)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.builds(
    Leaf,
    name=TEXTS,
    weights=st.lists(FLOATS, max_size=3),
    colour=st.none() | st.sampled_from(Colour),
)
ARGUMENTS = st.fixed_dictionaries(
    {"leaf": LEAVES, "count": st.integers()},
    optional={
        "mode": st.sampled_from(["a", "b"]),
        "extra": st.none() | st.dictionaries(TEXTS, st.booleans(), max_size=3),
    },
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("leaf", "count", "mode", "extra", "other"), JSON)
)
PAIRS: st.SearchStrategy[tuple[Any, Any]] = st.one_of(
    st.tuples(st.just(str), TEXTS),
    st.tuples(st.just(int), st.integers()),
    st.tuples(st.just(float), FLOATS),
    st.tuples(st.just(bool), st.booleans()),
    st.tuples(st.just(Colour), st.sampled_from(Colour)),
    st.tuples(st.just(Leaf), LEAVES),
    st.tuples(st.just(int | str), st.integers() | TEXTS),
)
TYPED = st.recursive(
    PAIRS,
    lambda inner: st.one_of(
        inner.map(lambda pair: (GenericAlias(list, pair[0]), [pair[1]])),
        inner.map(lambda pair: (GenericAlias(list, pair[0]), [])),
        inner.map(lambda pair: (GenericAlias(dict, (str, pair[0])), {"k": pair[1]})),
        inner.map(lambda pair: (pair[0] | None, pair[1])),
        inner.map(lambda pair: (pair[0] | None, None)),
        st.tuples(inner, inner).map(
            lambda pairs: (
                GenericAlias(tuple, (pairs[0][0], pairs[1][0])),
                (pairs[0][1], pairs[1][1]),
            )
        ),
    ),
    max_leaves=4,
)


@dataclass
class Refused:
    message: str


def value_or_message(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except SchemaError as error:
        return Refused(str(error))


@given(pair=TYPED)
def test_a_value_survives_validation_json_and_a_model(pair: tuple[Any, Any]) -> None:
    annotation, value = pair
    kind: ValueType[Any] = ValueType(annotation)
    assert kind.check(value) == value
    data = kind.to_json(value)
    text = json.dumps(data)
    assert kind.from_json(json.loads(text)) == value
    if kind.is_text:
        return
    asked = json.dumps({"answer": data}) if kind.is_wrapped else text
    assert kind.parse_answer(asked) == value
    assert kind.parse_answer(f"Sure!\n```json\n{asked}\n```") == value or "```" in asked


@given(pair=TYPED, text=st.text() | JSON.map(json.dumps))
@example(pair=(list[float], []), text='{"answer": [NaN]}')
@example(pair=(int | str, 1), text='{"answer": "\\ud800"}')
@example(pair=(int | str, 1), text='"\ud800"')
def test_any_answer_is_a_value_of_the_type_or_a_schema_error(
    pair: tuple[Any, Any], text: str
) -> None:
    kind: ValueType[Any] = ValueType(pair[0])
    value = value_or_message(lambda: kind.parse_answer(text))
    if isinstance(value, Refused):
        return
    assert kind.from_json(kind.to_json(value)) == value
    if not kind.is_text:
        json.dumps(kind.to_json(value), ensure_ascii=False, allow_nan=False).encode()


@given(arguments=ARGUMENTS)
def test_arguments_survive_json(arguments: Mapping[str, Any]) -> None:
    types = paint.parameters
    text = json.dumps({name: types[name].to_json(value) for name, value in arguments.items()})
    assert paint.parse_arguments(text) == arguments


@given(text=st.text() | JSON.map(json.dumps) | NEARLY.map(json.dumps))
def test_any_arguments_are_ready_to_call_or_a_schema_error(text: str) -> None:
    arguments = value_or_message(lambda: paint.parse_arguments(text))
    if isinstance(arguments, Refused):
        assert 0 < len(arguments.message) < 2000
        return
    assert {"leaf", "count"} <= arguments.keys() <= paint.parameters.keys()
    for name, value in arguments.items():
        assert paint.parameters[name].check(value) == value


@given(cut=st.integers(0, 200), arguments=ARGUMENTS)
def test_arguments_cut_off_are_never_half_understood(
    cut: int, arguments: Mapping[str, Any]
) -> None:
    types = paint.parameters
    text = json.dumps({name: types[name].to_json(value) for name, value in arguments.items()})
    if 0 < cut < len(text):
        with pytest.raises(SchemaError, match="not valid JSON"):
            paint.parse_arguments(text[:cut])
