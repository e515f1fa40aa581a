"""`.map`: one body, its inputs, and what is refused."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.errors import DefinitionError, SchemaError, TraceError
from agentrt.ir.expression import Const, Items, Slot, Template, Text, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import InputNode, LLMNode, MapNode, Node, ToolNode
from agentrt.ir.prompt import Prompt, PromptTemplate

TEXT = {"type": "string"}


class Plan(BaseModel):
    queries: list[str]


@tool(effects="none")
def search(query: str, limit: int = 5) -> list[str]:
    return [query] * limit


@tool(effects="none")
def plan(question: str) -> Plan:
    return Plan(queries=[question])


@tool(effects="none")
def anything() -> Any:
    return None


@tool(effects="none")
def pair() -> tuple[str, int]:
    return "", 1


@llm
def answer(question: str, passage: str, style: str) -> Prompt[str]:
    return Prompt(f"{question} {passage}", system=f"Be {style}.")


@workflow
def research(question: str) -> str:
    return answer(question, f"{search(question)}", "short")


def last(function: Any) -> Node:
    return workflow(function).trace().graph.nodes[-1]


def test_a_map_is_a_node_with_the_call_as_its_body() -> None:
    def body(question: str) -> list[list[str]]:
        return search.map(plan(question).queries)

    assert last(body) == MapNode(
        id="search",
        body=Graph(
            "search",
            (
                InputNode(id="query", schema=TEXT),
                ToolNode(id="search", tool="search", inputs=(("query", Use("query")),)),
            ),
            Use("search"),
        ),
        mapped=("query",),
        inputs=(("query", Use("plan", ("queries",))),),
    )


def test_the_value_of_a_map_is_a_list_of_what_the_function_gives() -> None:
    def body(question: str) -> list[list[str]]:
        found = search.map(plan(question).queries)
        return search.map(found[0])

    assert [node.id for node in workflow(body).trace().graph.nodes] == [
        "question",
        "plan",
        "search",
        "search_2",
    ]


def test_constant_arguments_by_name_are_in_the_body_and_symbolic_ones_are_inputs() -> None:
    def body(question: str, style: str, passages: list[str]) -> list[str]:
        return answer.map(passages, [question], style=f"very {style}", passage="p")  # type: ignore[call-overload, no-any-return]

    with pytest.raises(TraceError, match="got the argument 'passage' twice"):
        last(body)

    def right(question: str, style: str, passages: list[str]) -> list[str]:
        return answer.map(passages, passage="p", style=f"very {style} {question}")

    node = last(right)
    assert isinstance(node, MapNode)
    assert node.mapped == ("question",)
    assert node.inputs == (
        ("question", Use("passages")),
        ("style", Use("style")),
        ("question_2", Use("question")),
    )
    inner = node.body.nodes[-1]
    assert isinstance(inner, LLMNode)
    assert inner.prompt == PromptTemplate(
        Template((Slot(Use("question")), Text(" p"))),
        Template(
            (Text("Be very "), Slot(Use("style")), Text(" "), Slot(Use("question_2")), Text("."))
        ),
    )


def test_further_lists_fill_further_parameters_item_by_item() -> None:
    def body(question: str, limits: list[int]) -> list[list[str]]:
        return search.map([question, "b", f"<{question}>"], limits)

    node = last(body)
    assert isinstance(node, MapNode)
    assert node.mapped == ("query", "limit")
    assert node.inputs == (
        (
            "query",
            Items(
                (
                    Use("question"),
                    Const("b"),
                    Template((Text("<"), Slot(Use("question")), Text(">"))),
                )
            ),
        ),
        ("limit", Use("limits")),
    )


def test_either_of_two_lists_may_be_mapped() -> None:
    @tool(effects="none")
    def either() -> list[Literal["a"]] | tuple[str, ...]:
        return []

    @tool(effects="none")
    def wrong() -> list[str] | str:
        return []

    def body() -> Any:
        return search.map(either())  # type: ignore[arg-type]

    node = last(body)
    assert isinstance(node, MapNode)
    assert node.inputs == (("query", Use("either")),)

    def refused() -> Any:
        return search.map(wrong())  # type: ignore[arg-type]

    with pytest.raises(TraceError, match="must be a list of str, got wrong"):
        last(refused)


def test_constant_lists_and_unchecked_values_may_be_mapped() -> None:
    def body() -> list[Any]:
        return [search.map([]), search.map(("a", "b")), search.map(anything())]

    nodes = workflow(body).trace().graph.nodes
    sources = [dict(node.inputs)["query"] for node in nodes if isinstance(node, MapNode)]
    assert sources == [Const([]), Const(["a", "b"]), Use("anything")]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (search.map, r"search.map: the argument 'query' must be a list of str, got q"),
        (lambda q: search.map("abc"), "must be a list of str, got a str"),  # type: ignore[call-overload]
        (lambda q: search.map(f"{q}"), "must be a list of str, got a str"),  # type: ignore[call-overload]
        (lambda q: search.map({"a": q}), "must be a list of str, got a dict"),  # type: ignore[call-overload]
        (lambda q: search.map([q, search(q)]), r"'query'\[1\] must be str, got search"),  # type: ignore[list-item]
        (lambda q: search.map(search.map([q])), r"must be .*\[str\], got search \(list\[list"),  # type: ignore[arg-type]
        (lambda q: search.map(pair()), r"got pair \(tuple\[str, int\]\)"),  # type: ignore[arg-type]
        (lambda q: search.map(), "the list of items is missing"),  # type: ignore[call-overload]
        (lambda q: search.map([q], query=q), "got the argument 'query' twice"),
        (lambda q: search.map([q], [1, 2]), r"the lists differ in length \(query: 1, limit: 2\)"),
        (lambda q: search.map([q], maximum=1), "has no parameter 'maximum'"),
        (lambda q: answer.map([q]), "misses the arguments 'passage', 'style'"),
        (
            lambda q: search.map([q], limit=q),
            r"search.map: the argument 'limit' must be int, got question \(str\)",
        ),
    ],
)
def test_what_cannot_be_mapped_is_refused(call: Any, message: str) -> None:
    def body(question: str) -> list[Any]:
        return call(question)  # type: ignore[no-any-return]

    with pytest.raises(TraceError, match=message):
        last(body)


def test_constant_items_are_checked() -> None:
    def body() -> list[Any]:
        return search.map(["a", 2])  # type: ignore[list-item]

    with pytest.raises(SchemaError, match=r"the argument 'query': expected list\[str\]: 1: "):
        last(body)


def test_outside_a_workflow_map_says_what_to_do() -> None:
    with pytest.raises(
        DefinitionError, match=r"search.map can only be called inside a `@workflow`"
    ):
        search.map(["a"])


def test_a_workflow_is_mapped_with_its_nodes_in_the_body() -> None:
    def body(questions: list[str]) -> list[str]:
        return research.map(questions)

    node = last(body)
    assert isinstance(node, MapNode)
    assert node.id == "research"
    assert [inner.id for inner in node.body.nodes] == ["question", "search", "answer"]
    assert node.body.output == Use("answer")


def test_maps_nest_and_captures_pass_through() -> None:
    @workflow
    def inner(item: str, others: list[str]) -> list[list[str]]:
        return search.map(others, limit=2)

    def body(items: list[str], others: list[str]) -> list[list[list[str]]]:
        return inner.map(items, others=others)

    node = last(body)
    assert isinstance(node, MapNode)
    assert node.inputs == (("item", Use("items")), ("others", Use("others")))
    assert [each.id for each in node.body.nodes] == ["item", "others", "search"]
    nested = node.body.nodes[-1]
    assert isinstance(nested, MapNode)
    assert nested.inputs == (("query", Use("others")),)
    assert [each.id for each in nested.body.nodes] == ["query", "search"]


def test_an_agent_is_mapped_and_brings_its_tools() -> None:
    @agent(tools=[search])
    def fix(issue: str) -> Prompt[str]:
        return Prompt(issue)

    def body(issues: list[str]) -> list[str]:
        return fix.map(issues)

    traced = workflow(body).trace()
    assert set(traced.bindings.tools) == {"search"}
    assert set(traced.graph.tools) == {"search"}
    assert all(node.body.tools == {} for node in traced.graph.nodes if isinstance(node, MapNode))


def test_static_parameters_can_be_fixed_but_not_mapped() -> None:
    @llm(static=("n",))
    def many(topic: str, n: int) -> Prompt[str]:
        return Prompt(topic * 1 if n < 0 else f"{topic} {n}")

    def body(topics: list[str]) -> list[str]:
        return many.map(topics, n=3)

    node = last(body)
    assert isinstance(node, MapNode)
    assert node.mapped == ("topic",)

    def wrong(topics: list[str]) -> list[str]:
        return many.map(topics, [1, 2])

    with pytest.raises(TraceError, match="'n' is static; give it by name"):
        last(wrong)
