"""`compile_graph`: the passes in order, each one's result linted, and what was found out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agentrt.compiler.analysis import node_plans
from agentrt.compiler.base import NodePass, NodePlans, Pass
from agentrt.compiler.passes.batch import Batch
from agentrt.compiler.passes.dedupe import Dedupe
from agentrt.compiler.passes.early_dispatch import EarlyDispatch
from agentrt.compiler.passes.layout import Layout
from agentrt.compiler.passes.leader_first import LeaderFirst
from agentrt.compiler.passes.priorities import Priorities
from agentrt.compiler.passes.prune import Prune
from agentrt.compiler.passes.retention import RetentionHints
from agentrt.compiler.passes.single_flight import SingleFlight
from agentrt.errors import CompileError, GraphError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.graph import Graph
from agentrt.ir.plan import PassReport, Plan

DEFAULT_PASSES: tuple[Pass, ...] = (
    # First: what will not run needs no planning.
    Prune(),
    # Before prompts are looked at: what goes here is in nobody's fan-out.
    Dedupe(),
    # Prompts of what is left, so that siblings are those that run.
    Layout(),
)


def default_node_passes(*, is_single_flight: bool = False) -> tuple[NodePass, ...]:
    """`is_single_flight`: of all tools that could, not only of those that ask for it."""
    return (
        Priorities(),
        # After priorities: whoever goes first anyway is the leader.
        LeaderFirst(),
        EarlyDispatch(),
        SingleFlight(is_for_all=is_single_flight),
        RetentionHints(),
        Batch(),
    )


DEFAULT_NODE_PASSES = default_node_passes()


def compile_graph(
    graph: Graph,
    *,
    passes: Sequence[Pass] = DEFAULT_PASSES,
    node_passes: Sequence[NodePass] = DEFAULT_NODE_PASSES,
    without: Collection[str] = (),
    estimates: WorkEstimates | None = None,
) -> Plan:
    """Plan `graph`, which must lint. Ids of the nodes that are left are those of `graph`.

    Args:
        graph: As traced, or as read from JSON.
        passes: In the order they run.
        node_passes: After those, in the order they run.
        without: Names of passes to leave out.
        estimates: How long calls take; None: nothing is known.

    Raises:
        ValueError: `without` names something that is no pass.
        CompileError: a pass broke the graph; the message names it.
    """
    _check_names(without, [*(p.name for p in passes), *(p.name for p in node_passes)])
    estimates = estimates or WorkEstimates()
    after = graph
    reports: list[PassReport] = []
    for each in passes:
        if each.name not in without:
            after, report = _run(each, after)
            reports.append(report)
    nodes = node_plans(after)
    for noting in node_passes:
        if noting.name not in without:
            nodes, report = _note(noting, after, nodes, estimates)
            reports.append(report)
    return Plan(source=graph, graph=after, nodes=nodes, passes=tuple(reports))


def _check_names(without: Collection[str], known: Sequence[str]) -> None:
    unknown = sorted(set(without) - set(known))
    if unknown:
        raise ValueError(f"no such pass: {', '.join(unknown)}; there are: {', '.join(known)}")


def _run(each: Pass, before: Graph) -> tuple[Graph, PassReport]:
    try:
        each.requires(before)
        after = each.run(before)
        if after is not before:
            after.lint()
            _check_ids(before, after)
            each.ensures(before, after)
        summary = each.summarise(before, after)
    except Exception as error:
        raise CompileError(f"pass {each.name!r} on graph {before.name!r}: {error}") from error
    return after, PassReport(each.name, has_changed=after is not before, summary=summary)


def _note(
    each: NodePass, graph: Graph, before: NodePlans, estimates: WorkEstimates
) -> tuple[NodePlans, PassReport]:
    try:
        each.requires(graph)
        after = each.note(graph, before, estimates)
        if list(after) != list(before):
            raise GraphError("nodes were noted that are not in the graph")  # noqa: TRY301
        each.ensures(graph, after)
        summary = each.summarise(graph, after, estimates)
    except Exception as error:
        raise CompileError(f"pass {each.name!r} on graph {graph.name!r}: {error}") from error
    return after, PassReport(each.name, has_changed=after != before, summary=summary)


def _check_ids(before: Graph, after: Graph) -> None:
    known = {node_id for node_id, _ in before.walk()}
    new = sorted(node_id for node_id, _ in after.walk() if node_id not in known)
    if new:
        raise GraphError(f"nodes came out that did not go in: {', '.join(new)}")
