"""`@workflow`: arguments, names, nesting, static parameters, binding."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NotRequired

import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from typing_extensions import TypedDict

from agentrt.dsl.decorators import llm, tool, workflow
from agentrt.errors import DefinitionError, InputError, SchemaError, TraceError
from agentrt.ir.expression import Const, Fields, Items, Slot, Template, Text, Use
from agentrt.ir.node import InputNode, LLMNode, ToolNode
from agentrt.ir.prompt import Prompt


class Colour(enum.Enum):
    RED = "red"


class Point(BaseModel):
    x: int
    label: str = ""


class Spot(NamedTuple):
    x: int
    y: float


@dataclass
class Span:
    start: int
    end: int


@tool(effects="none")
def search(query: str, limit: int = 5) -> list[str]:
    return [query] * limit


@tool(effects="none")
def join(parts: list[str]) -> str:
    return "".join(parts)


@tool(effects="none")
def measure(text: str) -> float:
    return float(len(text))


@tool(effects="none")
def count(text: str) -> int:
    return len(text)


@tool(effects="none")
def is_long(text: str) -> bool:
    return len(text) > 1


@tool(effects="none")
def sink(  # noqa: PLR0913, PLR0917  one parameter for each kind of type
    point: Point | None = None,
    points: list[Point] | None = None,
    number: float = 0,
    named: dict[str, list[str]] | None = None,
    colour: Colour = Colour.RED,
    pair: tuple[int, str] = (1, ""),
    choice: Literal["a", "b"] = "a",
    anything: Any = None,
    spot: Spot = Spot(0, 0),  # noqa: B008  a tuple
) -> str:
    return ""


@llm
def summarise(text: str) -> Prompt[str]:
    return Prompt(f"Summarise: {text}")


class Row(TypedDict):
    name: str
    count: NotRequired[int]


@tool(effects="none")
def store(row: Row, key: str | list[str] | None = None) -> None:
    return None


def test_a_typed_dict_is_written_out_as_a_dict() -> None:
    @workflow
    def keep(question: str) -> None:
        store({"name": question, "count": count(question)}, key=["a", question])

    node = keep.trace().graph.nodes[-1]
    assert isinstance(node, ToolNode)
    assert node.inputs == (
        ("row", Fields((("name", Use("question")), ("count", Use("count"))))),
        ("key", Items((Const("a"), Use("question")))),
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q: store({"count": count(q)}), "must be Row, got a dict with keys 'count'"),  # type: ignore[typeddict-item]
        (lambda q: store({"name": q, "size": 1}), "must be Row, got a dict with"),  # type: ignore[typeddict-unknown-key]
        (lambda q: store({"name": count(q)}), r"'row'\['name'\] must be str, got count"),  # type: ignore[typeddict-item]
        (lambda q: store({"name": ""}, key={"a": q}), r"'key' must be str \| list\[str\] \| None"),  # type: ignore[arg-type]
        (lambda q: store({"name": ""}, key=[count(q)]), r"'key' must be|'key'\[0\] must be"),  # type: ignore[list-item]
    ],
)
def test_a_dict_that_is_not_the_typed_dict_is_refused(call: Any, message: str) -> None:
    def keep(question: str) -> None:
        call(question)

    with pytest.raises(TraceError, match=message):
        workflow(keep).trace()


def inputs_of(**given: Any) -> Any:
    """The inputs of one call of `sink`, whose arguments are made from a question."""

    def body(question: str) -> str:
        return sink(**{name: make(question) for name, make in given.items()})

    node = workflow(body).trace().graph.nodes[-1]
    assert isinstance(node, ToolNode)
    return dict(node.inputs)


def test_constants_are_stored_as_json_of_the_parameter_s_type() -> None:
    assert inputs_of(
        point=lambda _: Point(x=1),
        number=lambda _: 2,
        colour=lambda _: Colour.RED,
        pair=lambda _: (1, "a"),
        anything=lambda _: [None, {"a": 1.5}],
    ) == {
        "point": Const({"x": 1, "label": ""}),
        "number": Const(2.0),
        "colour": Const("red"),
        "pair": Const([1, "a"]),
        "anything": Const([None, {"a": 1.5}]),
    }


def test_containers_may_mix_constants_symbolic_values_and_f_strings() -> None:
    assert inputs_of(
        named=lambda q: {"a": [q, f"<{q}>", "c"], "b": []},
        pair=lambda q: (count(q), q),
        spot=lambda q: Spot(count(q), 2.5),
        anything=lambda q: [(q, 1), {"k": q}],
        points=lambda _: [Point(x=1), Point(x=2)],
    ) == {
        "named": Fields(
            (
                (
                    "a",
                    Items(
                        (
                            Use("question"),
                            Template((Text("<"), Slot(Use("question")), Text(">"))),
                            Const("c"),
                        )
                    ),
                ),
                ("b", Const([])),
            )
        ),
        "pair": Items((Use("count"), Use("question"))),
        "spot": Items((Use("count_2"), Const(2.5))),
        "anything": Items((Items((Use("question"), Const(1))), Fields((("k", Use("question")),)))),
        "points": Const([{"x": 1, "label": ""}, {"x": 2, "label": ""}]),
    }


def test_f_strings_in_lists_of_constant_models_are_kept_symbolic() -> None:
    assert inputs_of(points=lambda q: [Point(x=1, label=f"{q}!"), Point(x=2)]) == {
        "points": Items(
            (
                Fields((("x", Const(1)), ("label", Template((Slot(Use("question")), Text("!")))))),
                Fields((("x", Const(2)), ("label", Const("")))),
            )
        )
    }


def test_an_f_string_in_a_constant_model_is_kept_symbolic() -> None:
    assert inputs_of(point=lambda q: Point(x=1, label=f"for {q}")) == {
        "point": Fields(
            (("x", Const(1)), ("label", Template((Text("for "), Slot(Use("question"))))))
        )
    }


class Labelled(Point):
    note: str = ""


class Login(BaseModel):
    token: SecretStr


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        (
            Labelled(x=1, note="!"),
            Point,
            "'value': .* loses what a Labelled has and a Point has not",
        ),
        ([{"k": (Labelled(x=1),)}], list[dict[str, tuple[Point, ...]]], "what a Labelled has"),
        (SecretStr("abc"), SecretStr, "loses a secret.*read it in the `@tool`"),
        (Login(token=SecretStr("abc")), Login | None, "loses a secret"),
        (Labelled(x=1, note="!"), Labelled, None),
        (Labelled(x=1, note="!"), Point | Labelled, None),
        ([Labelled(x=1), Point(x=2)], list[Labelled | Point], None),
        (SecretStr(""), SecretStr, None),
        (Labelled(x=1), Any, None),
    ],
)
def test_a_constant_that_its_json_does_not_keep_is_refused(
    value: Any, annotation: Any, message: str | None
) -> None:
    def keep(value: Any) -> str:
        return ""

    keep.__annotations__["value"] = annotation
    kept = tool(effects="none")(keep)

    def body(question: str) -> str:
        return kept(value)

    if message is None:
        assert len(workflow(body).trace().graph.nodes) == 2
        return
    with pytest.raises(SchemaError, match=message) as caught:
        workflow(body).trace()
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"number": lambda _: "2"},
            r"sink: the argument 'number': expected float.*got '2' \(str\)",
        ),
        ({"number": lambda _: True}, "expected float"),
        ({"number": lambda _: float("nan")}, "finite"),
        ({"point": lambda _: 3}, r"the argument 'point': expected .*Point"),
        ({"named": lambda _: {"a": [1]}}, r"the argument 'named': expected .*: a.0: "),
        ({"choice": lambda _: "c"}, "the argument 'choice': expected .*'a' or 'b'"),
        ({"anything": lambda _: object()}, "no JSON form"),
        ({"anything": lambda _: lambda: 1}, "no JSON form"),
    ],
)
def test_a_constant_of_the_wrong_type_is_refused_with_node_parameter_and_value(
    given: Any, message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        inputs_of(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"number": lambda q: q},
            r"sink: the argument 'number' must be float, got question \(str\)",
        ),
        ({"number": is_long}, r"must be float, got is_long \(bool\)"),
        ({"number": lambda q: f"{q}"}, "must be float, got an f-string"),
        ({"named": lambda q: {"a": q}}, r"the argument 'named'\['a'\] must be list\[str\]"),
        ({"named": lambda q: [q]}, "the argument 'named' must be dict"),
        ({"points": lambda q: [Point(x=1), q]}, r"'points'\[1\] must be Point, got question"),
        ({"pair": lambda q: (q, q)}, r"'pair'\[0\] must be int, got question \(str\)"),
        ({"pair": lambda q: (1, q, q)}, "the argument 'pair' must be tuple.*got a tuple of 3"),
        ({"choice": lambda q: q}, "the argument 'choice' must be Literal"),
        ({"choice": lambda q: f"{q}"}, "must be Literal.*, got an f-string"),
        ({"spot": lambda q: Spot(q, 1)}, r"'spot'\[0\] must be int, got question \(str\)"),
        ({"spot": lambda q: (count(q), 1, 2)}, "the argument 'spot' must be Spot.*a tuple of 3"),
        ({"anything": lambda q: {1: q}}, "the key 1 must be a constant str"),
        ({"anything": lambda q: {f"{q}": q}}, "must be a constant str"),
        ({"anything": lambda q: {f"{q}": 1}}, "cannot be a key"),
        ({"anything": lambda q: Span(q, 1)}, "a Span cannot hold symbolic values"),
        ({"point": lambda q: {"x": count(q)}}, "a Point cannot be put together.*`@tool`"),
        ({"point": lambda q: Point.model_construct(x=q)}, "a Point cannot hold symbolic values"),
    ],
)
def test_a_symbolic_value_of_the_wrong_type_is_refused(given: Any, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        inputs_of(**given)


def test_an_int_may_go_where_a_float_is_wanted() -> None:
    assert inputs_of(number=count) == {"number": Use("count")}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q: search(), r"search\(query: str, limit: int = 5\) misses the argument 'query'"),  # type: ignore[call-arg]
        (lambda q: search(q, 1, 2), "takes 2 arguments by position, got 3"),  # type: ignore[call-arg]
        (lambda q: search(q, query=q), "got the argument 'query' twice"),  # type: ignore[misc]
        (lambda q: search(q, maximum=2), "has no parameter 'maximum'"),  # type: ignore[call-arg]
        (lambda q: summarise(), "misses the argument 'text'"),  # type: ignore[call-arg]
    ],
)
def test_arguments_that_do_not_fit_the_signature_are_refused(call: Any, message: str) -> None:
    def body(question: str) -> Any:
        return call(question)

    with pytest.raises(TraceError, match=message) as caught:
        workflow(body).trace()
    assert caught.value.__notes__ == ["in the workflow body"]


# --- names ---


def test_nodes_are_numbered_by_function_and_dodge_names_that_are_taken() -> None:
    @tool(effects="none")
    def search_2(query: str) -> str:
        return query

    @workflow
    def many(search: str) -> list[Any]:
        return [count(search), search_2(search), count(search), *(count(search) for _ in range(2))]

    assert [node.id for node in many.trace().graph.nodes] == [
        "search",
        "count",
        "search_2",
        "count_2",
        "count_3",
        "count_4",
    ]

    @workflow
    def clash(count: str) -> list[Any]:
        return [search("a"), search_2("a"), search("b"), measure.options(name="count")(count)]

    assert [node.id for node in clash.trace().graph.nodes] == [
        "count",
        "search",
        "search_2",
        "search_3",
        "count_2",
    ]


def test_two_functions_of_one_name_are_refused() -> None:
    others: list[Any] = [summarise.options(name="search"), count.options(name="search")]
    for other in others:

        def body(question: str) -> list[Any]:
            return [search(question), other(question)]  # noqa: B023

        with pytest.raises(DefinitionError, match=r"two different functions are called 'search'"):
            workflow(body).trace()


def test_a_tool_with_other_options_needs_another_name() -> None:
    def body(question: str) -> list[Any]:
        return [search(question), search.options(retries=0)(question)]

    with pytest.raises(DefinitionError, match=r"rename one with `.options\(name=...\)`"):
        workflow(body).trace()

    def named(question: str) -> list[Any]:
        return [search(question), search.options(name="once", retries=0)(question)]

    graph = workflow(named).trace().graph
    assert [node.id for node in graph.nodes] == ["question", "search", "once"]
    assert set(graph.tools) == {"search", "once"}

    def same(question: str) -> list[Any]:
        return [search.options(retries=0)(question), search.options(retries=0)(question)]

    assert [node.id for node in workflow(same).trace().graph.nodes][1:] == ["search", "search_2"]


# --- output ---


def test_a_workflow_may_return_any_expression() -> None:
    @workflow
    def mixed(question: str) -> dict[str, list[str]]:
        return {"found": search(question), "asked": [question, f"{question}!", "x"]}

    assert mixed.trace().graph.output == Fields(
        (
            ("found", Use("search")),
            (
                "asked",
                Items(
                    (
                        Use("question"),
                        Template((Slot(Use("question")), Text("!"))),
                        Const("x"),
                    )
                ),
            ),
        )
    )

    @workflow
    def constant() -> Point:
        return Point(x=3)

    assert constant.trace().graph.output == Const({"x": 3, "label": ""})
    assert constant.trace().bindings.output.annotation is Point


def test_what_a_workflow_returns_must_fit_its_annotation() -> None:
    @workflow
    def wrong(question: str) -> int:
        return search(question)  # type: ignore[return-value]

    with pytest.raises(TraceError, match=r"wrong: the return value must be int, got search"):
        wrong.trace()

    @workflow
    def nothing(question: str) -> str:  # type: ignore[return]
        search(question)

    with pytest.raises(SchemaError, match=r"nothing: the return value: expected str.*got None"):
        nothing.trace()


def test_async_functions_and_generators_are_no_workflows() -> None:
    async def slow(question: str) -> str:
        return question

    def stream(question: str) -> Any:
        yield question

    with pytest.raises(DefinitionError, match="slow: a workflow is a plain `def`"):
        workflow(slow)
    with pytest.raises(DefinitionError, match="stream: a generator cannot be a workflow"):
        workflow(stream)


def test_building_a_model_from_a_symbolic_value_says_what_to_do() -> None:
    @workflow
    def build(number: int) -> Point:
        return Point(x=number)

    with pytest.raises(
        TraceError, match=r"build: a Point cannot be built from number \(int\).*`@tool`"
    ):
        build.trace()

    @workflow
    def invalid(number: int) -> Point:
        return Point(x="one")  # type: ignore[arg-type]

    with pytest.raises(ValidationError):
        invalid.trace()


def test_what_python_itself_refuses_is_explained() -> None:
    @workflow
    def joined(question: str) -> str:
        return ", ".join([question])

    with pytest.raises(TraceError, match=r"joined: Python says: .*Ref found.*`@tool`"):
        joined.trace()

    @workflow
    def broken(question: str) -> str:
        return ", ".join([3])  # type: ignore[list-item]

    with pytest.raises(TypeError, match="int found"):
        broken.trace()


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda q: int(f"{q}"), "ValueError: invalid literal .*'question'"),
        (lambda q: {"a": 1}[f"{q}"], "KeyError: 'question'"),
        (lambda q: Point(x=f"{q}"), "a Point cannot be built from 'question'"),  # type: ignore[arg-type]
    ],
)
def test_what_python_refuses_of_a_text_with_a_symbolic_value_in_it_is_explained(
    use: Any, said: str
) -> None:
    def body(question: str) -> Any:
        return use(question)

    with pytest.raises(TraceError, match=rf"body: .*{said}.*`@tool`") as caught:
        workflow(body).trace()
    assert "#" not in str(caught.value)


def test_a_workflow_may_be_called_like_what_it_calls() -> None:
    graph = workflow(name="search")(find_passages).trace().graph
    assert (graph.name, [node.id for node in graph.nodes]) == ("search", ["question", "search"])


def find_passages(question: str) -> list[str]:
    return search(question)


def test_an_exception_of_the_workflow_s_own_code_comes_through() -> None:
    @workflow
    def broken(question: str) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken.trace()
    assert_nothing_is_being_traced()


def assert_nothing_is_being_traced() -> None:
    assert count("abc") == 3


# --- nesting ---


@workflow
def research(question: str, style: str = "short") -> str:
    found = search(question)
    return summarise(f"{style}: {found}")


def test_a_workflow_in_a_workflow_becomes_part_of_it() -> None:
    @workflow
    def outer(question: str) -> str:
        first = research(question)
        second = research("why?", style=first)
        return join([first, second])

    graph = outer.trace().graph
    assert [node.id for node in graph.nodes] == [
        "question",
        "research.search",
        "research.summarise",
        "research_2.search",
        "research_2.summarise",
        "join",
    ]
    second = graph.by_id["research_2.summarise"]
    assert isinstance(second, LLMNode)
    assert second.prompt.user == Template(
        (
            Text("Summarise: "),
            Slot(Use("research.summarise")),
            Text(": "),
            Slot(Use("research_2.search")),
        )
    )
    search_again = graph.by_id["research_2.search"]
    assert isinstance(search_again, ToolNode)
    assert search_again.inputs == (("query", Const("why?")),)
    join_node = graph.by_id["join"]
    assert isinstance(join_node, ToolNode)
    assert join_node.inputs == (
        ("parts", Items((Use("research.summarise"), Use("research_2.summarise")))),
    )


def test_workflows_nest_in_depth() -> None:
    @workflow
    def middle(question: str) -> str:
        return research(research(question))

    @workflow
    def outer(question: str) -> str:
        return middle(question)

    assert [node.id for node in outer.trace().graph.nodes][1:] == [
        "middle.research.search",
        "middle.research.summarise",
        "middle.research_2.search",
        "middle.research_2.summarise",
    ]


def test_constants_given_to_an_inner_workflow_are_symbolic_there_too() -> None:
    @workflow
    def inner(flag: bool) -> str:
        return "yes" if flag else "no"

    @workflow
    def outer() -> str:
        return inner(True)

    for traced in (inner, outer):
        with pytest.raises(TraceError, match="used as a condition"):
            traced.trace()


def test_an_inner_workflow_checks_its_arguments_and_its_result() -> None:
    @workflow
    def outer(question: str) -> str:
        return research(3)  # type: ignore[arg-type]

    with pytest.raises(SchemaError, match="research: the argument 'question': expected str"):
        outer.trace()


def test_a_workflow_that_calls_itself_is_refused() -> None:
    @workflow
    def forever(question: str) -> str:
        return forever(question)

    with pytest.raises(DefinitionError, match=r"forever calls itself.*`loop"):
        forever.trace()

    @workflow
    def ping(question: str) -> str:
        return pong(question)

    @workflow
    def pong(question: str) -> str:
        return ping(question)

    with pytest.raises(DefinitionError, match="calls itself"):
        ping.trace()


def test_what_goes_deeper_than_python_can_follow_is_refused() -> None:
    def forever(text: str) -> str:
        return forever(summarise(text))

    def circular(text: str) -> str:
        items: list[Any] = [text]
        items.append(items)
        return sink(anything=items)

    def deep(text: str) -> Any:
        value: Any = text
        for _ in range(5000):
            value = [value]
        return value

    for body in (forever, circular, deep):
        with pytest.raises(DefinitionError, match=rf"{body.__name__} goes deeper than.*`loop\("):
            workflow(body).trace()
    assert_nothing_is_being_traced()


def test_outside_a_workflow_a_call_says_how_to_run_it() -> None:
    with pytest.raises(DefinitionError, match=r"use agentrt.run\(research, ...\)"):
        research("x")


# --- static parameters ---


@workflow(static=("n_drafts",))
def drafts(topic: str, n_drafts: int = 2) -> list[str]:
    return [summarise(f"{topic} {index}") for index in range(n_drafts)]


def test_static_parameters_are_real_values_and_no_inputs() -> None:
    graph = drafts.trace({"n_drafts": 3}).graph
    assert graph.nodes[0] == InputNode(id="topic", schema={"type": "string"})
    assert [node.id for node in graph.nodes[1:]] == ["summarise", "summarise_2", "summarise_3"]
    assert len(drafts.trace().graph.nodes) == 3
    assert drafts.trace({"n_drafts": 3}) is drafts.trace({"n_drafts": 3})
    assert drafts.trace() is drafts.trace({"n_drafts": 2})
    assert drafts.trace().graph.hash != drafts.trace({"n_drafts": 3}).graph.hash


def test_binding_tells_static_arguments_from_the_others() -> None:
    bound = drafts.bind("sky", n_drafts=1)
    assert bound.arguments == {"topic": "sky"}
    assert bound.static == {"n_drafts": 1}
    assert bound.input_json() == {"topic": "sky", "n_drafts": 1}
    assert bound.traced is drafts.trace({"n_drafts": 1})


def test_static_arguments_inside_another_workflow_must_be_constants() -> None:
    @workflow
    def outer(topic: str) -> list[str]:
        return drafts(topic, n_drafts=3)

    assert len(outer.trace().graph.nodes) == 4

    @workflow
    def symbolic(n: int) -> list[str]:
        return drafts("x", n)

    with pytest.raises(TraceError, match="drafts: 'n_drafts' is static"):
        symbolic.trace()


def test_static_names_must_be_parameters() -> None:
    with pytest.raises(DefinitionError, match="static='n' is no parameter"):
        workflow(static=("n",))(research.function)
    with pytest.raises(InputError, match="unknown: n"):
        drafts.trace({"n": 3})
    with pytest.raises(InputError, match="static argument: expected int"):
        drafts.trace({"n_drafts": "3"})


# --- binding ---


@workflow
def typed(point: Point, colour: Colour = Colour.RED, limit: float | None = None) -> str:
    return sink(point=point, colour=colour)


def test_binding_checks_arguments_and_fills_in_defaults() -> None:
    bound = typed.bind(Point(x=1))
    assert bound.arguments == {"point": Point(x=1), "colour": Colour.RED, "limit": None}
    assert bound.input_json() == {
        "point": {"x": 1, "label": ""},
        "colour": "red",
        "limit": None,
    }
    assert typed.bind_json(bound.input_json()).arguments == bound.arguments
    assert bound.workflow is typed
    assert bound.traced.graph.nodes[1] == InputNode(
        id="colour",
        schema={"enum": ["red"], "title": "Colour", "type": "string"},
        is_required=False,
        default="red",
    )
    assert set(bound.traced.bindings.inputs) == {"point", "colour", "limit"}


def test_what_is_done_to_a_default_is_not_there_the_next_time() -> None:
    @workflow
    def marked(point: Point = Point(x=1)) -> Point:  # noqa: B008  a default that can be changed
        return point

    marked.bind().arguments["point"].label = "seen"
    assert marked.bind().arguments == {"point": Point(x=1)}

    @workflow(static=("names",))
    def grown(names: list[str] = ["a"]) -> list[str]:  # noqa: B006  likewise
        names.append("b")
        return [*names]

    assert grown.trace().graph.output == Const(["a", "b"])
    assert grown.bind().input_json() == {"names": ["a"]}


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "misses the argument 'point'"),
        ((Point(x=1),), {"color": "red"}, "has no parameter 'color'"),
        ((Point(x=1),) * 4, {}, "takes 3 arguments by position, got 4"),
        ((3,), {}, "typed: the argument 'point': expected Point"),
        ((Point(x=1),), {"limit": "1"}, "typed: the argument 'limit'"),
        ((Point(x=1),), {"colour": "blue"}, "typed: the argument 'colour'.*'red'"),
    ],
)
def test_input_that_does_not_fit_is_refused(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        typed.bind(*args, **kwargs)


def test_json_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="typed: the argument 'point': expected Point: x: "):
        typed.bind_json({"point": {"x": "one"}})


def test_a_trace_is_made_once() -> None:
    calls: list[int] = []

    @workflow
    def counted(question: str) -> str:
        calls.append(1)
        return question

    assert counted.bind("a").traced is counted.bind("b").traced
    assert calls == [1]


def test_options_rename_a_workflow() -> None:
    renamed = research.options(name="study")
    assert renamed.trace().graph.name == "study"
    assert research.trace().graph.name == "research"
    with pytest.raises(DefinitionError, match="None cannot be a name in a graph"):
        research.options(name=None)  # type: ignore[arg-type]
