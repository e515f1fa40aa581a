import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.embedded_schema import constrainable, plain_parameters, safe_parameters

NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "pattern": {"type": "string"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/maxItems"}, "maxItems": 3},
        "date": {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}$"},
    },
    "required": ["pattern", "items"],
    "$defs": {"maxItems": {"enum": ["a", "b"]}},
}


def _field(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}}


def test_an_ordinary_schema_passes_unchanged_even_where_names_look_like_keywords() -> None:
    assert constrainable(NESTED) == NESTED


@pytest.mark.parametrize(
    ("given_schema", "slim"),
    [
        ({"type": "string", "pattern": "[a-z]+"}, {"type": "string"}),
        ({"type": "string", "pattern": "^(?=x)a$"}, {"type": "string"}),
        ({"type": "string", "pattern": "^[a-z+$"}, {"type": "string"}),
        ({"type": "string", "pattern": "^(a{1,9}){1,9}$"}, {"type": "string"}),
        ({"type": "string", "pattern": "^a{9999}$"}, {"type": "string"}),
        ({"type": "string", "pattern": r"^\d{4}$"}, {"type": "string", "pattern": "^[0-9]{4}$"}),
        ({"type": "string", "pattern": r"^[\d.]$"}, {"type": "string"}),
        ({"type": "string", "pattern": r"^a\$"}, {"type": "string"}),
        ({"type": "string", "pattern": 3}, {"type": "string"}),
        ({"type": "string", "minLength": 100_000}, {"type": "string"}),
        ({"type": "array", "maxItems": 5000}, {"type": "array"}),
        ({"type": "integer", "minimum": -(10**30)}, {"type": "integer"}),
        ({"type": "array", "minItems": -1}, {"type": "array"}),
        ({"type": "array", "minItems": 5, "maxItems": 2}, {"type": "array"}),
        ({"type": "string", "minLength": 5, "maxLength": 2}, {"type": "string"}),
        ({"type": "integer", "minimum": 5, "exclusiveMaximum": 5}, {"type": "integer"}),
        ({"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 6}, {"type": "integer"}),
        ({"type": "string", "pattern": "^" + "a?" * 64 + "$"}, {"type": "string"}),
        ({"type": "string", "pattern": "^" + "(a|b)?" * 64 + "$"}, {"type": "string"}),
    ],
)
def test_what_stalls_the_engine_or_makes_it_grumble_is_left_out(
    given_schema: dict[str, Any], slim: dict[str, Any]
) -> None:
    assert constrainable(_field(given_schema)) == _field(slim)
    assert safe_parameters(_field(given_schema)) == _field(slim)


def test_a_huge_schema_does_not_constrain() -> None:
    assert constrainable(_field({"enum": [f"value {i}" for i in range(20_000)]})) is None


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize("schema", [{"enum": ["\ud800"]}, _nested(2000)])
def test_what_cannot_be_sent_or_walked_through_does_not_constrain(schema: dict[str, Any]) -> None:
    assert constrainable(_field(schema)) is None
    assert safe_parameters(_field(schema))["type"] == "object"


@pytest.mark.parametrize(
    "bounds",
    [
        {"minItems": 2, "maxItems": 2},
        {"minLength": 0, "maxLength": 0},
        {"minimum": 5, "maximum": 5},
        {"exclusiveMinimum": 4, "exclusiveMaximum": 6},
    ],
)
def test_bounds_with_something_between_them_stay(bounds: dict[str, Any]) -> None:
    assert constrainable(_field(bounds)) == _field(bounds)


@given(st.from_regex(r"\A\^[a-z0-9\\dw\[\]{}()?*+.,|-]{0,12}\$\Z"), st.text("a1b-", max_size=6))
def test_a_pattern_that_passes_means_what_it_meant(pattern: str, text: str) -> None:
    slim = constrainable(_field({"pattern": pattern}))
    assert slim is not None
    kept = slim["properties"]["a"].get("pattern")
    if kept is not None:
        assert (re.search(kept, text) is None) == (re.search(pattern, text) is None)


@pytest.mark.parametrize(
    ("parameters", "plain"),
    [
        (
            {
                "type": "object",
                "properties": {
                    "tree": {"$ref": "#", "description": "of trees"},
                    "depth": {"type": "integer", "minimum": -(10**30)},
                    "kind": {"type": "zebra"},
                    "any": True,
                },
                "required": ["tree", "depth", "absent", []],
            },
            {
                "type": "object",
                "properties": {
                    "tree": {"description": "of trees"},
                    "depth": {"type": "integer"},
                    "kind": {},
                    "any": {},
                },
                "required": ["tree", "depth"],
            },
        ),
        ({"type": 5}, {"type": "object", "properties": {}, "required": []}),
    ],
)
def test_of_a_tool_that_no_grammar_can_be_made_of_names_and_types_are_left(
    parameters: dict[str, Any], plain: dict[str, Any]
) -> None:
    assert plain_parameters(parameters) == plain
