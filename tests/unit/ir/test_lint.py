"""Every rule of a graph refuses what breaks it, and says where and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentrt.errors import GraphError
from agentrt.ir.expression import Const, Expression, Fields, Items, Use
from agentrt.ir.graph import Graph
from agentrt.ir.lint_value import MAX_DEPTH, leads_nowhere
from agentrt.ir.node import (
    AgentNode,
    BranchNode,
    InputNode,
    LLMOptions,
    LoopNode,
    MapNode,
    Node,
)
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.tool import ToolSpec
from tests.unit.ir.sample_graphs import (
    SEARCH,
    TEXT,
    body,
    every_kind,
    graph,
    llm,
    parameter,
    save,
    search,
    template,
)


def test_a_graph_of_every_kind_of_node_lints() -> None:
    every_kind().lint()


def test_a_graph_of_no_nodes_that_returns_a_constant_lints() -> None:
    graph(output=Const([1, "two"])).lint()


def _map(**changes: Any) -> Node:
    inner = body(parameter("query"), search("found", Use("query")))
    node = MapNode(id="m", mapped=("query",), inputs=(("query", Use("q")),), body=inner)
    return replace(node, **changes)


def _loop(**changes: Any) -> Node:
    inner = body(parameter("state"), search("found", Use("state")))
    node = LoopNode(id="l", state="state", initial=Use("q"), step=inner, until=inner, max_steps=2)
    return replace(node, **changes)


def _branch(**changes: Any) -> Node:
    inner = body(parameter("a"), search("found", Use("a")))
    node = BranchNode(
        id="b", condition=Use("q"), then=inner, otherwise=inner, inputs=(("a", Use("q")),)
    )
    return replace(node, **changes)


def _agent(**changes: Any) -> Node:
    prompt = PromptTemplate(template("Do ", Use("q")))
    node = AgentNode(id="a", function="a", prompt=prompt, output=TEXT, tools=("search",))
    return replace(node, **changes)


def _nested(depth: int) -> Expression:
    value: Expression = Use("q")
    for _ in range(depth):
        value = Items((value,))
    return value


def _deep_json(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def _deep_branches(depth: int) -> Node:
    empty = inner = body(output=Const(0))
    for _ in range(depth):
        inner = body(BranchNode(id="b", condition=Const(True), then=inner, otherwise=empty))
    return inner.nodes[0]


Q = parameter("q")

BROKEN: dict[str, tuple[tuple[Node, ...], str]] = {
    "duplicate id": ((Q, Q), "'q': two nodes have this id"),
    "empty id": ((parameter(""),), "'top': an id must match"),
    "id with a space": ((parameter("a b"),), "'a b': an id must match"),
    "id that ends in a newline": ((parameter("a\n"),), "'a\\n': an id must match"),
    "id of other letters": ((parameter("größe"),), "'größe': an id must match"),
    "id like an instance": ((parameter("m[0]"),), "'m[0]': an id must match"),
    "id inside a branch": (
        (Q, _branch(), search("b.then.found", Use("q"))),
        "'b.then.found': such ids belong to what is inside 'b'",
    ),
    "unknown node": ((search("s", Use("x")),), "'s': it reads 'x', which is not in the graph"),
    "unknown node, deep inside": (
        (search("s", Items((Fields((("k", template("t", Use("x"))),)),))),),
        "'s': it reads 'x', which is not in the graph",
    ),
    "cycle": (
        (search("a", Use("c")), search("b", Use("a")), search("c", Use("b"))),
        "graph 'sample' has a cycle: a -> b -> c -> a",
    ),
    "reads itself": ((search("a", Use("a")),), "graph 'sample' has a cycle: a -> a"),
    "part of a text": (
        (Q, search("s", Use("q", ("title",)))),
        "'s': it reads q.title, but 'q' has no such part",
    ),
    "part of a tool's text": (
        (Q, search("s", Use("q")), search("t", Use("s", ("hits", 0)))),
        "'t': it reads s.hits[0], but 's' has no such part",
    ),
    "step that is no name": (
        (Q, search("s", Use("q", (True,)))),
        "'s': it reads True of 'q'; a step is a name or an index",
    ),
    "unknown tool": (
        (Q, replace(search("s", Use("q")), tool="find")),
        "'s': it calls tool 'find', which the graph does not have",
    ),
    "missing argument": (
        (replace(search("s", Const("")), inputs=()),),
        "'s': tool 'search' needs 'query', which the call does not give",
    ),
    "unknown argument": (
        (replace(search("s", Const("")), inputs=(("query", Const("")), ("k", Const(1)))),),
        "'s': tool 'search' has no parameter 'k'",
    ),
    "argument given twice": (
        (replace(search("s", Const("")), inputs=(("query", Const("")), ("query", Const("")))),),
        "'s': argument 'query' is given twice",
    ),
    "required input with a default": (
        (InputNode(id="q", schema=TEXT, default=""),),
        "'q': a required input has no default",
    ),
    "default that is not JSON": (
        (InputNode(id="q", schema=TEXT, is_required=False, default={1}),),
        "'q': its default: {1} is no JSON value",
    ),
    "schema that is not JSON": (
        (InputNode(id="q", schema={"enum": ("a",)}),),
        "'q': its schema: ('a',) is no JSON value",
    ),
    "infinite constant": ((search("s", Const(float("inf"))),), "'s': a constant: inf is no JSON"),
    "tuple as constant": ((search("s", Const((1,))),), "'s': a constant: (1,) is no JSON value"),
    "key that is no text": ((search("s", Const({1: 2})),), "'s': a constant: 1 is no text"),
    "lone surrogate": ((search("s", Const("\ud800")),), "'s': a constant: '\\ud800' has a lone"),
    "lone surrogate in a prompt": ((llm("l", "\ud800"),), "'l': its text: '\\ud800' has a lone"),
    "same key twice": (
        (search("s", Fields((("k", Const(1)), ("k", Const(2))))),),
        "'s': two values have the same key",
    ),
    "deep expression": (
        (Q, search("s", _nested(10_000))),
        f"'s': an expression nests deeper than {MAX_DEPTH} levels",
    ),
    "deep constant": (
        (search("s", Const(_deep_json(10_000))),),
        f"'s': a constant: it nests deeper than {MAX_DEPTH} levels",
    ),
    "deep bodies": ((_deep_branches(60),), f"bodies nest deeper than {MAX_DEPTH} levels"),
    "no tokens": (
        (replace(llm("l", "x"), options=LLMOptions(max_tokens=0)),),
        "'l': max_tokens must be at least 1, not 0",
    ),
    "negative retries": (
        (replace(llm("l", "x"), options=LLMOptions(retries=-1)),),
        "'l': retries must be at least 0, not -1",
    ),
    "temperature that is no number": (
        (replace(llm("l", "x"), options=LLMOptions(temperature=float("nan"))),),
        "'l': temperature must be at least 0, not nan",
    ),
    "no time": (
        (replace(llm("l", "x"), options=LLMOptions(timeout_s=0)),),
        "'l': timeout_s must be more than 0, not 0",
    ),
    "agent with an unknown tool": (
        (Q, _agent(tools=("find",))),
        "'a': it names tool 'find', which the graph does not have",
    ),
    "agent with a tool twice": (
        (Q, _agent(tools=("search", "search"))),
        "'a': tool 'search' is given twice",
    ),
    "agent without turns": ((Q, _agent(max_turns=0)), "'a': max_turns must be at least 1, not 0"),
    "agent without tokens": (
        (Q, _agent(max_total_tokens=0)),
        "'a': max_total_tokens must be at least 1, not 0",
    ),
    "agent without time": ((Q, _agent(timeout_s=-1)), "'a': timeout_s must be more than 0"),
    "map over nothing": ((Q, _map(mapped=())), "'m': a map iterates over at least one input"),
    "map over no input of its own": (
        (Q, _map(mapped=("query", "other"))),
        "'m': it maps over 'other', which is not one of its inputs",
    ),
    "map over an input twice": (
        (Q, _map(mapped=("query", "query"))),
        "'m': mapped input 'query' is given twice",
    ),
    "map whose body wants more": (
        (Q, _map(body=body(parameter("query"), parameter("k")))),
        "'m': the input 'k' of its body is given no value",
    ),
    "map whose body wants less": (
        (Q, _map(body=body(llm("x", "x")))),
        "'m': its body has no input 'query'",
    ),
    "input of a region twice": (
        (Q, _map(inputs=(("query", Use("q")), ("query", Use("q"))))),
        "'m': input 'query' is given twice",
    ),
    "function that is no text": (
        (replace(llm("x", "x"), function="\ud800"),),
        "'x': its function: '\\ud800' has a lone surrogate",
    ),
    "model that is no text": (
        (replace(llm("x", "x"), options=LLMOptions(model="\ud800")),),
        "'x': '\\ud800' has a lone surrogate",
    ),
    "stop that is no text": (
        (replace(llm("x", "x"), options=LLMOptions(stop=("a", "\ud800"))),),
        "'x': '\\ud800' has a lone surrogate",
    ),
    "number that cannot be written": (
        (search("s", Const([10**5000])),),
        "'s': a constant: a whole number has more digits than Python reads",
    ),
    "body with tools": (
        (Q, _map(body=replace(body(parameter("query")), tools={"search": SEARCH}))),
        "'m': a body has no tools; they belong to the whole graph",
    ),
    "name of a body": (
        (Q, _map(body=body(parameter("query"), name="\udcff"))),
        "'m': its name: '\\udcff' has a lone surrogate",
    ),
    "broken body": (
        (Q, _map(body=body(parameter("query"), search("found", Use("q"))))),
        "'m.found': it reads 'q', which is not in the graph",
    ),
    "broken body of a loop": (
        (Q, _loop(step=body(parameter("state"), search("found", Use("q"))))),
        "'l.step.found': it reads 'q', which is not in the graph",
    ),
    "output of a body": (
        (Q, _map(body=body(parameter("query"), output=Use("q")))),
        "'m.output': it reads 'q', which is not in the graph",
    ),
    "branch whose body wants more": (
        (Q, _branch(otherwise=body(parameter("c")))),
        "'b': the input 'c' of its otherwise is given no value",
    ),
    "loop without its state": (
        (Q, _loop(until=body(llm("x", "x")))),
        "'l': its until has no input 'state' for the state",
    ),
    "loop of no steps": ((Q, _loop(max_steps=0)), "'l': max_steps must be at least 1, not 0"),
    "loop with an input called like its state": (
        (Q, _loop(inputs=(("state", Use("q")),))),
        "'l': its state is called 'state', so an input cannot be",
    ),
    "loop whose body wants more": (
        (Q, _loop(step=body(parameter("state"), parameter("c")))),
        "'l': the input 'c' of its step is given no value",
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_lint_refuses(rule: str) -> None:
    nodes, message = BROKEN[rule]
    with pytest.raises(GraphError) as caught:
        graph(*nodes, output=Const(None)).lint()
    assert message in str(caught.value)


def test_the_output_reads_only_what_is_there() -> None:
    with pytest.raises(GraphError, match="'output': it reads 'x', which is not in the graph"):
        graph(Q, output=Items((Use("q"), Use("x")))).lint()


TOOLS: dict[str, tuple[str, ToolSpec, str]] = {
    "another name": ("find", SEARCH, "tool 'search': it is listed as 'find'"),
    "no name": ("", ToolSpec(name=""), "a tool needs a name"),
    "properties": ("t", ToolSpec(name="t", parameters={"properties": []}), "are no object"),
    "required": ("t", ToolSpec(name="t", parameters={"required": [1]}), "is no list of names"),
    "schema": ("t", ToolSpec(name="t", output={"x": {1}}), "its schema: {1} is no JSON value"),
    "timeout": ("t", ToolSpec(name="t", timeout_s=0), "timeout_s must be more than 0, not 0"),
    "retries": ("t", ToolSpec(name="t", retries=-1), "retries must be at least 0, not -1"),
    "concurrency": ("t", ToolSpec(name="t", concurrency=0), "concurrency must be at least 1"),
    "size": ("t", ToolSpec(name="t", max_output_bytes=0), "max_output_bytes must be at least 1"),
    "effects": (
        "t",
        ToolSpec(name="t", effects="delete"),  # type: ignore[arg-type]  # the point of it
        "its effects are none, read or write, not 'delete'",
    ),
}


@pytest.mark.parametrize("rule", TOOLS)
def test_lint_refuses_a_tool_with_wrong(rule: str) -> None:
    name, spec, message = TOOLS[rule]
    with pytest.raises(GraphError) as caught:
        Graph("sample", (), Const(None), {name: spec}).lint()
    assert message in str(caught.value)


def test_a_tool_may_be_open_for_any_argument() -> None:
    spec = ToolSpec(name="search", parameters={"type": "object", "additionalProperties": True})
    Graph("sample", (Q, search("s", Use("q"))), Use("s"), {"search": spec}).lint()


def test_nodes_may_come_in_any_order() -> None:
    graph(search("c", Use("b")), search("b", Use("q")), Q).lint()


def test_an_inlined_workflow_may_have_the_name_of_another_region() -> None:
    # Instances of a map are called `m[0].found`, so `m.found` is free.
    graph(Q, _map(), search("m.found", Use("q"))).lint()


def test_expressions_and_bodies_may_nest_as_deep_as_the_limit() -> None:
    deep = graph(
        Q,
        search("s", _nested(MAX_DEPTH)),
        search("c", Const(_deep_json(MAX_DEPTH))),
        _deep_branches(MAX_DEPTH),
        save("kept", Use("s")),
    )
    deep.lint()
    assert Graph.from_json(deep.to_json()) == deep
    assert len(deep.hash) == 64


MANY = 100_000
"""What looks at nodes again for each of its nodes takes hours for as many."""


def test_a_long_chain_lints_in_any_order_of_its_nodes() -> None:
    links = [search(f"n{at}", Use(f"n{at - 1}")) for at in range(1, MANY)]
    chain = graph(parameter("n0"), *links)
    chain.lint()
    graph(*reversed(chain.nodes)).lint()


def test_a_cycle_behind_many_nodes_is_found_and_told_in_a_line() -> None:
    roots = [parameter(f"r{at}") for at in range(1000)]
    chain = [search("c0", Items(tuple(Use(root.id) for root in roots)))]
    chain += [search(f"c{at}", Use(f"c{at - 1}")) for at in range(1, MANY // 2)]
    ring = [search(f"x{at}", Use(f"x{at - 1}")) for at in range(1, MANY // 2)]
    tangled = graph(*roots, *chain, search("x0", Use(f"x{len(ring)}")), *ring)
    with pytest.raises(
        GraphError, match=r"x0 -> x1 -> .* -> \(49981 more\) -> .* -> x0$"
    ) as caught:
        tangled.lint()
    assert len(str(caught.value)) < 500


def test_an_id_of_many_parts_is_looked_at_once() -> None:
    dotted = "a" + ".a" * MANY * 10
    graph(Q, parameter(dotted), _branch()).lint()
    with pytest.raises(GraphError, match="such ids belong to what is inside"):
        graph(Q, _branch(id=dotted), parameter(f"{dotted}.then"), _branch()).lint()


def test_a_message_is_short_whatever_the_names() -> None:
    name = "a" * MANY
    node = replace(search(name, Use(name * 2)), tool=name * 3)
    for wrong in (
        graph(node),
        replace(graph(node), name=name, tools={}),
        graph(Q, search(name, Use(name * 2))),
    ):
        with pytest.raises(GraphError) as caught:
            wrong.lint()
        assert len(str(caught.value)) < 2000


def test_an_agent_may_be_shown_very_many_tools() -> None:
    names = tuple(f"t{at}" for at in range(MANY // 2))
    tools = {name: ToolSpec(name=name) for name in names}
    node = _agent(tools=names, shown_tools=tuple(reversed(names)))
    Graph("sample", (Q, node), Use("a"), tools).lint()


def test_a_cycle_in_a_body_is_named() -> None:
    inner = body(parameter("query"), search("a", Use("b")), search("b", Use("a")))
    with pytest.raises(GraphError, match="graph 'inner' has a cycle: a -> b -> a"):
        graph(Q, _map(body=inner)).lint()


@pytest.mark.parametrize(
    ("schema", "path", "expected"),
    [
        ({"type": "string"}, ("a",), True),
        ({"type": "string"}, (0,), False),
        ({"type": "integer"}, (0,), True),
        ({"type": "string", "format": "date"}, ("year",), False),
        ({"type": "string", "enum": ["a"]}, ("value",), False),
        ({"type": "object", "properties": {"a": {"type": "null"}}}, ("a",), False),
        ({"type": "object", "properties": {"a": {"type": "null"}}}, ("a", "b"), True),
        ({"type": "object", "properties": {}}, ("computed",), False),
        ({"type": "array", "items": {"type": "number"}}, (0, 0), True),
        ({"anyOf": [{"type": "string"}]}, ("a",), False),
        ({"$ref": "#/$defs/A"}, ("a",), False),
        ({"type": ["string", "null"]}, ("a",), False),
        ({"properties": 5}, ("a",), False),
        ({}, ("a",), False),
        ({"type": "string"}, (), False),
    ],
)
def test_a_path_leads_nowhere_only_where_that_is_sure(
    schema: Any, path: Any, expected: bool
) -> None:
    assert leads_nowhere(schema, path) is expected
