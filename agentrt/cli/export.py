"""`agentrt runs export`: stored runs as a workload that `agentrt simulate` takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentrt.cli.connection import Place, place
from agentrt.cli.failure import UsageError
from agentrt.cli.output import Answers, tell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentrt.ir.workload import Workload
    from agentrt.store.base import StoredRun

_EVERY = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What the user said."""

    run_ids: tuple[str, ...]
    is_all: bool
    output: Path | None
    store: str | None
    is_json: bool


def export_runs(options: ExportOptions, answers: Answers) -> int:
    """Write the runs as one workload, oldest first, and say what had to be made up."""
    from agentrt.runtime.stored_workload import workload_of  # noqa: PLC0415  only this command's
    from agentrt.simulator.workloads import write  # noqa: PLC0415

    _check(options)
    runs = asyncio.run(_load(place(options.store), options))
    runs.sort(key=lambda stored: (stored.run.created_at, stored.run.run_id))
    names = dict.fromkeys(stored.run.workflow for stored in runs)
    workload = workload_of(runs, name=", ".join(names))
    if options.output is None:
        answers.text("".join(write(workload)))
    else:
        _write(options.output, write(workload))
    if options.is_json:
        answers.json(_summary(workload, options))
    elif options.output is not None:
        tell(f"wrote {options.output}")
    if not options.is_json:
        tell("modelled:", *(f"- {sentence}" for sentence in workload.modelled))
    return 0


def _check(options: ExportOptions) -> None:
    if options.is_all == bool(options.run_ids):
        raise UsageError("say which runs: their ids, or --all", hint="agentrt runs lists them")
    if options.is_json and options.output is None:
        raise UsageError(
            "with --json, stdout has one object and no room for a workload",
            hint="-o FILE says where the workload goes",
        )


async def _load(where: Place, options: ExportOptions) -> list[StoredRun]:
    store = where.open_to_read()
    try:
        run_ids = list(options.run_ids)
        if options.is_all:
            run_ids = [summary.run_id for summary in await store.list_runs(limit=_EVERY)]
        if not run_ids:
            raise UsageError("there are no runs in the store")
        found = [await store.load(run_id) for run_id in run_ids]
    finally:
        await store.aclose()
    # Two beginnings of ids may be of one run.
    return list({stored.run.run_id: stored for stored in found}.values())


def _write(path: Path, lines: Iterable[str]) -> None:
    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _summary(workload: Workload, options: ExportOptions) -> dict[str, object]:
    steps = [step for program in workload.programs for step in program.steps]
    return {
        "file": str(options.output),
        "programs": len(workload.programs),
        "calls": sum(step.kind == "call" for step in steps),
        "tools": sum(step.kind == "tool" for step in steps),
        "block_tokens": workload.block_tokens,
        "modelled": list(workload.modelled),
    }
