"""`agentrt plan`: a workflow before it runs, as the passes have it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

from agentrt.cli.failure import UsageError
from agentrt.cli.output import Answers
from agentrt.cli.target import load_workflow


def print_plan(
    target: str, without: Sequence[str], store: str | None, answers: Answers, *, is_json: bool
) -> int:
    """Compile and print what came of it; durations are those of the runs that `store` has."""
    from agentrt.compiler.pipeline import compile_graph  # noqa: PLC0415  only this command's

    graph = load_workflow(target).workflow.trace().graph
    estimates = None
    if store is not None:
        from agentrt.cli.plan_durations import stored_durations  # noqa: PLC0415

        estimates = asyncio.run(stored_durations(store, graph))
    try:
        plan = compile_graph(graph, without=without, estimates=estimates)
    except ValueError as error:
        raise UsageError(str(error), hint="agentrt plan --without PASS leaves one out") from error
    if is_json:
        answers.json(
            {
                "workflow": plan.source.name,
                "source_hash": plan.source.hash,
                "source": plan.source.to_json(),
                "graph": plan.graph.to_json(),
                "nodes": {node_id: asdict(node) for node_id, node in plan.nodes.items()},
                "passes": [asdict(each) for each in plan.passes],
            }
        )
        return 0
    from agentrt.compiler.text import plan_to_text  # noqa: PLC0415

    answers.text(plan_to_text(plan))
    return 0
