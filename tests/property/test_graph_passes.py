"""Every pass, on random graphs: it keeps what counts, and doing it again changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.compiler.analysis import node_plans
from agentrt.compiler.base import NodePass, Pass
from agentrt.compiler.passes.dedupe import Dedupe, is_deterministic
from agentrt.compiler.passes.priorities import Priorities
from agentrt.compiler.passes.prune import Prune, has_write_effects
from agentrt.compiler.pipeline import DEFAULT_NODE_PASSES, DEFAULT_PASSES, compile_graph
from agentrt.compiler.text import plan_to_text
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.expression import Items, Use, rewrite_uses
from agentrt.ir.graph import Graph
from agentrt.ir.node import InputNode
from tests.property.graph_strategies import graphs


@pytest.mark.parametrize("each", DEFAULT_PASSES, ids=lambda each: each.name)
@settings(max_examples=100)
@given(graph=graphs())
def test_a_pass_done_twice_is_done_once(each: Pass, graph: Graph) -> None:
    once = each.run(graph)
    once.lint()
    each.ensures(graph, once)
    assert each.run(once) is once


@pytest.mark.parametrize("each", DEFAULT_NODE_PASSES, ids=lambda each: each.name)
@settings(max_examples=25)
@given(graph=graphs(), has_durations=st.booleans())
def test_noting_twice_is_noting_once(each: NodePass, graph: Graph, has_durations: bool) -> None:
    estimates = WorkEstimates()
    if has_durations:
        estimates.observe("tool", "t", 3.0)
    before = Priorities().note(graph, node_plans(graph), estimates)
    once = each.note(graph, before, estimates)
    each.ensures(graph, once)
    assert list(once) == list(before)
    assert each.note(graph, once, estimates) == once
    assert each.summarise(graph, once, estimates)


@settings(max_examples=100)
@given(graphs())
def test_pruning_keeps_exactly_what_is_read_or_writes(graph: Graph) -> None:
    plan = compile_graph(graph, passes=[Prune()])
    assert plan.source is graph
    left = plan.graph
    assert (left.output, left.inputs, left.tools) == (graph.output, graph.inputs, graph.tools)
    # In definition order, and nothing that is new.
    assert [node.id for node in left.nodes] == [n.id for n in graph.nodes if n.id in left.by_id]
    readers = left.readers()
    for node in left.nodes:
        is_needed = (
            isinstance(node, InputNode)
            or bool(readers[node.id])
            or node.id in left.output_uses
            or has_write_effects(node, left.tools)
        )
        assert is_needed, node.id
    for node in graph.nodes:
        if node.id not in left.by_id:
            assert not has_write_effects(node, graph.tools)


@settings(max_examples=100)
@given(graphs(), st.data())
def test_deduping_makes_each_copy_of_a_call_one(graph: Graph, data: st.DataObject) -> None:
    copied = [
        node
        for node in graph.nodes
        if is_deterministic(node, graph.tools) and data.draw(st.booleans())
    ]
    copies = {node.id: f"{node.id}.copy" for node in copied}  # no drawn id has a dot
    both = replace(
        graph,
        nodes=(*graph.nodes, *(replace(node, id=copies[node.id]) for node in copied)),
        output=Items((graph.output, rewrite_uses(graph.output, lambda use: _of(use, copies)))),
    )
    once = Dedupe().run(both)
    once.lint()
    Dedupe().ensures(both, once)
    known = Dedupe().run(graph)
    assert once == replace(known, output=Items((known.output, known.output)))


def _of(use: Use, copies: dict[str, str]) -> Use:
    return replace(use, node=copies.get(use.node, use.node))


@settings(max_examples=100)
@given(graphs())
def test_depths_and_heights_fit_the_edges(graph: Graph) -> None:
    plan = compile_graph(graph, passes=[])
    assert list(plan.nodes) == [node_id for node_id, _ in graph.walk()]
    readers = graph.readers()
    for node_id in graph.by_id:
        facts = plan.nodes[node_id]
        read = [plan.nodes[each].depth for each in graph.dependencies[node_id]]
        assert facts.depth == (1 + max(read) if read else 0)
        assert facts.height == 1 + max((plan.nodes[r].height for r in readers[node_id]), default=0)
    assert all(line.isprintable() for line in plan_to_text(plan).splitlines())
