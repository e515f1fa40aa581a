"""The commands and their options. Bodies are imported when a command runs, so help is quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from agentrt.cli.bench_command import bench_app
from agentrt.cli.calibrate_command import calibrate
from agentrt.cli.command import perform, report
from agentrt.cli.failure import UsageError
from agentrt.cli.keys_command import keys_app
from agentrt.cli.output import discard, only_answers_on_stdout
from agentrt.cli.plan_command import plan
from agentrt.cli.prefix_command import prefix
from agentrt.cli.runs_command import runs_app
from agentrt.cli.serve_command import serve
from agentrt.cli.simulate_command import simulate

# Not exported by name in every release that we accept, but always BadParameter's bases.
_ClickException: type[Exception] = typer.BadParameter.__mro__[2]


def _example(command: str) -> str:
    return f"\b\nExample:\n  {command}"


app = typer.Typer(
    name="agentrt",
    help="Run agent programs: declared as graphs, scheduled as wholes.",
    epilog=_example("agentrt run workflows/digest.py --folder docs"),
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(
    help="List the models of the embedded backend, or pull one.",
    epilog=_example("agentrt models pull smollm2-135m"),
    rich_markup_mode=None,
    invoke_without_command=True,
)
app.add_typer(models_app, name="models")
app.add_typer(runs_app, name="runs")
app.add_typer(bench_app, name="bench")
app.add_typer(keys_app, name="keys")

TargetArgument = Annotated[
    str, typer.Argument(metavar="TARGET", help="path.py:workflow or module:workflow")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress and no timeline.")]
BackendOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Inference server: local, vllm+http://..., replay:FILE."),
]
SmallOption = Annotated[
    str | None, typer.Option(metavar="URL", help='Server for calls of tier "small".')
]
ModelOption = Annotated[str | None, typer.Option(metavar="NAME", help="Model to ask for.")]
StoreOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Where runs are kept; none keeps nothing.")
]
RecordOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Record completions, for --backend replay:FILE.")
]
OnErrorOption = Annotated[
    Literal["fail", "collect"],
    typer.Option(help="After a failure: end the run, or go on with what does not depend on it."),
]
DeadlineOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Cancel the run after this long.", min=0.0)
]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> int:
    if version:
        from importlib.metadata import version as installed  # noqa: PLC0415

        typer.echo(f"agentrt {installed('agentrt')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    return 0


@app.command(
    epilog=_example(
        'agentrt run examples/research.py --question "Why is the sky blue?" --backend local'
    ),
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[--NAME VALUE]... [OPTIONS]",
)
def run(  # noqa: PLR0913  one parameter an option
    context: typer.Context,
    target: TargetArgument,
    *,
    input_: Annotated[
        str | None,
        typer.Option("--input", metavar="JSON|@FILE|-", help="Parameters as a JSON object."),
    ] = None,
    backend: BackendOption = None,
    small: SmallOption = None,
    model: ModelOption = None,
    store: StoreOption = None,
    record: RecordOption = None,
    on_error: OnErrorOption = "fail",
    deadline: DeadlineOption = None,
    is_json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Run a workflow; its parameters are given as --NAME VALUE."""
    from agentrt.cli.connection import Choices  # noqa: PLC0415
    from agentrt.cli.run import RunOptions, run_workflow  # noqa: PLC0415

    options = RunOptions(
        target=target,
        words=tuple(context.args),
        input=input_,
        choices=Choices(backend=backend, small=small, model=model, store=store, record=record),
        on_error=on_error,
        deadline_s=deadline,
        is_json=is_json,
        is_quiet=quiet,
    )
    return perform(lambda answers: run_workflow(options, answers), is_json=is_json)


@app.command(
    epilog=_example("agentrt resume 3f9c2a --in-flight retry"),
)
def resume(  # noqa: PLR0913  one parameter an option
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, or how its id begins.")],
    *,
    target: Annotated[
        str | None, typer.Option(metavar="TARGET", help="Load the workflow from here instead.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Go on though the workflow has changed since.")
    ] = False,
    in_flight: Annotated[
        Literal["ask", "retry", "skip", "refuse"],
        typer.Option(help="What to do with calls that write and may or may not have happened."),
    ] = "ask",
    backend: BackendOption = None,
    small: SmallOption = None,
    model: ModelOption = None,
    store: StoreOption = None,
    is_json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Go on with a run that was interrupted, killed or failed."""
    from agentrt.cli.connection import Choices  # noqa: PLC0415
    from agentrt.cli.resume import ResumeOptions, resume_run  # noqa: PLC0415

    options = ResumeOptions(
        run_id=run,
        target=target,
        is_forced=force,
        in_flight=in_flight,
        choices=Choices(backend=backend, small=small, model=model, store=store),
        is_json=is_json,
        is_quiet=quiet,
    )
    return perform(lambda answers: resume_run(options, answers), is_json=is_json)


@app.command(epilog=_example("agentrt graph workflows/digest.py --format svg -o digest.svg"))
def graph(
    target: TargetArgument,
    *,
    format_: Annotated[
        Literal["mermaid", "svg", "json", "text"], typer.Option("--format", help="What to draw.")
    ] = "mermaid",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here.")
    ] = None,
) -> int:
    """Draw a workflow's graph; nothing runs."""
    from agentrt.cli.drawing import draw_graph  # noqa: PLC0415

    return perform(lambda answers: draw_graph(target, format_, output, answers))


app.command(epilog=_example("agentrt plan workflows/digest.py --without dedupe"))(plan)


app.command(epilog=_example("agentrt prefix workflows/digest.py"))(prefix)


@app.command(epilog=_example("agentrt show 3f9c2a"))
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, or how its id begins.")],
    *,
    store: StoreOption = None,
    is_json: JsonOption = False,
) -> int:
    """Show a stored run: its timeline, its answer or its error."""
    from agentrt.cli.stored import show_run  # noqa: PLC0415

    return perform(lambda answers: show_run(answers, run, store, is_json=is_json), is_json=is_json)


app.command(
    epilog=_example(
        "agentrt simulate made:swe --compare fcfs,best-cap,occupancy --oversubscription 2"
    )
)(simulate)


app.command(epilog=_example("agentrt serve --replica vllm+http://gpu0:8000 --port 8300"))(serve)


app.command(epilog=_example("agentrt calibrate vllm+http://gpu0:8000 -o gpu0.json"))(calibrate)


@app.command(epilog=_example("agentrt doctor vllm+http://gpu0:8000"))
def doctor(
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="By default the configured backend.")
    ] = None,
    *,
    model: ModelOption = None,
    traffic: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FILE",
            help="A stored run or recorded calls: what drafting by lookup would gain on them.",
        ),
    ] = None,
    is_json: JsonOption = False,
) -> int:
    """Check a backend: is it there, which model, what it supports."""
    from agentrt.cli.doctor import check_backend  # noqa: PLC0415

    return perform(
        lambda answers: check_backend(answers, url, model, traffic=traffic, is_json=is_json),
        is_json=is_json,
    )


@models_app.callback()
def models(context: typer.Context, *, is_json: JsonOption = False) -> int:
    """List the models that are known, and which of them are here."""
    if context.invoked_subcommand is not None:
        return 0
    from agentrt.cli.models import print_models  # noqa: PLC0415

    return perform(lambda answers: print_models(answers, is_json=is_json), is_json=is_json)


@models_app.command(epilog=_example("agentrt models pull smollm2-135m"))
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="From `agentrt models`.")],
    *,
    is_json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Get a model's weights and check them."""
    from agentrt.cli.models import pull_model  # noqa: PLC0415

    return perform(
        lambda answers: pull_model(answers, name, is_json=is_json, is_quiet=quiet), is_json=is_json
    )


def run_command_line(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code; see `agentrt.cli.main`."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = app(words, prog_name="agentrt", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # the latter is how typer says that help found no reader
        discard(sys.stdout)
        return 0
    except (_ClickException, typer.Abort) as error:
        return _report_usage(error, words)
    return code if isinstance(code, int) else 0


def _report_usage(error: Exception, words: Sequence[str]) -> int:
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "agentrt")
    message = getattr(error, "format_message", lambda: "interrupted")()
    usage = UsageError(message.rstrip("."), hint=f"{command} --help shows what it takes")
    is_json = "--json" in words
    with only_answers_on_stdout() as answers:
        return report(usage, answers, is_json=is_json)
