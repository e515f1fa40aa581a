"""Leader first: which calls begin alike and are ready together, and what waiting for one saves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentrt.compiler.passes.leader_first import LEAST_CHARS, LeaderFirst
from agentrt.compiler.passes.priorities import Priorities
from agentrt.compiler.pipeline import compile_graph
from agentrt.errors import GraphError
from agentrt.ir.expression import Const, Expression, Items, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import BranchNode, LLMNode, LLMOptions, MapNode
from agentrt.ir.plan import FanOut, Plan
from agentrt.ir.prompt import PromptTemplate
from agentrt.runtime.prompt_chains import BLOCK_CHARACTERS
from agentrt.scheduler.followers import LEAST_BLOCKS
from tests.unit.ir.sample_graphs import body, graph, llm, parameter, search, template

Q = parameter("q")
LONG = "Rules. " * 200  # 1,400 characters
ASK = "As asked: "


def _plan(before: Graph) -> Plan:
    return compile_graph(before, passes=(), node_passes=[Priorities(), LeaderFirst()])


def _fans(before: Graph) -> dict[str, FanOut]:
    nodes = _plan(before).nodes
    return {node_id: each.fan_out for node_id, each in nodes.items() if each.fan_out is not None}


def _map(items: Expression, *parts: str | Expression) -> MapNode:
    inner = body(parameter("x"), parameter("q"), llm("each", *parts, system=LONG))
    return MapNode(id="m", mapped=("x",), inputs=(("x", items), ("q", Use("q"))), body=inner)


def test_the_least_is_what_the_scheduler_waits_for() -> None:
    assert LEAST_CHARS == LEAST_BLOCKS * BLOCK_CHARACTERS


def test_siblings_that_begin_alike_have_one_leader_that_the_most_waits_for() -> None:
    before = graph(
        Q,
        llm("a", ASK, Use("q"), system=LONG),
        llm("b", ASK, Use("q"), " why?", system=LONG),
        llm("other", "What? ", Use("q"), system="Else. " + LONG),
        llm("after", Use("b"), system=LONG),
    )
    fan = FanOut("b", len(LONG) + len(ASK), has_values=True)
    assert _fans(before) == {"a": fan, "b": fan}


def test_siblings_may_begin_with_a_value_that_is_long_enough() -> None:
    before = graph(
        Q,
        llm("risks", Use("q"), " Which risks?"),
        llm("costs", Use("q"), " Which costs?"),
        llm("gaps", Use("q"), " Which gaps?"),
        llm("other", Use("q", ("title",)), " Of what is it?"),
        output=Items((Use("risks"), Use("costs"), Use("gaps"), Use("other"))),
    )
    fan = FanOut("risks", len(" Which "), has_values=True)
    assert _fans(before) == dict.fromkeys(("risks", "costs", "gaps"), fan)
    assert _plan(before).passes[-1].summary == (
        "one goes first of: risks costs gaps; saves computing 3 prompt tokens a run and what risks "
        "costs gaps has of other values, where nothing is cached"
    )


def test_a_constant_is_text_and_no_value() -> None:
    inner = body(parameter("x"), llm("each", Const(LONG), Use("x")))
    before = graph(Q, MapNode(id="m", mapped=("x",), inputs=(("x", Use("q")),), body=inner))
    assert _fans(before) == {"m.each": FanOut("each", len(LONG))}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # A user message is not the beginning of a system message.
        (llm("a", LONG), llm("b", Use("q"), system=LONG)),
        (llm("a", LONG[:-1]), replace(llm("b", LONG[:-1]), output={"type": "integer"})),
        (
            replace(llm("a"), prompt=PromptTemplate(template("b"), context=(template("Rules"),))),
            replace(llm("b"), prompt=PromptTemplate(template("sb"), context=(template("Rule"),))),
        ),
    ],
)
def test_texts_at_different_places_are_no_common_beginning(one: LLMNode, other: LLMNode) -> None:
    assert _fans(graph(Q, one, other)) == {}


def test_so_many_siblings_and_none_alike_are_told_apart_at_once() -> None:
    wide = [llm(f"n{i}", Use("q"), system=f"{i} {LONG}") for i in range(10_000)]
    assert _fans(graph(Q, *wide, llm("last", Use("q"), system=f"7 {LONG}"))).keys() == {
        "n7",
        "last",
    }


def test_other_models_compute_for_themselves() -> None:
    small = replace(llm("b", Use("q"), system=LONG), options=LLMOptions(tier="small"))
    assert _fans(graph(Q, llm("a", Use("q"), system=LONG), small)) == {}


def test_answers_of_another_form_are_asked_for_after_the_system_message() -> None:
    typed = replace(llm("b", ASK, Use("q"), system=LONG), output={"type": "integer"})
    before = graph(Q, llm("a", ASK, Use("q"), system=LONG), typed)
    assert _fans(before)["a"] == FanOut("a", len(LONG))


def test_the_instances_of_a_map_begin_alike_up_to_what_differs() -> None:
    fans = _fans(graph(Q, _map(Use("q"), "For ", Use("q"), ": ", Use("x"), " and on")))
    assert fans == {"m.each": FanOut("each", len(LONG) + len("For : "), has_values=True)}


def test_a_value_that_all_instances_are_given_may_be_long_enough() -> None:
    each = llm("each", Use("q"), " Is it so? ", Use("x"))
    items = ("x", Const(["a", "b"]))
    inner = body(parameter("x"), parameter("q"), each)
    before = graph(Q, MapNode(id="m", mapped=("x",), inputs=(items, ("q", Use("q"))), body=inner))
    plan = _plan(before)
    fan = FanOut("each", len(" Is it so? "), has_values=True)
    assert plan.nodes["m.each"].fan_out == fan
    assert plan.passes[-1].summary == (
        "one goes first of: each m.each; saves computing 2 prompt tokens a run and what m.each has of "
        "other values, where nothing is cached"
    )


def test_a_value_after_what_differs_is_no_beginning() -> None:
    inner = body(parameter("x"), parameter("q"), llm("each", Use("x"), Use("q")))
    given = (("x", Use("q")), ("q", Use("q")))
    assert _fans(graph(Q, MapNode(id="m", mapped=("x",), inputs=given, body=inner))) == {}


def test_calls_deeper_in_a_map_begin_alike_too() -> None:
    side = body(parameter("q"), parameter("x"), llm("each", Use("q"), " Is it so? ", Use("x")))
    given = (("q", Use("q")), ("x", Use("x")))
    branch = BranchNode(id="b", condition=Const(True), then=side, otherwise=side, inputs=given)
    inner = body(parameter("q"), parameter("x"), branch)
    items = (("x", Const(["a", "b"])), ("q", Use("q")))
    fan = FanOut("each", len(" Is it so? "), has_values=True)
    assert _fans(graph(Q, MapNode(id="m", mapped=("x",), inputs=items, body=inner))) == {
        "m.b.then.each": fan,
        "m.b.otherwise.each": fan,
    }


def test_the_items_of_a_map_in_a_map_have_the_outer_item_in_common() -> None:
    each = body(parameter("y"), parameter("x"), llm("each", Use("x"), " Is it so? ", Use("y")))
    inputs = (("y", Use("x", ("parts",))), ("x", Use("x")))
    inner = body(parameter("x"), MapNode(id="n", mapped=("y",), inputs=inputs, body=each))
    before = graph(Q, MapNode(id="m", mapped=("x",), inputs=(("x", Use("q")),), body=inner))
    assert _fans(before) == {
        "m.n.each": FanOut("each", len(" Is it so? "), has_values=True),
    }


def test_what_another_node_of_the_body_gives_differs_too() -> None:
    inner = body(parameter("x"), search("found", Use("x")), llm("each", "See ", Use("found"), LONG))
    before = graph(Q, MapNode(id="m", mapped=("x",), inputs=(("x", Use("q")),), body=inner))
    assert _fans(before) == {}


@pytest.mark.parametrize(
    ("items", "told"),
    [
        (Const(["a", "b", "c"]), "saves computing 700 prompt tokens a run"),
        (Use("q"), "saves computing 350 for each further item"),
    ],
)
def test_the_summary_says_how_many_tokens(items: Expression, told: str) -> None:
    report = _plan(graph(Q, _map(items, Use("x")))).passes[-1]
    assert report.summary == f"one goes first of: each m.each; {told}, where nothing is cached"


def test_nothing_is_waited_for_in_vain() -> None:
    plan = _plan(graph(Q, llm("a", "Hi ", Use("q")), llm("b", "Ho ", Use("q"))))
    assert plan.passes[-1].summary == (
        "no calls begin with as much in common as is worth waiting for"
    )
    fan = replace(plan.nodes["q"], fan_out=FanOut("q", LEAST_CHARS))
    with pytest.raises(GraphError, match="'q' has no prompt"):
        LeaderFirst().ensures(plan.graph, {**plan.nodes, "q": fan})
    lost = replace(plan.nodes["a"], fan_out=FanOut("gone", LEAST_CHARS))
    with pytest.raises(GraphError, match="'a' would wait for 'gone', which is no node"):
        LeaderFirst().ensures(plan.graph, {**plan.nodes, "a": lost})
