"""Graphs and JSON: nothing is lost, nothing that is not a graph comes in."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.errors import GraphError
from agentrt.ir.graph import Graph
from agentrt.ir.node import BranchNode, LoopNode, MapNode, Node
from agentrt.ir.schema import canonical_json
from tests.property.graph_strategies import graphs, json_values


@settings(max_examples=100)
@given(graphs())
def test_a_graph_comes_back_from_json_text_as_it_was(graph: Graph) -> None:
    graph.lint()
    back = Graph.from_json(json.loads(json.dumps(graph.to_json())))
    assert back == graph
    assert [node.id for node in back.nodes] == [node.id for node in graph.nodes]
    assert back.hash == graph.hash
    assert back.to_json() == graph.to_json()


def _shuffled(graph: Graph, rng: random.Random) -> Graph:
    """The same content, everything that has no order in another one."""

    def inside(node: Node) -> Node:
        match node:
            case MapNode():
                return dataclasses.replace(node, body=_shuffled(node.body, rng))
            case BranchNode():
                return dataclasses.replace(
                    node,
                    then=_shuffled(node.then, rng),
                    otherwise=_shuffled(node.otherwise, rng),
                )
            case LoopNode():
                return dataclasses.replace(
                    node, step=_shuffled(node.step, rng), until=_shuffled(node.until, rng)
                )
            case _:
                return node

    nodes = [inside(node) for node in graph.nodes]
    rng.shuffle(nodes)
    tools = list(graph.tools.items())
    rng.shuffle(tools)
    return Graph(graph.name, tuple(nodes), graph.output, dict(tools))


@settings(max_examples=100)
@given(graphs(), st.integers())
def test_the_hash_does_not_depend_on_the_order_of_nodes_and_tools(graph: Graph, seed: int) -> None:
    other = _shuffled(graph, random.Random(seed))
    other.lint()
    assert other.hash == graph.hash
    assert other.to_json(is_ordered=False) == graph.to_json(is_ordered=False)


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON document."""
    found: list[tuple[Any, Any]] = []
    waiting = [data]
    while waiting:
        container = waiting.pop()
        keys = container.keys() if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append((container, key))
            if isinstance(container[key], (dict, list)):
                waiting.append(container[key])
    return found


def _mutate(draw: Any, document: Any) -> None:
    container, key = draw(st.sampled_from(_places(document)))
    match draw(st.sampled_from(["replace", "delete", "copy", "add"])):
        case "replace":
            container[key] = draw(json_values)
        case "delete":
            del container[key]
        case "copy":
            other, other_key = draw(st.sampled_from(_places(document)))
            container[key] = copy.deepcopy(other[other_key])
        case _:
            if isinstance(container, dict):
                container[draw(st.text(max_size=5))] = draw(json_values)
            else:
                container.append(draw(json_values))


@settings(max_examples=300)
@given(st.data())
def test_a_changed_document_is_refused_or_is_another_sound_graph(data: st.DataObject) -> None:
    graph = data.draw(graphs(max_nodes=3, depth=1))
    document = graph.to_json()
    changed = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        if _places(changed):
            _mutate(data.draw, changed)
    try:
        read = Graph.from_json(changed)
    except GraphError:
        return
    read.lint()
    # Nothing in a document is ignored: other content, another hash.
    canonical = canonical_json(read.to_json(is_ordered=False))
    is_same = canonical == canonical_json(graph.to_json(is_ordered=False))
    assert (read.hash == graph.hash) is is_same


@settings(max_examples=100)
@given(json_values | st.dictionaries(st.text(max_size=8), json_values))
def test_garbage_is_no_graph(garbage: Any) -> None:
    for data in (garbage, {"format": 1, "name": "n", "nodes": garbage, "output": garbage}):
        try:
            Graph.from_json(data)
        except GraphError:
            continue
        raise AssertionError(f"{data!r} was taken for a graph")
