"""`@tool`: what it accepts, what it becomes, how it reads what models write."""

from __future__ import annotations

import enum
import functools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel

from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.errors import DefinitionError, SchemaError
from agentrt.ir.expression import Const, Use
from agentrt.ir.node import InputNode, ToolNode
from agentrt.ir.prompt import Prompt
from agentrt.ir.tool import ToolSpec

if TYPE_CHECKING:
    from decimal import Decimal


class Colour(enum.Enum):
    RED = "red"


class Point(BaseModel):
    x: int
    y: int = 0


@tool(effects="read", timeout_s=10, retries=1, concurrency=3, max_output_bytes=99)
async def search(query: str, limit: int = 5) -> list[str]:
    """Return the best passages
    for `query`.

    More that a model need not read.
    """
    return [query] * limit


@tool
def paint(point: Point, colour: Colour = Colour.RED, *, note: str | None = None) -> str:
    return f"{point.x} {colour.value} {note}"


def test_the_spec_says_what_the_function_and_its_options_say() -> None:
    assert search.spec == ToolSpec(
        name="search",
        description="Return the best passages\nfor `query`.",
        parameters={
            "type": "object",
            "properties": {
                "query": {"type": "string"},
                "limit": {"type": "integer", "default": 5},
            },
            "additionalProperties": False,
            "required": ["query"],
        },
        output={"items": {"type": "string"}, "type": "array"},
        effects="read",
        timeout_s=10,
        retries=1,
        concurrency=3,
        max_output_bytes=99,
    )
    assert search.is_async
    assert not paint.is_async


def test_a_tool_that_says_nothing_about_its_effects_may_write() -> None:
    assert paint.spec.effects == "write"
    assert not paint.spec.is_repeatable


def test_shared_definitions_of_parameters_stand_at_the_root_of_the_schema() -> None:
    @tool
    def draw(points: list[Point], more: dict[str, Point]) -> None:
        return None

    assert set(draw.spec.parameters["$defs"]) == {"Point"}
    assert draw.spec.parameters["properties"] == {
        "points": {"items": {"$ref": "#/$defs/Point"}, "type": "array"},
        "more": {"additionalProperties": {"$ref": "#/$defs/Point"}, "type": "object"},
    }
    assert paint.spec.parameters["required"] == ["point"]


def test_two_types_of_one_name_in_one_schema_are_refused() -> None:
    def other() -> type[BaseModel]:
        class Point(BaseModel):
            z: str

        return Point

    def draw(points: list[Point], others: list[Any]) -> None:
        return None

    draw.__annotations__["others"] = list[other()]  # type: ignore[misc]
    with pytest.raises(SchemaError, match="draw: two different types are called 'Point'"):
        tool(draw)


async def test_outside_a_workflow_a_tool_is_its_function() -> None:
    assert paint(Point(x=1), note="n") == "1 red n"
    called: Any = search("a", limit=2)
    assert await called == ["a", "a"]


def test_options_make_a_copy() -> None:
    slow = search.options(name="slow_search", timeout_s=60)
    assert (slow.name, slow.spec.name, slow.spec.timeout_s) == ("slow_search", "slow_search", 60)
    assert slow.spec.concurrency == 3
    assert (search.name, search.spec.timeout_s) == ("search", 10)
    assert slow.function is search.function


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"effects": "delete"}, "effects must be one of 'none', 'read', 'write', got 'delete'"),
        ({"timeout_s": 0}, "timeout_s must be a number above 0, got 0"),
        ({"timeout_s": float("nan")}, "timeout_s must be a number above 0, got nan"),
        ({"retries": -1}, "retries must be 0 or more, got -1"),
        ({"retries": None}, "retries must be 0 or more, got None"),
        ({"concurrency": 0}, "concurrency must be 1 or more, got 0"),
        ({"concurrency": True}, "concurrency must be 1 or more, got True"),
        ({"max_output_bytes": 1.5}, "max_output_bytes must be 1 or more, got 1.5"),
        ({"timeout_s": float("inf")}, "timeout_s must be a number above 0, got inf"),
        ({"is_idempotent": 1}, "is_idempotent must be one of True, False, got 1"),
        ({"name": 3}, "name must be a text, got 3"),
        ({"timeout": 3}, "unknown option 'timeout'"),
    ],
)
def test_an_option_out_of_its_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        search.options(**options)
    with pytest.raises(DefinitionError, match=message):
        tool(**options)(search.function)


def test_no_name_is_the_name_there_is() -> None:
    assert search.options(name=None, retries=0).name == "search"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "1st", "a b", "a.b", "é", "a\n"])
def test_a_name_that_cannot_be_a_node_s_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="cannot be a name in a graph"):
        search.options(name=name)


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(DefinitionError, match="give one with `name=`"):
        tool(lambda: None)


def test_a_parameter_without_annotation_is_refused_by_name() -> None:
    def untyped(query, limit: int) -> str:  # type: ignore[no-untyped-def]
        return ""

    with pytest.raises(DefinitionError, match="untyped: the parameter 'query' has no annotation"):
        tool(untyped)


def test_a_missing_return_annotation_is_refused() -> None:
    def silent(query: str):  # type: ignore[no-untyped-def]
        return query

    with pytest.raises(DefinitionError, match="silent has no return annotation"):
        tool(silent)


class Index:
    def find(self, query: str) -> str:
        return query

    @staticmethod
    def normal(query: str) -> str:
        return query

    def __call__(self, query: str) -> str:
        return query


def test_the_method_of_an_object_is_a_tool_and_one_of_a_class_is_not() -> None:
    assert str(tool(Index().find).signature) == "find(query: str)"
    assert str(tool(Index.normal).signature) == "normal(query: str)"
    with pytest.raises(DefinitionError, match=r"find is a method.*`tool\(thing.find\)`"):
        tool(Index.find)


@pytest.mark.parametrize("decorate", [tool, llm, agent(tools=[]), workflow])
@pytest.mark.parametrize(
    "thing",
    [Index, Index(), functools.partial(Index.normal, "a"), search, "search", 3, None.__class__],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_no_function_is_refused_with_what_to_write(decorate: Any, thing: Any) -> None:
    with pytest.raises(DefinitionError, match=r"is no plain function: decorate a `def`, and only"):
        decorate(thing)


def test_a_function_that_python_knows_nothing_of_is_refused() -> None:
    with pytest.raises(DefinitionError, match="max: Python does not say what it takes"):
        tool(max)


def test_what_wraps_a_function_is_as_good_as_one() -> None:
    async def slow(query: str) -> str:
        return query

    def plain(query: str) -> str:
        return query

    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(query: str) -> Any:
            return function(query)

        return wrapper

    def in_background(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(query: str) -> Any:
            return function(query)

        return wrapper

    assert str(tool(functools.cache(plain)).signature) == "plain(query: str)"
    assert tool(logged(slow)).is_async
    assert tool(in_background(plain)).is_async
    assert not tool(logged(plain)).is_async


def test_what_returns_a_prompt_is_for_a_model() -> None:
    def ask(topic: str) -> Prompt[str]:
        return Prompt(topic)

    for decorate in (tool, workflow):
        with pytest.raises(DefinitionError, match=r"ask returns a Prompt.*decorate it with `@llm`"):
            decorate(ask)


def test_one_static_name_may_be_given_alone() -> None:
    def drafts(topic: str, count: int) -> list[str]:
        return [topic] * count

    assert workflow(static="count")(drafts).signature.parameters["count"].is_static

    def draft(topic: str, count: int) -> Prompt[str]:
        return Prompt(topic * count)

    assert llm(static="count")(draft).signature.parameters["count"].is_static


def test_tools_that_are_no_list_are_refused() -> None:
    def fix(topic: str) -> Prompt[str]:
        return Prompt(topic)

    with pytest.raises(DefinitionError, match=r"fix: tools is a list: write `tools=\[search\]`"):
        agent(tools=search)(fix)  # type: ignore[call-overload]


def test_star_arguments_are_refused() -> None:
    def many(*queries: str) -> str:
        return ""

    def named(**queries: str) -> str:
        return ""

    def positional(query: str, /) -> str:
        return ""

    for function, what in ((many, r"\*queries"), (named, r"\*\*queries"), (positional, "'query'")):
        with pytest.raises(DefinitionError, match=what):
            tool(function)


def test_a_type_without_schema_is_refused_with_the_parameter() -> None:
    class Handle:
        pass

    def close(handle: Handle) -> str:
        return ""

    with pytest.raises(SchemaError, match="close: 'handle': Handle"):
        tool(close)


def test_a_default_of_the_wrong_type_is_refused() -> None:
    def wrong(limit: int = "5") -> str:  # type: ignore[assignment]
        return ""

    with pytest.raises(DefinitionError, match="wrong: the default of 'limit' does not fit"):
        tool(wrong)


def test_a_default_of_none_says_what_to_annotate() -> None:
    def wrong(limits: list[int] = None) -> str:  # type: ignore[assignment]  # noqa: RUF013
        return ""

    with pytest.raises(DefinitionError, match=r"'limits' does not.*write `list\[int\] \| None`"):
        tool(wrong)


def test_generators_are_refused() -> None:
    def stream(query: str) -> Iterator[str]:
        yield query

    with pytest.raises(DefinitionError, match="a generator cannot be a tool"):
        tool(stream)


def test_annotations_as_text_may_name_what_the_enclosing_function_defines() -> None:
    class Local(BaseModel):
        value: int

    @tool
    def read(local: Local, others: list[Local]) -> Local:
        return local

    assert read.parameters["local"].annotation is Local
    assert read.result.annotation is Local


def test_annotations_as_text_may_name_what_any_function_around_defines() -> None:
    class Local(BaseModel):
        value: int

    def make() -> Any:
        def decorated() -> Any:
            @tool
            def read(local: Local) -> list[Local]:
                return [local]

            return read

        return decorated()

    assert make().parameters["local"].annotation is Local


def test_a_name_of_a_caller_that_is_not_around_the_function_is_not_seen() -> None:
    Decimal = str  # noqa: F841, N806  as a caller may call anything
    with pytest.raises(DefinitionError, match="price: an annotation cannot be resolved"):
        decorate_price()


def decorate_price() -> Any:
    def price(amount: Decimal) -> str:
        return ""

    return tool(price)


def test_an_annotation_that_cannot_be_resolved_is_refused() -> None:
    def price(amount: Decimal) -> str:
        return ""

    with pytest.raises(DefinitionError, match=r"price: an annotation.*'Decimal'.*TYPE_CHECKING"):
        tool(price)


def test_a_call_in_a_workflow_is_a_node() -> None:
    @workflow
    def find(question: str) -> list[str]:
        return search(query=question, limit=2)

    graph = find.trace().graph
    assert graph.nodes == (
        InputNode(id="question", schema={"type": "string"}),
        ToolNode(
            id="search", tool="search", inputs=(("query", Use("question")), ("limit", Const(2)))
        ),
    )
    assert graph.output == Use("search")
    assert graph.tools == {"search": search.spec}
    assert find.trace().bindings.tools == {"search": search}


# --- arguments written by models ---


def test_arguments_become_python_values() -> None:
    assert search.parse_arguments('{"query": "sky", "limit": 2}') == {"query": "sky", "limit": 2}
    assert paint.parse_arguments('{"point": {"x": 1}, "colour": "red", "note": null}') == {
        "point": Point(x=1),
        "colour": Colour.RED,
        "note": None,
    }


def test_numbers_in_quotes_are_taken_for_numbers() -> None:
    assert search.parse_arguments('{"query": "a", "limit": "3"}') == {"query": "a", "limit": 3}


@pytest.mark.parametrize("text", ["", "  \n", "{}"])
def test_no_text_means_no_arguments(text: str) -> None:
    @tool
    def now() -> str:
        return ""

    assert now.parse_arguments(text) == {}


DEEP = 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("query=sky", "not valid JSON"),
        ('{"query": NaN}', "NaN is not JSON"),
        ('{"query": "a", "limit": -Infinity}', "-Infinity is not JSON"),
        ("[" * DEEP, "not valid JSON"),
        ("[" * DEEP + "]" * DEEP, "not valid JSON"),
        ('{"query": "a", "limit": ' + "1" * 10_000 + "}", "not valid JSON"),
        ('{"query": "a", "query": "b"}', "the key 'query' is there more than once"),
        ('{"query": "\\ud800"}', "half a surrogate pair"),
        ('["sky"]', "must be a JSON object, not a list"),
        ('"sky"', "must be a JSON object, not a string"),
        ("null", "must be a JSON object, not null"),
        ("7", "must be a JSON object, not a number"),
        ('{"q": "sky"}', "unknown argument 'q'; the arguments are: query, limit"),
        ('{"limit": 3}', r"missing argument 'query'; expected: search\(query: str, limit: int = 5"),
        ('{"query": 3}', "argument 'query': expected str: input should be a valid string"),
        (
            '{"query": [], "limit": "many"}',
            "argument 'query': expected str.*; argument 'limit': expected int",
        ),
        ('{"query": "a", "limit": ' + "[" * 400 + "]" * 400 + "}", "argument 'limit'"),
    ],
)
def test_what_is_wrong_with_arguments_is_said(text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message) as caught:
        search.parse_arguments(text)
    assert len(str(caught.value)) < 500


def test_ten_megabytes_of_arguments_are_read() -> None:
    text = "x" * 10_000_000
    assert search.parse_arguments(json.dumps({"query": text}))["query"] == text
    many = {str(number): number for number in range(200_000)}
    with pytest.raises(SchemaError, match="and 199995 more"):
        search.parse_arguments(json.dumps(many))


def test_a_result_of_the_wrong_type_is_refused() -> None:
    assert search.check_result(["a"]) == ["a"]
    with pytest.raises(SchemaError, match="search returned what its annotation forbids"):
        search.check_result([1])
    with pytest.raises(SchemaError, match="search returned"):
        search.check_result("text")


def test_literals_are_checked() -> None:
    @tool
    def sort(order: Literal["up", "down"]) -> None:
        return None

    assert sort.parse_arguments('{"order": "up"}') == {"order": "up"}
    with pytest.raises(SchemaError, match="'up' or 'down'"):
        sort.parse_arguments('{"order": "left"}')
    assert sort.check_result(None) is None
