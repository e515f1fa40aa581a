"""`agentrt prefix`: what of a workflow's or a run's prompts caches can reuse, and what breaks it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrt.cli.connection import Place, place
from agentrt.cli.output import Answers
from agentrt.cli.target import load_workflow
from agentrt.ir.render_label import printable

if TYPE_CHECKING:
    from agentrt.compiler.prefix import PromptPrefix
    from agentrt.runtime.prefix_report import CallPrefix, PrefixReport
    from agentrt.store.base import RunStore, StoredRun

_SHOWN = 40
_RUNS_LISTED = 100
"""At first: nearly always a late one is asked about."""


def show_prefix(answers: Answers, what: str, store: str | None, *, is_json: bool) -> int:
    """Print the report on a target or a stored run."""
    if _is_target(what):
        _show_target(answers, what, is_json=is_json)
    else:
        _show_run(answers, what, place(store), is_json=is_json)
    return 0


def _is_target(what: str) -> bool:
    return ":" in what or what.endswith(".py") or "." in what or Path(what).is_file()


def _show_target(answers: Answers, target: str, *, is_json: bool) -> None:
    from agentrt.compiler.pipeline import compile_graph  # noqa: PLC0415  only this command's
    from agentrt.compiler.prefix import prompt_prefixes  # noqa: PLC0415
    from agentrt.runtime.plan_prefixes import plan_prefixes  # noqa: PLC0415

    graph = compile_graph(load_workflow(target).workflow.trace().graph).graph
    prompts = (*prompt_prefixes(graph), *plan_prefixes(graph))
    if is_json:
        answers.json({"workflow": graph.name, "prompts": [asdict(each) for each in prompts]})
        return
    lines = [f"{printable(graph.name)}: what every run can find cached of each prompt"]
    for each in prompts:
        lines += _prompt_lines(each)
    answers.text("\n".join(lines if prompts else [*lines, "  it has no prompts"]))


def _prompt_lines(each: PromptPrefix) -> list[str]:
    known = each.prefix_characters + each.lost_characters
    lines = [
        f"  {each.node_id}  {each.prefix_characters:,} of {known:,} known characters"
        f" (layout {each.layout})"
    ]
    if each.broken_by:
        lines.append(
            f"    broken in {each.place} by {printable(each.broken_by)}, which changes with each"
            f" {each.stability}"
        )
    if each.if_moved_characters > each.prefix_characters:
        lines.append(f'    layout="S2" would make it {each.if_moved_characters:,}')
    lines += [f"    {each_} looks as if it were of one moment" for each_ in each.looks_volatile]
    return lines


def _show_run(answers: Answers, run_id: str, where: Place, *, is_json: bool) -> None:
    from agentrt.runtime.prefix_report import prefix_report  # noqa: PLC0415  loads the runtime

    stored, earlier = asyncio.run(_load(where, run_id))
    report = prefix_report(stored, earlier)
    if is_json:
        answers.json(report_json(report))
        return
    usage = report.usage
    lines = [
        f"run {report.run_id} of {report.workflow}: {usage.prompt_tokens:,} prompt tokens,"
        f" {report.possible_tokens:,} could have been cached, {usage.cached_tokens:,} were"
    ]
    if report.earlier_run:
        lines.append(f"counting what run {report.earlier_run} had computed")
    for call in report.calls:
        lines += _call_lines(call)
    answers.text("\n".join(lines))


def report_json(report: PrefixReport) -> dict[str, Any]:
    """What `--json` prints of a run."""
    return {
        "run_id": report.run_id,
        "workflow": report.workflow,
        "earlier_run": report.earlier_run,
        "prompt_tokens": report.usage.prompt_tokens,
        "possible_tokens": report.possible_tokens,
        "cached_tokens": report.usage.cached_tokens,
        "calls": [asdict(call) for call in report.calls],
    }


def _call_lines(call: CallPrefix) -> list[str]:
    possible = "?" if call.possible_tokens is None else f"{call.possible_tokens:,}"
    lines = [
        f"  {call.node_id}  {call.prompt_tokens:,} tokens, {possible} possible,"
        f" {call.cached_tokens:,} cached"
    ]
    if call.possible_tokens is None:
        lines.append("    its prompt cannot be written again from what is stored")
    elif not call.before:
        lines.append("    nothing before it begins like it")
    elif call.broken is None:
        lines.append(f"    goes on from {call.before}")
    else:
        broken = call.broken
        lines.append(
            f"    like {call.before} for {broken.shared_characters:,} characters, then"
            f" {broken.kind} in {printable(broken.origin)}:"
            f" {broken.before[-_SHOWN:]!r} became {broken.now[-_SHOWN:]!r}"
        )
    return lines


async def _load(where: Place, run_id: str) -> tuple[StoredRun, StoredRun | None]:
    """The run, and the latest one of its workflow before it."""
    store = where.open_to_read()
    try:
        stored = await store.load(run_id)
        return stored, await _earlier(store, stored)
    finally:
        await store.aclose()


async def _earlier(store: RunStore, stored: StoredRun) -> StoredRun | None:
    limit = _RUNS_LISTED
    while True:
        summaries = await store.list_runs(limit=limit, workflow=stored.run.workflow)
        for summary in summaries:
            is_before = summary.created_at < stored.run.created_at
            if is_before and summary.run_id != stored.run.run_id:
                return await store.load(summary.run_id)
        if len(summaries) < limit:
            return None
        limit *= 10
