"""What later calls begin with, on random graphs: as comparing every call with every other says."""

from __future__ import annotations

from typing import Any

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.compiler.analysis import node_plans
from agentrt.compiler.reuse import LEAST_CHARS, Reuse, reuses
from agentrt.compiler.shared_prefix import Beginning, beginning_of, common
from agentrt.ir.expression import Const, Expression, Use
from agentrt.ir.graph import Graph
from agentrt.ir.node import BranchNode, LLMNode, LoopNode, MapNode, Node
from tests.unit.ir.sample_graphs import body, graph, llm, parameter, search

RULES = "Answer from the passages only, and name the one that you have it from, by its number."
SYSTEMS = st.sampled_from(
    [None, "Be brief.", RULES, RULES + " Now.", RULES + " Never.", "!" + RULES]
)
TEXTS = st.sampled_from(["", "Of ", RULES, RULES[:30]])


@st.composite
def _nodes(draw: Any, *, depth: int) -> list[Node]:
    found: list[Node] = []
    known = ["q"]
    for number in range(draw(st.integers(1, 5))):
        node_id = f"n{number}"
        read = Use(draw(st.sampled_from(known)))
        kinds = ["llm", "llm", "llm", "tool"] + (["map", "loop", "branch"] if depth else [])
        inputs: tuple[tuple[str, Expression], ...] = (("q", read), ("x", Use("q")))
        match draw(st.sampled_from(kinds)):
            case "llm":
                node: Node = llm(node_id, draw(TEXTS), read, draw(TEXTS), system=draw(SYSTEMS))
            case "tool":
                node = search(node_id, read)
            case "map":
                node = MapNode(
                    id=node_id, mapped=("x",), inputs=inputs, body=draw(_bodies(depth=depth - 1))
                )
            case "loop":
                until = body(parameter("x"), parameter("q"), output=Const(True))
                node = LoopNode(
                    id=node_id, state="x", initial=read, step=draw(_bodies(depth=depth - 1)),
                    until=until, max_steps=2, inputs=(("q", read),),
                )  # fmt: skip
            case _:
                node = BranchNode(
                    id=node_id, condition=Const(True), inputs=inputs,
                    then=draw(_bodies(depth=depth - 1)), otherwise=draw(_bodies(depth=depth - 1)),
                )  # fmt: skip
        found.append(node)
        known.append(node_id)
    return found


def _bodies(*, depth: int) -> Any:
    return _nodes(depth=depth).map(lambda nodes: body(parameter("x"), parameter("q"), *nodes))


@settings(max_examples=200)
@given(_nodes(depth=0))
def test_calls_of_one_graph_are_compared_as_if_all_with_all(nodes: list[Node]) -> None:
    flat = graph(parameter("q"), *nodes)
    plans = node_plans(flat)
    begins = {n.id: beginning_of(n) for n in flat.nodes if isinstance(n, LLMNode)}
    for found in reuses(flat, plans):
        later = [other for other in begins if plans[other].depth > plans[found.full_id].depth]
        extents = {other: common(begins[found.full_id], begins[other]) for other in later}
        most = max((extent.chars for extent in extents.values()), default=0)
        assert found.chars == (most if most >= LEAST_CHARS else 0)
        assert bool(found.next_id) == bool(found.chars)
        beside = begins.keys() - nx.ancestors(flat.networkx, found.full_id) - set(later)
        alike = [other for other in beside - {found.full_id} if _are_alike(begins, found, other)]
        has_values = any(extent.has_values for extent in extents.values())
        assert found.is_shared == (bool(alike) or has_values)


def _are_alike(begins: dict[str, Beginning], found: Reuse, other: str) -> bool:
    extent = common(begins[found.full_id], begins[other])
    return extent.chars >= LEAST_CHARS or extent.has_values


@settings(max_examples=200)
@given(_nodes(depth=2))
def test_no_call_whose_beginning_is_sent_again_is_let_go(nodes: list[Node]) -> None:
    nested = graph(parameter("q"), *nodes)
    found = {each.full_id: each for each in reuses(nested, node_plans(nested))}
    sent = _unrolled(nested, "")
    for at, (node_id, begins) in enumerate(sent):
        is_needed = any(_shared(begins, later) >= LEAST_CHARS for _, later in sent[at + 1 :])
        if is_needed:
            assert found[node_id].chars or found[node_id].is_shared, node_id


def _shared(one: str, other: str) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def _unrolled(scope: Graph, prefix: str) -> list[tuple[str, str]]:
    """Every call of one run in which each node goes after those it reads, twice what repeats.

    Values that are not known are left out: only what is written down is compared.
    """
    calls: list[tuple[str, str]] = []
    for node in scope.nodes:
        full_id = prefix + node.id
        match node:
            case LLMNode():
                pieces = beginning_of(node).pieces
                texts = [piece.text if piece.sort == 2 else f"\0{full_id}" for piece in pieces]
                first = next((at for at, p in enumerate(pieces) if p.reads), len(pieces))
                calls.append((full_id, "".join(texts[:first])))
            case MapNode():
                calls += 2 * _unrolled(node.body, f"{full_id}.")
            case LoopNode():
                step = _unrolled(node.step, f"{full_id}.step.")
                calls += 2 * (step + _unrolled(node.until, f"{full_id}.until."))
            case BranchNode():
                calls += _unrolled(node.then, f"{full_id}.then.")
            case _:
                pass
    return calls
