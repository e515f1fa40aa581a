"""The options of `agentrt bench` and what is below it; bodies are imported when they run."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from agentrt.cli.command import perform

bench_app = typer.Typer(
    help="Measure servers.",
    epilog="\b\nExample:\n  agentrt bench replay made:tiny-agents --url http://gpu0:8000/v1",
    rich_markup_mode=None,
    invoke_without_command=True,
)


@bench_app.callback()
def bench(context: typer.Context) -> int:
    """Measure servers."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    return 0


@bench_app.command(
    epilog="\b\nExample:\n"
    "  agentrt bench replay made:swe --programs 40 --url http://gpu0:8000/v1 --name direct \\\n"
    "      --url http://gateway:8300/v1 --name gateway"
)
def replay(  # noqa: PLR0913  one parameter an option
    workload: Annotated[
        str,
        typer.Argument(
            metavar="WORKLOAD",
            help="File, folder, or made:swe|browser|fanout|mixed|small-browser|tiny-agents.",
        ),
    ],
    *,
    url: Annotated[
        list[str],
        typer.Option("--url", metavar="URL", help="Where; several are measured side by side."),
    ],
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="What to call each, in the same order."),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model to ask for.")] = None,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="Take it to be in this format.")
    ] = None,
    programs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Make so many, or take a file's first N.", min=1),
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option(metavar="N", help="N programs at any time; by default as recorded.", min=1),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="R", help="Programs arrive at random, R a second.")
    ] = None,
    arrivals: Annotated[
        Literal["poisson", "bursty"], typer.Option(help="How they arrive with --rate.")
    ] = "poisson",
    repeat: Annotated[
        int, typer.Option(metavar="N", help="Replays at each URL, in rotated order.", min=1)
    ] = 3,
    session_header: Annotated[
        bool,
        typer.Option(
            "--session-header/--no-session-header", help="Programs name themselves: X-Session-ID."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(metavar="S", help="For all that is random.", min=0)] = 0,
    limit: Annotated[
        float, typer.Option(metavar="SECONDS", help="Break each replay off after this.", min=1.0)
    ] = 3600.0,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="The longest one call may take.", min=0.1)
    ] = 600.0,
    is_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> int:
    """Replay a workload as clients would, tools slept through, and say how it fared at each URL."""
    from agentrt.cli.bench import bench_replay  # noqa: PLC0415
    from agentrt.cli.bench_words import BenchWords  # noqa: PLC0415

    words = BenchWords(
        workload=workload,
        urls=tuple(url),
        names=tuple(name or ()),
        model=model,
        format=format_,
        programs=programs,
        at_once=at_once,
        rate=rate,
        arrivals=arrivals,
        repeat=repeat,
        has_session_header=session_header,
        seed=seed,
        limit_s=limit,
        timeout_s=timeout,
        is_json=is_json,
        is_quiet=quiet,
    )
    return perform(lambda answers: bench_replay(words, answers), is_json=is_json)
