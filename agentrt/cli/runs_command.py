"""The options of `agentrt runs` and what is below it; bodies are imported when they run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from agentrt.cli.command import perform

runs_app = typer.Typer(
    help="List stored runs, or export them as a workload.",
    epilog="\b\nExample:\n  agentrt runs --limit 5",
    rich_markup_mode=None,
    invoke_without_command=True,
)

_StoreOption = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="Where runs are kept.")
]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


@dataclass(frozen=True, slots=True)
class _Before:
    """What was said before the name of a subcommand: it holds for that as well."""

    store: str | None
    is_json: bool


@runs_app.callback()
def runs(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(metavar="N", help="How many, newest first.", min=1)] = 20,
    store: _StoreOption = None,
    is_json: _JsonOption = False,
) -> int:
    """List stored runs, or export them as a workload."""
    if context.invoked_subcommand is not None:
        context.obj = _Before(store, is_json)
        return 0
    from agentrt.cli.stored import list_runs  # noqa: PLC0415

    return perform(
        lambda answers: list_runs(answers, store, limit=limit, is_json=is_json), is_json=is_json
    )


@runs_app.command(epilog="\b\nExample:\n  agentrt runs export 3f9c2a -o digest.jsonl")
def export(
    context: typer.Context,
    run: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Their ids, or how their ids begin."),
    ] = None,
    *,
    is_all: Annotated[bool, typer.Option("--all", help="Every run in the store.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here.")
    ] = None,
    store: _StoreOption = None,
    is_json: _JsonOption = False,
) -> int:
    """Export stored runs as a workload, for `agentrt simulate`: what they asked for, without text."""
    from agentrt.cli.export import ExportOptions, export_runs  # noqa: PLC0415

    before: _Before = context.obj
    options = ExportOptions(
        run_ids=tuple(run or ()),
        is_all=is_all,
        output=output,
        store=store or before.store,
        is_json=is_json or before.is_json,
    )
    return perform(lambda answers: export_runs(options, answers), is_json=options.is_json)
