"""What is kept for later calls of a run, and which items of a map go together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentrt.compiler.base import NodePass
from agentrt.compiler.passes.batch import Batch
from agentrt.compiler.passes.early_dispatch import EarlyDispatch
from agentrt.compiler.passes.priorities import Priorities
from agentrt.compiler.passes.retention import RetentionHints
from agentrt.compiler.passes.single_flight import SingleFlight
from agentrt.compiler.pipeline import compile_graph
from agentrt.errors import GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.expression import Const, Expression, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import BranchNode, LoopNode, MapNode, Node
from agentrt.ir.plan import Plan, Retention
from tests.unit.ir.sample_graphs import body, every_kind, graph, llm, parameter, search

Q = parameter("q")
RULES = "Answer from the passages only, and name the one that you have it from, by its number."


def _plan(before: Graph, *passes: NodePass, estimates: WorkEstimates | None = None) -> Plan:
    return compile_graph(before, passes=(), node_passes=passes, estimates=estimates)


def _map(inner: Graph, node_id: str = "m") -> MapNode:
    return MapNode(id=node_id, mapped=("x",), inputs=(("x", Use("q")),), body=inner)


def test_what_a_later_call_begins_with_is_needed_until_then() -> None:
    plan = _plan(
        graph(
            Q,
            llm("a", Use("q"), system=RULES),
            llm("b", Use("a"), system=RULES),
            llm("c", Use("b"), system=RULES),
            llm("else", Use("c"), system="Be brief."),
        ),
        RetentionHints(),
    )
    assert {node_id: each.retention for node_id, each in plan.nodes.items()} == {
        "q": None,
        "a": Retention(len(RULES), "b"),
        "b": Retention(len(RULES), "c"),
        "c": Retention(),
        "else": Retention(ends_run=True),
    }
    assert plan.nodes["c"].retention == Retention()
    assert Retention().is_last
    assert plan.passes[0].summary == (
        "2 of 4 prompts begin as a later one does; "
        "saves computing up to 42 prompt tokens a run again"
    )


def test_the_next_use_comes_after_what_is_between_as_long_as_that_takes() -> None:
    estimates = WorkEstimates()
    for _ in range(300):
        estimates.observe("tool", "search", 60.0)
        estimates.observe("llm", "a", 2.0)
        estimates.observe("llm", "b", 2.0)
    before = graph(
        Q, llm("a", Use("q"), system=RULES), search("s", Use("a")), llm("b", Use("s"), system=RULES)
    )
    retention = (
        _plan(before, Priorities(), RetentionHints(), estimates=estimates).nodes["a"].retention
    )
    assert retention is not None
    assert retention.next_use_s == pytest.approx(62.0, rel=0.1)


def test_in_a_loop_the_next_step_begins_as_this_one_does() -> None:
    step = body(parameter("x"), llm("again", Use("x"), system=RULES))
    until = body(parameter("x"), output=Const(True))
    loop = LoopNode(id="l", state="x", initial=Use("q"), step=step, until=until, max_steps=3)
    plan = _plan(graph(Q, loop), RetentionHints())
    assert plan.nodes["l.step.again"].retention == Retention(len(RULES), "l.step.again")


def test_a_prompt_that_differs_within_the_first_block_is_not_kept() -> None:
    before = graph(Q, llm("a", "A: ", Use("q")), llm("b", "A: ", Use("a")))
    plan = _plan(before, RetentionHints())
    assert plan.nodes["a"].retention == Retention()
    assert plan.passes[0].summary == (
        "0 of 2 prompts begin as a later one does; saves the room of what is not needed again"
    )


def _loop(step: Graph, **inputs: Expression) -> LoopNode:
    until = body(parameter("x"), output=Const(True))
    return LoopNode(
        id="l", state="x", initial=Use("q"), step=step, until=until, max_steps=3,
        inputs=tuple(inputs.items()),
    )  # fmt: skip


def _branch(then: Graph, otherwise: Graph) -> BranchNode:
    given = (("x", Use("x")),)
    return BranchNode(id="b", condition=Const(True), then=then, otherwise=otherwise, inputs=given)


READS = body(parameter("x"), llm("reads", Use("x"), system=RULES))
DENIES = body(parameter("x"), llm("denies", Use("x"), system=RULES))


def test_the_next_step_of_a_loop_takes_as_long_as_a_step() -> None:
    estimates = WorkEstimates()
    for _ in range(300):
        estimates.observe("tool", "search", 60.0)
        estimates.observe("llm", "again", 2.0)
    step = body(parameter("x"), llm("again", Use("x"), system=RULES), search("s", Use("again")))
    plan = _plan(graph(Q, _loop(step)), Priorities(), RetentionHints(), estimates=estimates)
    retention = plan.nodes["l.step.again"].retention
    assert retention is not None
    assert retention.next_use_s == pytest.approx(62.0, rel=0.1)


def test_the_sides_of_a_branch_in_a_loop_are_begun_again_in_the_next_step() -> None:
    step = body(parameter("x"), _branch(READS, DENIES))
    assert _retentions(graph(Q, _loop(step))) == {
        "l.step.b.then.reads": Retention(len(RULES), "l.step.b.then.reads"),
        "l.step.b.otherwise.denies": Retention(len(RULES), "l.step.b.otherwise.denies"),
    }


def test_one_side_of_a_branch_does_not_begin_as_the_other_that_is_not_run() -> None:
    inner = _branch(READS, DENIES)
    before = graph(parameter("x"), inner)
    assert set(_retentions(before).values()) == {Retention()}


def test_the_sides_of_a_branch_in_a_map_are_shared_with_other_items() -> None:
    inner = body(parameter("x"), _branch(READS, body(output=Const(1))))
    assert _retentions(graph(Q, _map(inner))) == {"m.b.then.reads": Retention(is_shared=True)}


def test_what_comes_after_a_region_may_begin_as_calls_in_it_do_and_the_other_way_round() -> None:
    before = graph(
        Q,
        llm("first", Use("q"), system=RULES),
        replace(_map(READS), inputs=(("x", Use("first")),)),
        llm("sum", Use("m"), system=RULES),
    )
    assert _retentions(before) == {
        "first": Retention(len(RULES), "m.reads"),
        "m.reads": Retention(len(RULES), "sum", is_shared=True),
        "sum": Retention(ends_run=True),
    }


def test_a_call_of_a_lesser_depth_may_come_later_unless_it_was_waited_for() -> None:
    before = graph(
        Q,
        search("s", Use("q")),
        llm("slow", Use("s"), system=RULES),
        search("t", Use("q")),
        search("u", Use("t")),
        llm("quick", Use("u"), system=RULES),
        llm("after", Use("quick"), system=RULES),
    )
    shared = {node_id: each.is_shared for node_id, each in _retentions(before).items()}
    assert shared == {"slow": False, "quick": True, "after": True}


def test_what_begins_with_a_value_that_a_later_call_begins_with_is_not_let_go() -> None:
    told = body(parameter("x"), parameter("book"), llm("told", Use("book"), " of ", Use("x")))
    before = graph(
        Q,
        llm("first", Use("q"), " What is it?"),
        llm("second", Use("q"), " And what of ", Use("first")),
        _loop(told, book=Use("q")),
        llm("other", "Else: ", Use("q"), Use("l"), Use("second")),
    )
    assert _retentions(before) == {
        "first": Retention(is_shared=True),
        "second": Retention(is_shared=True),
        "l.step.told": Retention(is_shared=True),
        "other": Retention(ends_run=True),
    }


def test_of_later_calls_the_one_that_has_most_in_common_says_how_much() -> None:
    before = graph(
        Q,
        llm("a", Use("q"), system=RULES + " And so on."),
        llm("b", Use("a"), system=RULES + " And not on."),
        llm("c", Use("b"), system=RULES + " Now."),
        llm("d", Use("c"), system=RULES + " And so forth."),
    )
    assert {
        each_id: (r.reused_chars, r.next_use) for each_id, r in _retentions(before).items()
    } == {
        "a": (len(RULES + " And so "), "b"),
        "b": (len(RULES + " And "), "c"),
        "c": (len(RULES + " "), "d"),
        "d": (0, ""),
    }


def test_of_ten_thousand_calls_in_a_row_each_begins_as_the_next_does() -> None:
    calls = [llm(f"n{i}", Use(f"n{i - 1}" if i else "q"), system=RULES) for i in range(10_000)]
    found = _retentions(graph(Q, *calls))
    assert found["n0"] == Retention(len(RULES), "n1")
    assert found["n9999"] == Retention(ends_run=True)


@pytest.mark.parametrize(
    ("inner", "by"),
    [
        (body(parameter("x"), llm("each", "Read ", Use("x"))), "each"),
        (body(parameter("x"), search("s", Use("x")), llm("each", Use("s"))), None),
        (body(parameter("x"), llm("same", "Hi"), search("s", Use("x"))), None),
    ],
)
def test_a_map_is_ordered_by_a_prompt_that_is_known_with_its_items(
    inner: Graph, by: str | None
) -> None:
    assert _plan(graph(Q, _map(inner)), Batch()).nodes["m"].ordered_by == by


def _retentions(before: Graph) -> dict[str, Retention]:
    nodes = _plan(before, RetentionHints()).nodes
    return {each_id: each.retention for each_id, each in nodes.items() if each.retention}


def test_siblings_and_instances_of_a_map_share_what_they_begin_with() -> None:
    inner = body(parameter("x"), llm("each", "Of all: ", Use("x"), system=RULES))
    before = graph(
        Q,
        llm("a", Use("q"), system=RULES),
        llm("b", Use("q"), " why?", system=RULES),
        llm("c", Use("q"), system="Else."),
        _map(inner),
    )
    shared = {node_id: each.is_shared for node_id, each in _retentions(before).items()}
    assert shared == {"a": True, "b": True, "c": False, "m.each": True}


def test_the_call_that_all_others_come_before_ends_the_run() -> None:
    inner = body(parameter("x"), llm("each", Use("x")))
    before = graph(Q, _map(inner), llm("sum", Use("m")), search("s", Use("sum")))
    assert [each_id for each_id, each in _retentions(before).items() if each.ends_run] == ["sum"]


@pytest.mark.parametrize(
    "beside",
    [
        llm("other", "Beside: ", Use("q")),
        MapNode(
            id="m",
            mapped=("x",),
            inputs=(("x", Use("q")),),
            body=body(parameter("x"), llm("each", Use("x"))),
        ),
    ],
)
def test_no_call_ends_a_run_while_another_may_be_under_way(beside: Node) -> None:
    before = graph(Q, beside, llm("sum", Use("q")))
    assert not any(each.ends_run for each in _retentions(before).values())


def test_early_tools_are_those_that_do_not_write() -> None:
    plan = _plan(every_kind(), EarlyDispatch())
    assert plan.nodes["fix"].early_tools == ("search",)
    assert plan.passes[0].summary == (
        "search start while the message is written; saves: unknown until it has run"
    )
    estimates = WorkEstimates()
    for _ in range(300):
        estimates.observe("tool", "search", 4.0)
    (report,) = _plan(every_kind(), EarlyDispatch(), estimates=estimates).passes
    assert report.summary.endswith("saves: up to 4 s a turn")


BROKEN: dict[str, tuple[NodePass, str, dict[str, Any], str]] = {
    "a write early": (
        EarlyDispatch(),
        "fix",
        {"early_tools": ("save",)},
        "would start 'save' early",
    ),
    "a shared write": (SingleFlight(), "kept", {"single_flight": ("save",)}, "would share calls"),
    "no prompt": (RetentionHints(), "kept", {"retention": Retention()}, "nothing else"),
    "no next use": (
        RetentionHints(),
        "plan",
        {"retention": Retention(80, "gone")},
        "'gone' cannot use it again",
    ),
    "an end before the end": (
        RetentionHints(),
        "plan",
        {"retention": Retention(80, "fix", ends_run=True)},
        "does not end the run",
    ),
    "no such node": (Batch(), "found", {"ordered_by": "x"}, "has no 'x' to be ordered by"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_note_that_cannot_be_is_noticed(case: str) -> None:
    each, node_id, wrong, message = BROKEN[case]
    before = every_kind()
    nodes = _plan(before, RetentionHints()).nodes
    noted = {**nodes, node_id: replace(nodes[node_id], **wrong)}
    with pytest.raises(GraphError, match=message):
        each.ensures(before, noted)


def test_a_graph_without_any_of_it_says_so() -> None:
    nodes: list[Node] = [Q, search("s", Use("q"))]
    plan = _plan(graph(*nodes), EarlyDispatch(), RetentionHints(), Batch())
    assert [(each.has_changed, each.summary) for each in plan.passes] == [
        (False, "no agent has a tool that may start before its message is whole"),
        (False, "no call has a prompt"),
        (False, "no map has its items in a prompt"),
    ]
