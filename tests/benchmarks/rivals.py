"""The rivals' policies, in simulation, on one made workload.

    python -m tests.benchmarks.rivals [--programs N] [--seeds 0 1 2] [--oversubscription X]

What a policy learns it has learned from a workload made with another seed (under itself where it
matters); caps are the best of a sweep on the very workload, which is more than anybody knows. Prints
the two tables of docs/rivals.md and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.estimates.prefill import PrefillCost
from agentrt.ir.workload import ProgramTrace, ToolStep, Workload
from agentrt.scheduler.policies.continuum import Continuum, ContinuumHistory
from agentrt.scheduler.policies.deadline_slack import DeadlineSlack
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.scheduler.policies.gittins import Gittins
from agentrt.scheduler.policies.infercept import ForwardCost, InferCept
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policies.plas import Plas
from agentrt.scheduler.policies.saga import Saga
from agentrt.scheduler.policies.thunderagent import ThunderAgent
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.scheduler.policy import Policy
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.replay import CallRecord, Replay, call_step
from agentrt.simulator.report import Report, report
from agentrt.simulator.simulation import simulate
from agentrt.simulator.workloads.generator import generate
from agentrt.simulator.workloads.presets import preset
from agentrt.simulator.workloads.pressure import programs_at_once

MODEL = PRESETS["llama-3-8b-a100"]
KV_BLOCKS = 6_000
CAPS = range(2, 17)
OTHER_SEED = 1_000
ROUNDS = 2  # of Continuum under what it learned: its delays depend on what it keeps
NO_BOUND_S = 1e6
DEADLINES = (2.0, 6.0)  # times what a program takes alone


@dataclass(frozen=True)
class Load:
    """A workload, so many programs of it at once."""

    workload: Workload
    at_once: int

    def replay(self, policy: Policy) -> Replay:
        return simulate(
            self.workload,
            policy,
            model=MODEL,
            kv_blocks=KV_BLOCKS,
            programs_at_once=self.at_once,
        )


def make_load(programs: int, seed: int, oversubscription: float) -> Load:
    workload = generate(preset("swe", programs=programs), seed=seed)
    at_once = programs_at_once(
        workload, capacity_blocks=KV_BLOCKS, oversubscription=oversubscription
    )
    return Load(workload, at_once)


def learned_estimates(workload: Workload) -> Estimates:
    estimates = Estimates()
    for trace in workload.programs:
        _learn_program(estimates, trace)
    return estimates


def _learn_program(estimates: Estimates, trace: ProgramTrace) -> None:
    ends: dict[int, float] = {}
    uses: list[tuple[ToolUse, float]] = []
    turn = 0
    for at, step in enumerate(trace.steps):
        begins = max((ends.get(before, 0.0) for before in step.after), default=0.0)
        if isinstance(step, ToolStep):
            ends[at] = begins + step.duration_s
            uses.append((ToolUse(step.tool, step.argument_class), ends[at]))
            continue
        if turn:
            estimates.observe_next_call(trace.workflow, turn, uses, begins + step.gap_s)
        turn, uses, ends = turn + 1, [], {}
    estimates.observe_program_finished(trace.workflow, turn, last_tool="", service=0.0)


def learned_history(load: Load) -> ContinuumHistory:
    history = ContinuumHistory()
    for _ in range(ROUNDS):
        replay = load.replay(_continuum(history))
        history = ContinuumHistory()
        for index, trace in enumerate(load.workload.programs):
            calls = [call for call in replay.calls if call.program == index]
            for before, after in pairwise(calls):
                _learn_gap(history, replay, trace, before, after)
            history.observe_program(len(calls))
    return history


def _learn_gap(
    history: ContinuumHistory,
    replay: Replay,
    trace: ProgramTrace,
    before: CallRecord,
    after: CallRecord,
) -> None:
    if before.finished_s is None or after.started_s is None:
        return
    tools = [step.tool for step in trace.steps[before.step : after.step] if step.kind == "tool"]
    history.observe_gap(tools[0] if tools else "", after.ready_s - before.finished_s)
    kept_blocks = sum(run.count for run in call_step(replay, before).context)
    if after.cached_tokens < (kept_blocks - 1) * replay.workload.block_tokens:
        history.observe_delay(after.started_s - after.ready_s)


def _continuum(history: ContinuumHistory) -> Continuum:
    cost = PrefillCost(MODEL.step_s, MODEL.prefill_token_s, MODEL.prefill_pair_s)
    return Continuum(history, reload=cost)


def _forward_cost() -> ForwardCost:
    return ForwardCost(
        step_s=MODEL.step_s, token_s=MODEL.prefill_token_s, chunk=MODEL.max_batch_tokens
    )


def _saga(load: Load, estimates: Estimates) -> Saga:
    replay = load.replay(Saga(estimates))
    served = sum((c.finished_s or 0.0) - (c.started_s or 0.0) for c in replay.calls)
    return Saga(
        estimates,
        work_s=served / len(replay.programs),
        completion_s=report(replay).mean_completion_s,
    )


def best_of_caps(load: Load, make: Callable[[int], Policy]) -> tuple[str, Report]:
    tried = [(make(cap).name, report(load.replay(make(cap)))) for cap in CAPS]
    return min(tried, key=lambda item: item[1].mean_completion_s)


def run_all(load: Load, other: Load) -> dict[str, tuple[str, Report]]:
    """By row: which policy it was, and what it came to."""
    estimates = learned_estimates(other.workload)
    policies: dict[str, Policy] = {
        "fcfs": Unmanaged(),
        "thunderagent": ThunderAgent(),
        "continuum, nothing learned": _continuum(ContinuumHistory()),
        "continuum, learned": _continuum(learned_history(other)),
        "infercept, its own GPU": InferCept(),
        "infercept, this engine": InferCept(_forward_cost()),
        "saga": _saga(other, estimates),
        "occupancy": ByOccupancy(),
        "gittins": Gittins(estimates),
        "gittins, no bound": Gittins(estimates, admission=ByOccupancy(patience_s=NO_BOUND_S)),
    }
    found = {row: (policy.name, report(load.replay(policy))) for row, policy in policies.items()}
    found["best cap of programs"] = best_of_caps(load, FixedCap)
    found["plas, best cap of calls"] = best_of_caps(load, lambda cap: Plas(cap=cap))
    return found


def run_deadlines(load: Load, other: Load, seed: int) -> dict[str, tuple[float, Report]]:
    """By row: which part of the programs was in time, and the rest."""
    alone = replace(load, at_once=1).replay(Unmanaged())
    source = random.Random(seed)
    programs = tuple(
        replace(trace, deadline_s=source.uniform(*DEADLINES) * (r.finished_s - r.arrived_s))
        for trace, r in zip(load.workload.programs, alone.programs, strict=True)
        if r.finished_s is not None
    )
    hurried = replace(load, workload=replace(load.workload, programs=programs))
    estimates = learned_estimates(other.workload)
    policies: dict[str, Policy] = {"fcfs": Unmanaged(), "occupancy": ByOccupancy()}
    for row, patience_s in (("60 s", 60.0), ("300 s", 300.0), ("no bound", NO_BOUND_S)):
        admission = ByOccupancy(patience_s=patience_s)
        policies[f"deadline-slack, {row}"] = DeadlineSlack(estimates, admission=admission)
    return {row: _in_time(hurried.replay(policy)) for row, policy in policies.items()}


def _in_time(replay: Replay) -> tuple[float, Report]:
    met = [
        r.finished_s is not None and r.finished_s - r.arrived_s <= (trace.deadline_s or math.inf)
        for trace, r in zip(replay.workload.programs, replay.programs, strict=True)
    ]
    return sum(met) / len(met), report(replay)


def _figures(reports: Sequence[Report]) -> list[str]:
    def mean(name: str) -> float:
        return statistics.fmean(getattr(r, name) for r in reports)

    means = [r.mean_completion_s for r in reports]
    computed = sum(r.computed_tokens for r in reports) / sum(r.prompt_tokens for r in reports)
    return [
        f"{mean('mean_completion_s'):.0f} ({min(means):.0f}-{max(means):.0f})",
        *(f"{mean(name):.0f}" for name in ("p50_s", "p95_s", "p99_s", "max_wait_s")),
        f"{mean('hit_ratio'):.3f}",
        f"{computed:.3f}",
        f"{mean('jain_index'):.3f}",
    ]


HEAD = ["mean, s (seeds)", "p50", "p95", "p99", "longest wait", "hits", "computed/prompt", "Jain"]


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    sys.stdout.write("\n".join(lines) + "\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--oversubscription", type=float, default=2.0)
    arguments = parser.parse_args()
    loads = [make_load(arguments.programs, s, arguments.oversubscription) for s in arguments.seeds]
    others = [
        make_load(arguments.programs, s + OTHER_SEED, arguments.oversubscription)
        for s in arguments.seeds
    ]
    runs = [run_all(load, other) for load, other in zip(loads, others, strict=True)]
    rows = sorted(
        runs[0],
        key=lambda row: statistics.fmean(run[row][1].mean_completion_s for run in runs),
    )
    table = [
        [
            row,
            ", ".join(dict.fromkeys(run[row][0] for run in runs)),
            *_figures([run[row][1] for run in runs]),
        ]
        for row in rows
    ]
    _print_table(["", "policies", *HEAD], table)
    hurried = [
        run_deadlines(load, other, seed)
        for load, other, seed in zip(loads, others, arguments.seeds, strict=True)
    ]
    _print_table(
        ["", "in time", *HEAD],
        [
            [
                row,
                f"{statistics.fmean(run[row][0] for run in hurried):.3f}",
                *_figures([run[row][1] for run in hurried]),
            ]
            for row in hurried[0]
        ],
    )
    sys.stdout.write(
        json.dumps(
            {
                "at_once": [load.at_once for load in loads],
                "rows": {row: [run[row][1].to_json() for run in runs] for row in rows},
                "in_time": {row: [run[row][0] for run in hurried] for row in hurried[0]},
            }
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
