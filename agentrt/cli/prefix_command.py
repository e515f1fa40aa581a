"""The options of `agentrt prefix`; its body is imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from agentrt.cli.command import perform, report
from agentrt.cli.failure import UsageError
from agentrt.cli.output import only_answers_on_stdout


def prefix(  # noqa: PLR0913  one parameter an option
    what: Annotated[
        str, typer.Argument(metavar="TARGET|RUN|check", help="What to look at, or: check TARGET.")
    ],
    target: Annotated[
        str | None, typer.Argument(metavar="[TARGET]", help="For check: path.py:workflow.")
    ] = None,
    *,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="For check: whose inputs; by default the latest run's."),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", help="For check: calls to compare at most.", min=1)
    ] = 20,
    backend: Annotated[
        str | None, typer.Option(metavar="URL", help="For check: the server to ask.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="For check: the model to ask for.")
    ] = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help="Where runs are kept.")] = None,
    is_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout.")
    ] = False,
) -> int:
    """What of its prompts caches can reuse, what they did, and the first thing that broke it."""
    problem = ""
    if (what == "check") != (target is not None):
        problem = "check takes one TARGET" if target is None else f"{target!r} is one word too many"
    elif target is None and (run, backend, model) != (None, None, None):
        problem = "--run, --backend and --model are for check alone"
    if problem:
        error = UsageError(problem, hint="agentrt prefix check path.py:workflow")
        with only_answers_on_stdout() as answers:
            return report(error, answers, is_json=is_json)
    if target is None:
        from agentrt.cli.prefix import show_prefix  # noqa: PLC0415

        return perform(
            lambda answers: show_prefix(answers, what, store, is_json=is_json), is_json=is_json
        )
    from agentrt.cli.connection import Choices  # noqa: PLC0415
    from agentrt.cli.prefix_check import CheckOptions, check_prefix  # noqa: PLC0415

    options = CheckOptions(
        target=target,
        run_id=run,
        limit=limit,
        choices=Choices(backend=backend, model=model, store=store),
        is_json=is_json,
    )
    return perform(lambda answers: check_prefix(options, answers), is_json=is_json)
