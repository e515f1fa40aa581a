"""Priorities: what the most waits for goes first, by durations where they are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentrt.compiler.passes.priorities import Priorities
from agentrt.compiler.pipeline import compile_graph
from agentrt.errors import GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.expression import Const, Items, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import BranchNode, LoopNode, MapNode
from tests.unit.ir.sample_graphs import SAVE, SEARCH, body, graph, llm, parameter, search

Q = parameter("q")


def _precedences(before: Graph, estimates: WorkEstimates | None = None) -> dict[str, float]:
    plan = compile_graph(
        before, passes=(), node_passes=[Priorities()], estimates=estimates or WorkEstimates()
    )
    return {node_id: round(each.precedence, 3) for node_id, each in plan.nodes.items()}


def test_a_node_counts_the_longest_chain_behind_it() -> None:
    before = graph(
        Q,
        search("short", Use("q")),
        search("a", Use("q")),
        llm("b", Use("a")),
        llm("c", Use("b"), Use("short")),
    )
    assert _precedences(before) == {"q": 3, "short": 2, "a": 3, "b": 2, "c": 1}


def test_what_waits_for_a_region_waits_for_all_that_is_in_it() -> None:
    inner = body(parameter("x"), search("found", Use("x")), llm("told", Use("found")))
    until = body(parameter("x"), search("check", Use("x")))
    before = graph(
        Q,
        MapNode(id="m", mapped=("x",), inputs=(("x", Use("q")),), body=inner),
        LoopNode(id="l", state="x", initial=Use("m"), step=inner, until=until, max_steps=3),
        BranchNode(
            id="b", condition=Use("l"), then=inner, otherwise=body(output=Const(1)),
            inputs=(("x", Use("q")),),
        ),
    )  # fmt: skip
    assert _precedences(before) == {
        "q": 7, "m": 7, "m.x": 7, "m.found": 7, "m.told": 6,
        "l": 5, "l.step.x": 5, "l.step.found": 5, "l.step.told": 4,
        "l.until.x": 3, "l.until.check": 3,
        "b": 2, "b.then.x": 2, "b.then.found": 2, "b.then.told": 1,
    }  # fmt: skip


def test_durations_that_were_seen_count_in_seconds() -> None:
    estimates = WorkEstimates()
    for _ in range(200):
        estimates.observe("tool", "search", 10.0)
        estimates.observe("llm", "quick", 0.5)
    before = graph(Q, search("slow", Use("q")), llm("quick", Use("q")), output=Const(1))
    plan = compile_graph(before, passes=(), node_passes=[Priorities()], estimates=estimates)
    slow, quick = plan.nodes["slow"], plan.nodes["quick"]
    assert slow.remaining_s == slow.precedence == pytest.approx(10.0, rel=0.1)
    assert quick.remaining_s == quick.precedence == pytest.approx(0.5, rel=0.1)
    assert plan.passes[0].summary.startswith("the longest chain takes ")
    assert " s; " in plan.passes[0].summary


def test_nothing_is_known_in_seconds_before_anything_was_seen() -> None:
    plan = compile_graph(graph(Q, search("a", Use("q"))), passes=(), node_passes=[Priorities()])
    assert plan.nodes["a"].remaining_s is None


def test_the_summary_says_what_the_order_saves_where_little_goes_at_once() -> None:
    # Two short calls are written before the one that two more wait for.
    limited = {"search": replace(SEARCH, concurrency=1), "save": SAVE}
    before = graph(
        Q,
        search("x", Use("q")),
        search("y", Items((Use("q"),))),
        search("a", Const("first")),
        llm("b", Use("a")),
        llm("c", Use("b")),
        output=Items((Use("x"), Use("y"), Use("c"))),
    )
    before = replace(before, tools=limited)
    (report,) = compile_graph(before, passes=(), node_passes=[Priorities()]).passes
    assert report.summary == (
        "the longest chain takes 3 calls in a row; saves 2 of 5 where one LLM call goes at a time"
    )


def test_an_order_against_the_edges_would_be_noticed() -> None:
    before = graph(Q, search("a", Use("q")))
    nodes = compile_graph(before, passes=(), node_passes=[Priorities()]).nodes
    with pytest.raises(GraphError, match="'a' goes before 'q', which it reads"):
        Priorities().ensures(before, {**nodes, "q": replace(nodes["q"], precedence=0.5)})
    inner = body(parameter("x"), search("found", Use("x")), llm("told", Use("found")))
    mapped = graph(Q, MapNode(id="m", mapped=("x",), inputs=(("x", Use("q")),), body=inner))
    nodes = compile_graph(mapped, passes=(), node_passes=[Priorities()]).nodes
    noted = {**nodes, "m.found": replace(nodes["m.found"], precedence=0.5)}
    with pytest.raises(GraphError, match=r"'m\.told' goes before 'm\.found', which it reads"):
        Priorities().ensures(mapped, noted)
