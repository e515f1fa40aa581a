"""Whether simulated and real agree: one small workload on a server, and in simulation.

python -m tests.benchmarks.agreement [--url URL] [--engine FILE] [--policies P1,P2] [--rounds N]

Without `--engine` the server is calibrated first, as `agentrt calibrate` does it (minutes). The
workload is made up: programs of four or five turns with tools of half a second to two seconds. Each
round is another workload of the same kind, played on the server (the embedded engine is started anew
for each; a server at a URL gets text it has not seen) and then simulated with the constants. The
table goes to stderr, one JSON object to stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
from dataclasses import asdict, replace
from pathlib import Path

from agentrt.backends.base import Backend
from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.backends.engine_limits import EngineLimits, engine_limits
from agentrt.backends.engine_timing import EngineTimer, Probe, probes_for
from agentrt.backends.registry import connect
from agentrt.cli.calibrate import CalibrateWords, setup_of
from agentrt.clock import Clock, SystemClock
from agentrt.ir.workload import Workload
from agentrt.runtime.workload_replay import ReplayOptions, ServingReplica, replay
from agentrt.runtime.workload_served import Served
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.policies import named
from agentrt.simulator.engine_file import engine_json, read_engine
from agentrt.simulator.engine_fit import fit, predicted_s
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.report import Report, report
from agentrt.simulator.simulation import simulate
from agentrt.simulator.workloads.generator import generate
from agentrt.simulator.workloads.parameters import Parameters, ToolUse, WorkflowShape
from agentrt.simulator.workloads.quantiles import Quantiles, log_normal
from tests.benchmarks.agreement_report import NOT_SHOWN, Row, line_of, summary_lines, summary_of
from tests.benchmarks.engine_cpu_clock import EngineCpuClock, Watched

EMBEDDED = "local"
SLOTS_ONLY = "local, slots only"
HOST_TOKENS = PRESETS["smollm2-135m-embedded"].host_tokens
_ENDS = (0.0, 1.0)

SHAPE = WorkflowShape(
    workflow="small",
    system_tokens=256,
    task_tokens=log_normal(150, 250, 500),
    turns=Quantiles(_ENDS, (4, 5.99)),
    new_tokens=log_normal(60, 120, 300),
    completion_tokens=Quantiles(_ENDS, (16, 48)),
    tools=(ToolUse(tool="tool", share=1.0, duration_s=Quantiles(_ENDS, (0.5, 2.0))),),
)


def backend_of(engine: str, options: argparse.Namespace) -> Backend:
    match engine:
        case "local":
            return EmbeddedBackend(
                settings=EmbeddedSettings(threads=options.threads, drafting="off")
            )
        case "local, slots only":
            settings = EmbeddedSettings(
                threads=options.threads, cache_ram_mib=0, share_prefixes=False, drafting="off"
            )
            return EmbeddedBackend(settings=settings)
        case _:
            return connect(engine, model=options.model)


def workload_of(programs: int, seed: int, block_tokens: int) -> Workload:
    parameters = Parameters(
        name="small", programs=programs, shapes=(SHAPE,), block_tokens=block_tokens
    )
    return generate(parameters, seed=seed)


async def clock_of(backend: Backend, options: argparse.Namespace) -> tuple[Clock, Backend]:
    """The clock to measure by, and the backend to ask, with its engine loaded."""
    await backend.capabilities()
    if options.clock == "wall" or not isinstance(backend, EmbeddedBackend):
        return SystemClock(), backend
    clock = EngineCpuClock((await backend._running()).engine.process_id)
    return clock, Watched(backend, clock)


async def calibrated(engine: str, options: argparse.Namespace) -> EngineModel:
    backend = backend_of(engine, options)
    try:
        limits: EngineLimits = await engine_limits(backend)
        clock, asked = await clock_of(backend, options)
        timer = EngineTimer(asked, clock, rng=random.Random())
        probes = probes_for(
            longest_tokens=options.longest, most_at_once=min(16, limits.max_running or 16)
        )
        timings = await timer.measure(
            probes,
            repeats=options.repeats,
            on_probe=lambda n, of, what: _tell(f"{n + 1}/{of} {what}"),
        )
    finally:
        await backend.aclose()
    found = fit(timings.batches, setup_of(engine, limits, CalibrateWords(url=engine)))
    for residual in found.residuals:
        _tell(f"{residual.what:60} {residual.measured_s:8.3f} s {residual.error:+7.1%}")
    _tell(f"held out: {found.held_out_error or 0.0:.1%} off on average")
    return found.model


async def measured(
    engine: str, model: EngineModel, policy: str, number: int, options: argparse.Namespace
) -> Row:
    block_tokens = options.block_tokens
    workload = workload_of(options.programs, options.seed + number, block_tokens)
    kv_blocks = model.kv_tokens // block_tokens
    backend = backend_of(engine, options)
    load_average = os.getloadavg()[0]
    try:
        clock, asked = await clock_of(backend, options)
        server = ServingReplica(backend=asked, kv_blocks=kv_blocks, max_running=model.max_running)
        drifts = [await _drift(asked, clock, model)]
        served = await replay(
            workload,
            Scheduler(named(policy)),
            {"r0": server},
            clock=clock,
            options=ReplayOptions(
                programs_at_once=options.at_once, salt=f"{os.getpid()} {policy} {number}"
            ),
        )
        drifts.append(await _drift(asked, clock, model))
    finally:
        await backend.aclose()
    for program in served.programs:
        if program.error is not None:
            raise program.error
    simulated = simulate(
        workload, named(policy), model=model, kv_blocks=kv_blocks, programs_at_once=options.at_once
    )
    return _row(engine, policy, number, served, report(simulated), (load_average, drifts))


async def _drift(backend: Backend, clock: Clock, model: EngineModel) -> float:
    """How much longer the server takes for what it was calibrated with than the constants say."""
    timer = EngineTimer(backend, clock, rng=random.Random())
    probes = [
        Probe(what="prompt", prompt_tokens=(500,)),
        Probe(what="two", prompt_tokens=(100, 100), answer_tokens=17),
    ]
    timings = await timer.measure(probes, repeats=1, on_probe=lambda *_: None)
    return statistics.fmean(
        max(call.ended_s for call in batch.calls) / predicted_s(model, batch.calls)
        for batch in timings.batches
    )


def _row(
    engine: str,
    policy: str,
    number: int,
    served: Served,
    simulated: Report,
    around: tuple[float, list[float]],
) -> Row:
    usage = served.usage
    load_average, drifts = around
    ttfts = [c.first_token_s - c.ready_s for c in served.calls if c.first_token_s is not None]
    return Row(
        engine=engine,
        policy=policy,
        round=number,
        real_mean_completion_s=statistics.fmean(served.completions_s),
        simulated_mean_completion_s=simulated.mean_completion_s,
        real_hit_ratio=usage.cached_tokens / usage.prompt_tokens,
        simulated_hit_ratio=simulated.hit_ratio,
        real_prompt_tokens=usage.prompt_tokens,
        simulated_prompt_tokens=simulated.prompt_tokens,
        real_mean_ttft_s=statistics.fmean(ttfts),
        simulated_mean_ttft_s=simulated.mean_ttft_s,
        real_makespan_s=max(p.finished_s or 0.0 for p in served.programs),
        simulated_makespan_s=simulated.makespan_s,
        load_average=load_average,
        drift=statistics.fmean(drifts),
    )


async def run(options: argparse.Namespace) -> tuple[list[Row], dict[str, EngineModel]]:
    engines = [EMBEDDED, SLOTS_ONLY] if options.url is None else [options.url]
    text = None if options.engine is None else options.engine.read_text()
    model = await calibrated(engines[0], options) if text is None else read_engine(text)
    if options.keep is not None:
        options.keep.write_text(json.dumps(engine_json(model), indent=2) + "\n")
    models = dict.fromkeys(engines, model)
    if options.url is None:
        models[EMBEDDED] = replace(model, host_tokens=HOST_TOKENS)
        models[SLOTS_ONLY] = replace(model, host_tokens=0)
    rows: list[Row] = []
    for number in range(options.rounds):
        for engine in engines:
            for policy in options.policies.split(","):
                row = await measured(engine, models[engine], policy, number, options)
                rows.append(row)
                _tell(line_of(row))
    return rows, models


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--url", help="a server, as `agentrt doctor` takes it; else the embedded engine"
    )
    parser.add_argument("--model")
    parser.add_argument("--engine", type=Path, help="constants, as `agentrt calibrate -o` has them")
    parser.add_argument("--longest", type=int, default=2048, help="of the calibration's prompts")
    parser.add_argument("--keep", type=Path, help="write the constants here")
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu: time stands still while the embedded engine has no CPU; for a busy machine",
    )
    parser.add_argument("--threads", type=int, help="of the embedded engine")
    parser.add_argument("--policies", default="fcfs,occupancy")
    parser.add_argument("--programs", type=int, default=8)
    parser.add_argument("--at-once", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--block-tokens", type=int, default=4)
    options = parser.parse_args()
    rows, models = asyncio.run(run(options))
    for line in summary_lines(rows):
        _tell(line)
    _tell(NOT_SHOWN)
    figures = {
        "summary": summary_of(rows),
        "rows": [
            asdict(row) | {"time_error": row.time_error, "hit_error": row.hit_error} for row in rows
        ],
        "engines": {name: engine_json(model)["model"] for name, model in models.items()},
        "not_shown": NOT_SHOWN,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
