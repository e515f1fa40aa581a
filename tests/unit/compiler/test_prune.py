"""Pruning: what has no reader and no effect goes; everything else stays."""

from __future__ import annotations

import pytest

from agentrt.compiler.passes.prune import Prune, has_write_effects
from agentrt.errors import GraphError
from agentrt.ir.expression import Const, Expression, Items, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, BranchNode, LoopNode, MapNode, Node
from agentrt.ir.prompt import PromptTemplate
from tests.unit.ir.sample_graphs import (
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

Q = parameter("q")


def _agent(node_id: str, *tools: str) -> Node:
    prompt = PromptTemplate(template("Do ", Use("q")))
    return AgentNode(id=node_id, function="a", prompt=prompt, output=TEXT, tools=tools)


def _map(node_id: str, inner: Graph) -> Node:
    return MapNode(id=node_id, mapped=("x",), inputs=(("x", Use("q")),), body=inner)


def _branch(node_id: str, then: Graph) -> Node:
    otherwise = body(output=Const(None))
    return BranchNode(id=node_id, condition=Const(True), then=then, otherwise=otherwise)


def _loop(node_id: str, step: Graph) -> Node:
    until = body(parameter("x"), output=Const(True))
    return LoopNode(id=node_id, state="x", initial=Use("q"), step=step, until=until, max_steps=2)


READING = body(parameter("x"), search("found", Use("x")))
WRITING = body(parameter("x"), save("done", Use("x")))


def _left(*nodes: Node, output: Expression | None = None) -> list[str]:
    before = graph(Q, *nodes, output=output or Use("q"))
    after = Prune().run(before)
    after.lint()
    Prune().ensures(before, after)
    return [node_id for node_id, _ in after.walk()]


@pytest.mark.parametrize(
    "node",
    [
        search("n", Use("q")),
        llm("n", "Say ", Use("q")),
        _agent("n"),
        _agent("n", "search"),
        _map("n", READING),
        _loop("n", READING),
        _branch("n", body(search("found", Const("x")))),
    ],
    ids=["tool", "llm", "agent", "agent with tools", "map", "loop", "branch"],
)
def test_what_nobody_reads_goes(node: Node) -> None:
    assert _left(node) == ["q"]


@pytest.mark.parametrize(
    "node",
    [
        save("n", Use("q")),
        _agent("n", "search", "save"),
        _map("n", WRITING),
        _loop("n", WRITING),
        _branch("n", body(save("done", Const("x")))),
        _branch("n", body(_branch("deep", body(save("done", Const("x")))))),
    ],
    ids=["tool", "agent", "map", "loop", "branch", "branch in a branch"],
)
def test_what_writes_stays(node: Node) -> None:
    before = graph(Q, node, output=Use("q"))
    assert Prune().run(before) is before


def test_what_a_write_reads_stays() -> None:
    nodes = (search("a", Use("q")), search("b", Use("a")), save("w", Use("b")))
    assert _left(*nodes) == ["q", "a", "b", "w"]


def test_a_chain_that_ends_nowhere_goes_whole_and_what_it_shares_stays() -> None:
    nodes = (search("a", Use("q")), search("b", Use("a")), search("c", Use("b")))
    assert _left(*nodes, output=Items((Use("a"),))) == ["q", "a"]


def test_parameters_stay_even_when_nobody_reads_them() -> None:
    assert _left(parameter("unread"), output=Const(1)) == ["q", "unread"]


def test_bodies_are_pruned_and_their_parameters_stay() -> None:
    inner = body(
        parameter("x"),
        search("unread", Use("x")),
        save("done", Use("x")),
        llm("used", Use("x")),
    )
    assert _left(_map("m", inner), output=Use("m")) == ["q", "m", "m.x", "m.done", "m.used"]
    assert _left(_loop("l", inner), output=Use("l")) == [
        *("q", "l", "l.step.x", "l.step.done", "l.step.used", "l.until.x")
    ]


def test_an_unused_branch_is_kept_for_its_write_and_pruned_inside() -> None:
    then = body(search("found", Const("x")), save("done", Const("y")), output=Const(None))
    assert _left(_branch("b", then)) == ["q", "b", "b.then.done"]


def test_effects_are_found_at_any_depth() -> None:
    found = {
        node_id: has_write_effects(node, every_kind().tools)
        for node_id, node in every_kind().walk()
        if "." not in node_id
    }
    assert {node_id for node_id, writes in found.items() if writes} == {"fix", "kept"}


def test_the_summary_names_what_went() -> None:
    before = graph(Q, *(search(f"s{i}", Use("q")) for i in range(7)), output=Use("q"))
    assert (
        Prune().summarise(before, Prune().run(before))
        == "removed 7 nodes nobody reads: s0, s1, s2, s3, s4 and 2 more; "
        "saves 7 tool calls a run"
    )
    assert Prune().summarise(before, before) == "every node is used"


def test_pruning_a_write_would_be_noticed() -> None:
    before = graph(Q, save("w", Use("q")), output=Use("q"))
    with pytest.raises(GraphError, match=r"removed calls with write effects: \['w'\]"):
        Prune().ensures(before, graph(Q, output=Use("q")))


def test_pruning_a_parameter_would_be_noticed() -> None:
    before = graph(Q, output=Const(1))
    with pytest.raises(GraphError, match="changed the output or the parameters"):
        Prune().ensures(before, graph(output=Const(1)))
