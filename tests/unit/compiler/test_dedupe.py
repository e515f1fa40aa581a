"""Deduping: calls that nothing can tell apart are made once; whatever may differ stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentrt.compiler.passes.dedupe import Dedupe
from agentrt.errors import GraphError
from agentrt.ir.expression import Const, Expression, Items, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, BranchNode, LLMOptions, LoopNode, MapNode, Node
from agentrt.ir.prompt import PromptTemplate
from tests.unit.ir.sample_graphs import (
    SAVE,
    SEARCH,
    TEXT,
    body,
    graph,
    llm,
    parameter,
    save,
    search,
    template,
)

Q = parameter("q")


def _ids(before: Graph) -> list[str]:
    after = Dedupe().run(before)
    after.lint()
    Dedupe().ensures(before, after)
    assert Dedupe().run(after) is after
    return [node_id for node_id, _ in after.walk()]


def _greedy(node_id: str, *parts: str | Expression) -> Node:
    asked = llm("ask", *parts)
    return replace(asked, id=node_id, options=LLMOptions(temperature=0))


def test_the_second_of_two_equal_reads_goes_and_its_readers_read_the_first() -> None:
    before = graph(
        Q, search("a", Use("q")), search("b", Use("q")), llm("c", Use("a"), Use("b", ("x",)))
    )
    after = Dedupe().run(before)
    assert after == graph(Q, search("a", Use("q")), llm("c", Use("a"), Use("a", ("x",))))


def test_chains_of_equal_calls_go_as_wholes() -> None:
    before = graph(
        Q,
        search("a1", Use("q")),
        search("a2", Use("a1")),
        search("b1", Use("q")),
        search("b2", Use("b1")),
        output=Items((Use("a2"), Use("b2"))),
    )
    assert _ids(before) == ["q", "a1", "a2"]
    assert Dedupe().run(before).output == Items((Use("a2"), Use("a2")))


def test_the_first_stays_however_the_nodes_are_ordered() -> None:
    before = graph(search("b", Use("a")), search("a", Use("q")), search("c", Use("q")), Q)
    assert _ids(before) == ["b", "a", "q"]


def test_writes_are_made_as_often_as_they_are_written_down() -> None:
    assert _ids(graph(Q, save("a", Use("q")), save("b", Use("q")))) == ["q", "a", "b"]


def test_a_tool_that_says_it_differs_each_time_is_called_each_time() -> None:
    same = graph(Q, search("a", Use("q")), search("b", Use("q")))
    die = replace(same, tools={"search": replace(SEARCH, is_deterministic=False), "save": SAVE})
    assert _ids(same) == ["q", "a"]
    assert _ids(die) == ["q", "a", "b"]


@pytest.mark.parametrize(("temperature", "left"), [(0, 1), (0.0, 1), (0.1, 2), (None, 2)])
def test_llm_calls_are_one_only_at_temperature_0(temperature: float | None, left: int) -> None:
    options = LLMOptions(temperature=temperature, seed=7)
    nodes = [replace(llm("ask", "Hi ", Use("q")), id=each, options=options) for each in "ab"]
    assert len(_ids(graph(Q, *nodes))) == 1 + left


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), (0, False), ({"a": 1, "b": 2}, {"b": 2, "a": 1})]
)
def test_what_prompts_show_differently_is_different(one: object, other: object) -> None:
    assert one == other
    before = graph(Q, _greedy("a", Const(one)), _greedy("b", Const(other)))
    assert _ids(before) == ["q", "a", "b"]


def test_an_agent_is_asked_as_often_as_it_is_written_down() -> None:
    prompt = PromptTemplate(template("Do ", Use("q")))
    agents = [
        AgentNode(
            id=each, function="a", prompt=prompt, output=TEXT, options=LLMOptions(temperature=0)
        )
        for each in "ab"
    ]
    assert _ids(graph(Q, *agents)) == ["q", "a", "b"]


def test_equal_regions_are_one_if_all_inside_is_deterministic() -> None:
    reading = body(parameter("x"), search("found", Use("x")))
    writing = body(parameter("x"), save("done", Use("x")))

    def two(inner: Graph) -> Graph:
        return graph(
            Q,
            *(MapNode(id=e, mapped=("x",), inputs=(("x", Use("q")),), body=inner) for e in "ab"),
        )

    assert _ids(two(reading)) == ["q", "a", "a.x", "a.found"]
    assert _ids(two(writing)) == ["q", "a", "a.x", "a.done", "b", "b.x", "b.done"]


def test_bodies_are_deduped_inside_and_not_with_what_is_around_them() -> None:
    twice = body(parameter("x"), search("s", Use("x")), search("t", Use("x")))
    until = body(parameter("x"), output=Const(True))
    before = graph(
        Q,
        search("s", Use("q")),
        BranchNode(
            id="b", condition=Const(True), then=twice, otherwise=twice, inputs=(("x", Use("q")),)
        ),
        LoopNode(id="l", state="x", initial=Use("b"), step=twice, until=until, max_steps=2),
        output=Items((Use("s"), Use("l"))),
    )
    assert _ids(before) == [
        "q", "s", "b", "b.then.x", "b.then.s", "b.otherwise.x", "b.otherwise.s",
        "l", "l.step.x", "l.step.s", "l.until.x",
    ]  # fmt: skip


def test_the_summary_says_what_is_saved() -> None:
    before = graph(
        Q,
        search("a", Use("q")),
        search("b", Use("q")),
        _greedy("c", "Sum up in eight words: ", Use("a")),
        _greedy("d", "Sum up in eight words: ", Use("b")),
        output=Items((Use("c"), Use("d"))),
    )
    told = Dedupe().summarise(before, Dedupe().run(before))
    assert told == (
        "removed 2 nodes that an earlier one does: b, d; "
        "saves 1 tool call and 1 LLM call (5 prompt tokens or more) a run"
    )
    assert Dedupe().summarise(before, before) == "no call is made twice"


def test_a_result_that_lacks_a_call_which_may_differ_is_refused() -> None:
    before = graph(Q, save("a", Use("q")))
    with pytest.raises(GraphError, match="'a', which may differ each time"):
        Dedupe().ensures(before, graph(Q))
