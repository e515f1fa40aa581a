"""The pipeline: passes in order, linted after each, and blamed when they break something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agentrt.compiler.passes.prune import Prune
from agentrt.compiler.pipeline import compile_graph
from agentrt.errors import CompileError, GraphError
from agentrt.ir.expression import Const, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import MapNode, Node
from agentrt.ir.plan import NodePlan, PassReport
from tests.unit.ir.sample_graphs import body, every_kind, graph, llm, parameter, save, search


class Rewrite:
    """A pass that does what it is told, right or wrong."""

    def __init__(self, name: str, change: Callable[[Graph], Graph]) -> None:
        self.name = name
        self._change = change

    def requires(self, graph: Graph) -> None:
        if graph.name == "unfit":
            raise GraphError("cannot work on this")

    def run(self, graph: Graph) -> Graph:
        return self._change(graph)

    def ensures(self, before: Graph, after: Graph) -> None:
        if after.name == "broken promise":
            raise GraphError("the name was to stay")

    def summarise(self, before: Graph, after: Graph) -> str:
        return f"{before.name} to {after.name}"


CHAIN = graph(parameter("q"), search("a", Use("q")), llm("b", "Sum up: ", Use("a")))


def test_passes_run_in_order_and_each_sees_the_result_of_the_one_before() -> None:
    passes = [
        Rewrite("one", lambda g: replace(g, name="first")),
        Rewrite("two", lambda g: g),
        Rewrite("three", lambda g: replace(g, name="third")),
    ]
    plan = compile_graph(CHAIN, passes=passes, node_passes=())
    assert plan.source is CHAIN
    assert plan.graph == replace(CHAIN, name="third")
    assert plan.passes == (
        PassReport("one", has_changed=True, summary="sample to first"),
        PassReport("two", has_changed=False, summary="first to first"),
        PassReport("three", has_changed=True, summary="first to third"),
    )


def test_a_pass_can_be_left_out_by_name() -> None:
    unread = graph(parameter("q"), search("a", Use("q")), output=Use("q"))
    assert compile_graph(unread).graph.by_id.keys() == {"q"}
    plan = compile_graph(unread, passes=[Prune()], node_passes=(), without=["prune"])
    assert (plan.graph, plan.passes) == (unread, ())


def test_leaving_out_what_is_no_pass_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no such pass: prun; there are: .*\bprune\b"):
        compile_graph(CHAIN, without=["prun"])


def _mapped(*inner: Node) -> MapNode:
    over = body(parameter("x"), search("each", Use("x")), *inner)
    return MapNode(id="m", mapped=("x",), inputs=(("x", Use("b")),), body=over)


MAPPED = replace(CHAIN, nodes=(*CHAIN.nodes, _mapped()))

BAD: dict[str, tuple[Callable[[Graph], Graph], str]] = {
    "leaves a dangling edge": (
        lambda g: replace(g, nodes=g.nodes[1:]),
        "pass 'bad' on graph 'sample': graph 'sample', 'a': it reads 'q', which is not in",
    ),
    "adds a node": (
        lambda g: replace(g, nodes=(*g.nodes, search("new", Const("x")))),
        "nodes came out that did not go in: new",
    ),
    "adds a node to a body": (
        lambda g: replace(g, nodes=(*g.nodes[:-1], _mapped(search("new", Const("x"))))),
        "nodes came out that did not go in: m.new",
    ),
    "breaks its promise": (
        lambda g: replace(g, name="broken promise"),
        "pass 'bad' on graph 'sample': the name was to stay",
    ),
    "crashes": (lambda g: replace(g, nodes=(g.nodes[99],)), "tuple index out of range"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_pass_is_named_when_it(how: str) -> None:
    change, message = BAD[how]
    with pytest.raises(CompileError) as caught:
        compile_graph(MAPPED, passes=[Rewrite("good", lambda g: g), Rewrite("bad", change)])
    assert "pass 'bad'" in str(caught.value)
    assert message in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_pass_is_named_when_it_cannot_work_on_the_graph() -> None:
    with pytest.raises(CompileError, match="pass 'one' on graph 'unfit': cannot work on this"):
        compile_graph(replace(CHAIN, name="unfit"), passes=[Rewrite("one", lambda g: g)])


def test_a_plan_knows_each_node_that_is_left() -> None:
    nodes = compile_graph(
        graph(
            parameter("q"),
            search("a", Use("q")),
            search("unread", Use("q")),
            llm("b", "Sum up: ", Use("a"), system="Be brief."),
            save("kept", Const("x")),
            output=Use("b"),
        ),
        node_passes=(),
    ).nodes
    assert nodes == {
        "q": NodePlan(depth=0, height=3),
        "a": NodePlan(depth=1, height=2),
        "b": NodePlan(depth=2, height=1, static_prefix_chars=len("Be brief.Sum up: ")),
        "kept": NodePlan(depth=0, height=1),
    }


def test_a_graph_in_which_every_node_is_used_stays_the_same_object() -> None:
    before = every_kind()
    assert compile_graph(before, passes=[Prune()]).graph is before


def test_a_graph_without_nodes_compiles() -> None:
    empty = graph(output=Const(1))
    plan = compile_graph(empty)
    assert (plan.graph, plan.nodes) == (empty, {})
