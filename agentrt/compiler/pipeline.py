"""`compile_graph`: the passes in order, each one's result linted, and what was found out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agentrt.compiler.analysis import node_plans
from agentrt.compiler.base import Pass
from agentrt.compiler.passes.prune import Prune
from agentrt.errors import CompileError, GraphError
from agentrt.ir.graph import Graph
from agentrt.ir.plan import PassReport, Plan

DEFAULT_PASSES: tuple[Pass, ...] = (
    # First: what will not run needs no planning.
    Prune(),
)


def compile_graph(
    graph: Graph, *, passes: Sequence[Pass] = DEFAULT_PASSES, without: Collection[str] = ()
) -> Plan:
    """Plan `graph`, which must lint. Ids of the nodes that are left are those of `graph`.

    Args:
        graph: As traced, or as read from JSON.
        passes: In the order they run.
        without: Names of passes to leave out.

    Raises:
        ValueError: `without` names something that is no pass.
        CompileError: a pass broke the graph; the message names it.
    """
    unknown = sorted(set(without) - {each.name for each in passes})
    if unknown:
        known = ", ".join(each.name for each in passes)
        raise ValueError(f"no such pass: {', '.join(unknown)}; there are: {known}")
    after = graph
    reports: list[PassReport] = []
    for each in passes:
        if each.name not in without:
            after, report = _run(each, after)
            reports.append(report)
    return Plan(source=graph, graph=after, nodes=node_plans(after), passes=tuple(reports))


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


def _check_ids(before: Graph, after: Graph) -> None:
    new = sorted(after.by_id.keys() - before.by_id.keys())
    if new:
        raise GraphError(f"nodes came out that did not go in: {', '.join(new)}")
