"""The options of `agentrt calibrate`; its body is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentrt.cli.command import perform


def calibrate(  # noqa: PLR0913  one parameter an option
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="By default the configured backend.")
    ] = None,
    *,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model to ask for.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the engine here."),
    ] = None,
    longest: Annotated[
        int, typer.Option(metavar="TOKENS", help="The longest prompt to time.", min=256, max=131072)
    ] = 2048,
    repeats: Annotated[
        int, typer.Option(metavar="N", help="How often each probe is made.", min=1, max=100)
    ] = 3,
    kv_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Room in its KV cache, if it does not say.", min=1),
    ] = None,
    max_running: Annotated[
        int | None,
        typer.Option(metavar="N", help="Requests it works on at once, if it does not say.", min=1),
    ] = None,
    max_batch_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Tokens it computes in one step at most.", min=1),
    ] = None,
    host_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Tokens of KV it also keeps in host memory.", min=0),
    ] = None,
    is_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> int:
    """Time a running server and fit the engine model to it, for simulate --engine FILE."""
    from agentrt.cli.calibrate import CalibrateWords, calibrate_engine  # noqa: PLC0415

    words = CalibrateWords(
        url=url,
        model=model,
        output=output,
        longest_tokens=longest,
        repeats=repeats,
        kv_tokens=kv_tokens,
        max_running=max_running,
        max_batch_tokens=max_batch_tokens,
        host_tokens=host_tokens,
        is_json=is_json,
        is_quiet=quiet,
    )
    return perform(lambda answers: calibrate_engine(words, answers), is_json=is_json)
