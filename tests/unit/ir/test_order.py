"""Orders of nodes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agentrt.errors import GraphError
from agentrt.ir.expression import Const, Items, Use
from agentrt.ir.order import depths, heights, is_in_order, topological_order
from tests.unit.ir.sample_graphs import graph, parameter, search


def test_definition_order_is_kept_where_it_is_topological() -> None:
    in_order = graph(parameter("q"), search("b", Use("q")), search("a", Use("b")))
    assert is_in_order(in_order)
    assert topological_order(in_order) == ("q", "b", "a")


def test_elsewhere_nodes_come_as_early_in_definition_order_as_their_inputs_allow() -> None:
    mixed = graph(
        search("last", Items((Use("z"), Use("a")))),
        search("z", Use("q")),
        search("free", Const("x")),
        search("a", Use("q")),
        parameter("q"),
    )
    assert not is_in_order(mixed)
    assert topological_order(mixed) == ("free", "q", "z", "a", "last")
    assert depths(mixed) == {"free": 0, "q": 0, "z": 1, "a": 1, "last": 2}
    assert heights(mixed) == {"last": 1, "z": 2, "free": 1, "a": 2, "q": 3}


def test_only_the_cycle_is_named_and_not_what_hangs_on_it() -> None:
    tangled = graph(
        search("before", Const("x")),
        search("a", Items((Use("before"), Use("b")))),
        search("b", Use("a")),
        search("after", Use("b")),
    )
    with pytest.raises(GraphError, match=r"^graph 'sample' has a cycle: a -> b -> a$"):
        topological_order(tangled)


WITHOUT_NETWORKX = """
import sys
from agentrt.compiler.pipeline import compile_graph
from tests.unit.ir.sample_graphs import every_kind
graph = every_kind()
graph.lint()
graph.from_json(graph.to_json())
compile_graph(graph)
print("networkx" in sys.modules)
"""


def test_a_traced_graph_is_checked_hashed_and_planned_without_loading_networkx() -> None:
    printed = subprocess.run(  # noqa: S603  this interpreter, our own text
        [sys.executable, "-c", WITHOUT_NETWORKX], capture_output=True, text=True, check=True
    )
    assert printed.stdout == "False\n"
