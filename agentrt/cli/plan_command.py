"""`agentrt plan` and its options."""

from __future__ import annotations

from typing import Annotated

import typer

from agentrt.cli.command import perform


def plan(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="path.py:workflow or module:workflow")
    ],
    *,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="PASS", help="Leave a pass out; may be repeated."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Take durations from the runs that are kept here."),
    ] = None,
    is_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout.")
    ] = False,
) -> int:
    """Compile a workflow and say what the passes found; nothing runs."""
    from agentrt.cli.plan import print_plan  # noqa: PLC0415

    return perform(
        lambda answers: print_plan(target, without or (), store, answers, is_json=is_json),
        is_json=is_json,
    )
