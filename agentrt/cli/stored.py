"""`agentrt runs` and `agentrt show`: what the store knows."""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING, Any

from agentrt.cli.connection import Place, place
from agentrt.cli.output import Answers, tell
from agentrt.cli.result_json import nodes_json, usage_json
from agentrt.ir.report import NodeReport, total_usage

if TYPE_CHECKING:
    from agentrt.store.base import NodeRecord, RunSummary, StoredRun


async def load_run(where: Place, run_id: str) -> StoredRun:
    """One stored run.

    Raises:
        StoreError: there is no such run, or the store cannot be read.
    """
    store = where.open_to_read()
    try:
        return await store.load(run_id)
    finally:
        await store.aclose()


def list_runs(answers: Answers, store: str | None, *, limit: int, is_json: bool) -> int:
    """Print a line for each of the newest runs."""
    summaries = asyncio.run(_list(place(store), limit))
    if is_json:
        answers.json({"runs": [_summary_json(summary) for summary in summaries]})
        return 0
    if not summaries:
        tell("no runs yet")
        return 0
    lines = [_summary_line(summary) for summary in summaries]
    answers.text("\n".join(["  ".join(_HEADINGS), *lines]))
    return 0


def show_run(answers: Answers, run_id: str, store: str | None, *, is_json: bool) -> int:
    """Print a stored run: its timeline, then its answer or its error."""
    stored = asyncio.run(load_run(place(store), run_id))
    reports = node_reports(stored)
    if is_json:
        answers.json(stored_json(stored, reports))
        return 0
    run = stored.run
    started = _when(run.created_at)
    tell(f"run {run.run_id} of {run.workflow}, {run.status}, started {started}", "")
    _draw(reports, run.duration_s)
    if run.error:
        tell(f"error: {run.error}")
    if run.status in {"finished", "partial"}:
        answers.value(run.output)
    elif run.target:
        tell(f"hint: to go on: agentrt resume {run.run_id}")
    return 0


def node_reports(stored: StoredRun) -> list[NodeReport]:
    """The stored nodes as reports, in the order they started."""
    return sorted(
        (_report(node) for node in stored.nodes),
        key=lambda node: node.started_s if node.started_s is not None else float("inf"),
    )


def stored_json(stored: StoredRun, reports: list[NodeReport]) -> dict[str, Any]:
    """The object that `show --json` prints; `in_flight` are calls nobody knows the end of."""
    run = stored.run
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "target": run.target,
        "status": run.status,
        "created_at": run.created_at,
        "duration_s": run.duration_s,
        "input": run.input,
        "output": run.output,
        "error": {"type": "RunError", "message": run.error} if run.error else None,
        "usage": usage_json(total_usage(reports)),
        "nodes": nodes_json(reports),
        "in_flight": [node.node_id for node in stored.nodes if node.status == "started"],
    }


def _report(node: NodeRecord) -> NodeReport:
    """A call that was begun and never ended has no end here either."""
    return NodeReport(
        node_id=node.node_id,
        kind=node.kind,
        status="cancelled" if node.status == "started" else node.status,
        started_s=node.started_s,
        finished_s=node.finished_s,
        attempts=node.attempts,
        usage=node.usage,
        error=str(node.value) if node.status == "failed" else None,
    )


def _draw(reports: list[NodeReport], duration_s: float) -> None:
    from rich.console import Console  # noqa: PLC0415  rich is loaded only where it draws

    from agentrt.cli.timeline import draw_timeline  # noqa: PLC0415

    draw_timeline(Console(stderr=True, highlight=False), reports, duration_s=duration_s)


async def _list(where: Place, limit: int) -> list[RunSummary]:
    store = where.open_to_read()
    try:
        return await store.list_runs(limit=limit)
    finally:
        await store.aclose()


_HEADINGS = ("run".ljust(16), "workflow".ljust(20), "status".ljust(11), "started".ljust(16))


def _summary_line(summary: RunSummary) -> str:
    cells = (
        summary.run_id.ljust(16),
        summary.workflow.ljust(20),
        ("interrupted" if summary.is_interrupted else summary.status).ljust(11),
        _when(summary.created_at).ljust(16),
        f"{summary.duration_s:8.1f} s",
        f"{summary.node_count:5} nodes",
        f"{summary.usage.total_tokens:7,} tokens" if summary.usage.total_tokens else "",
    )
    return "  ".join(cells).rstrip()


def _summary_json(summary: RunSummary) -> dict[str, Any]:
    return {
        "run_id": summary.run_id,
        "workflow": summary.workflow,
        "status": summary.status,
        "is_interrupted": summary.is_interrupted,
        "created_at": summary.created_at,
        "duration_s": summary.duration_s,
        "node_count": summary.node_count,
        "usage": usage_json(summary.usage),
        "error": summary.error,
    }


def _when(wall_time_s: float) -> str:
    """Local time, to the minute."""
    moment = datetime.datetime.fromtimestamp(wall_time_s, tz=datetime.UTC).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M")
