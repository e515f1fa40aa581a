"""The options of `agentrt simulate`; its body is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from agentrt.cli.command import perform


def simulate(  # noqa: PLR0913  one parameter an option
    workload: Annotated[
        str,
        typer.Argument(
            metavar="WORKLOAD",
            help="File, folder, or made:swe|browser|fanout|mixed|small-browser|tiny-agents.",
        ),
    ],
    *,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="Take it to be in this format.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="P",
            help="occupancy[:headroom=0.2,...], fcfs, cap-N, best-cap, or a rival (see docs).",
        ),
    ] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="P1,P2,...", help="Several policies, side by side.")
    ] = None,
    replicas: Annotated[
        int, typer.Option(metavar="N", help="Engines that share the work.", min=1, max=4096)
    ] = 1,
    engine: Annotated[
        str,
        typer.Option(metavar="PRESET|FILE", help="The model on its hardware, or a calibrated one."),
    ] = "llama-3-8b-a100",
    kv_blocks: Annotated[
        int | None, typer.Option(metavar="N", help="KV blocks of each replica.", min=1)
    ] = None,
    held_blocks: Annotated[
        int, typer.Option(metavar="N", help="Of those, how many are held when asked for.", min=0)
    ] = 0,
    rate: Annotated[
        float | None, typer.Option(metavar="R", help="Programs arrive at random, R a second.")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(metavar="N", help="N programs at any time.", min=1)
    ] = None,
    oversubscription: Annotated[
        str | None,
        typer.Option(metavar="X[,X...]", help="Programs at once that need X times all KV blocks."),
    ] = None,
    arrivals: Annotated[
        Literal["closed", "poisson", "bursty"] | None,
        typer.Option(help="With --oversubscription: as places come free, or at random."),
    ] = None,
    tenants: Annotated[
        str | None,
        typer.Option(metavar="A=N,B=M,...", help="Deal the programs out to tenants, by shares."),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            metavar="F|A=F,...", help="Due in F times what a program takes alone; by tenant."
        ),
    ] = None,
    programs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Make so many, or take a file's first N.", min=1),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="For all that is random.", min=0)] = 0,
    seeds: Annotated[
        int,
        typer.Option(metavar="N", help="Run N seeds from S on: medians and ranges.", min=1),
    ] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Processes at work; by default one a core.", min=1, max=1024
        ),
    ] = None,
    is_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw it there.")] = None,
) -> int:
    """Try scheduling policies on a workload, on modelled engines; nothing is served."""
    from agentrt.cli.simulate import simulate_workload  # noqa: PLC0415
    from agentrt.cli.simulate_words import SimulateWords  # noqa: PLC0415

    words = SimulateWords(
        workload=workload,
        format=format_,
        policy=policy,
        compare=compare,
        replicas=replicas,
        engine=engine,
        kv_blocks=kv_blocks,
        held_blocks=held_blocks,
        rate=rate,
        at_once=at_once,
        oversubscription=oversubscription,
        arrivals=arrivals,
        tenants=tenants,
        deadline=deadline,
        programs=programs,
        seed=seed,
        seeds=seeds,
        jobs=jobs,
        is_json=is_json,
        plot=plot,
    )
    return perform(lambda answers: simulate_workload(words, answers), is_json=is_json)
