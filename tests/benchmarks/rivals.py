"""The rivals' policies, in simulation, on made workloads.

    python -m tests.benchmarks.rivals [--kinds swe ...] [--programs N] [--seeds 0 1 2]
                                      [--oversubscription X]

What a policy learns it has learned from a workload made with another seed, under itself; caps are the
best of a sweep on the very workload, which is more than anybody knows. Prints the tables of
docs/rivals.md, each with its figures as JSON.
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

from agentrt.estimates.book import Estimates
from agentrt.estimates.prefill import PrefillCost
from agentrt.ir.workload import Workload
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.continuum import Continuum, ContinuumHistory
from agentrt.scheduler.policies.deadline_slack import DeadlineSlack
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.scheduler.policies.gittins import Gittins
from agentrt.scheduler.policies.infercept import InferCept
from agentrt.scheduler.policies.kvflow import KVFlow, StepsSeen
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policies.plas import Plas
from agentrt.scheduler.policies.saga import Saga, SagaHistory
from agentrt.scheduler.policies.thunderagent import ThunderAgent
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.scheduler.policy import Policy
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.fleet import FleetSettings
from agentrt.simulator.replay import Replay
from agentrt.simulator.report import Report, report
from agentrt.simulator.simulation import simulate_with
from agentrt.simulator.workloads.generator import generate
from agentrt.simulator.workloads.presets import preset
from agentrt.simulator.workloads.pressure import programs_at_once

MODEL = PRESETS["llama-3-8b-a100"]
KV_BLOCKS = 6_000
CAPS = range(2, 17)
OTHER_SEED = 1_000
OBSERVERS = (ContinuumHistory, SagaHistory, StepsSeen)
NO_BOUND_S = 1e6
DEADLINES = (2.0, 6.0)  # times what a program takes alone


@dataclass(frozen=True)
class Load:
    """A workload, so many programs of it at once, and the engine that it is for.

    Attributes:
        held_blocks: How many blocks the engine pins when it is asked to.
    """

    workload: Workload
    at_once: int
    held_blocks: int = 0

    def replay(self, policy: Policy, learned: Outlook | None = None) -> tuple[Replay, Outlook]:
        """Under `policy`, which goes on learning from where `learned` is."""
        cost = PrefillCost(MODEL.step_s, MODEL.prefill_token_s, MODEL.prefill_pair_s)
        scheduler = Scheduler(
            policy,
            estimates=learned.estimates if learned else Estimates(prefill_prior=cost),
            block_tokens=self.workload.block_tokens,
        )
        if learned is not None:
            for kind in OBSERVERS:
                scheduler.outlook.watch_with(learned.observer(kind))
        fleet = FleetSettings(
            model=MODEL, kv_blocks=KV_BLOCKS, replicas=1, held_blocks=self.held_blocks
        )
        replay = simulate_with(scheduler, self.workload, fleet, programs_at_once=self.at_once)
        return replay, scheduler.outlook


def make_load(kind: str, programs: int, seed: int, oversubscription: float) -> Load:
    workload = generate(preset(kind, programs=programs), seed=seed)
    at_once = programs_at_once(
        workload, capacity_blocks=KV_BLOCKS, oversubscription=oversubscription
    )
    return Load(workload, at_once)


@dataclass(frozen=True)
class Run:
    """What a policy came to, and which it was."""

    policy: str
    report: Report


def run_rivals(load: Load, other: Load) -> dict[str, Run]:
    """By row."""
    policies: dict[str, Policy] = {
        "fcfs": Unmanaged(),
        "thunderagent": ThunderAgent(),
        "continuum": Continuum(),
        "infercept, its own GPU": InferCept(),
        "infercept, this engine": _infercept(),
        "saga": Saga(),
        "kvflow": KVFlow(),
        "occupancy": ByOccupancy(),
        "gittins": Gittins(),
        "gittins, no bound": Gittins(patience_s=NO_BOUND_S),
    }
    found = {row: Run(p.name, _reported(load, p, other)) for row, p in policies.items()}
    found["best cap of programs"] = best_of_caps(load, FixedCap)
    found["plas, best cap of calls"] = best_of_caps(load, lambda cap: Plas(cap=cap))
    return found


def run_unlearned(load: Load) -> dict[str, Run]:
    """Those that learn, by row, knowing nothing but how fast the engine is."""
    policies = (Continuum(), Saga(), KVFlow(), ByOccupancy(), Gittins())
    return {p.name: Run(p.name, _reported(load, p)) for p in policies}


def run_pinned(load: Load, other: Load) -> dict[str, Run]:
    """Those that keep contexts, by row, on an engine that pins them."""
    load, other = (replace(each, held_blocks=KV_BLOCKS) for each in (load, other))
    policies = (Continuum(), Saga(), _infercept(), KVFlow(), ByOccupancy())
    return {p.name: Run(p.name, _reported(load, p, other)) for p in policies}


def run_deadlines(load: Load, other: Load, seed: int) -> dict[str, tuple[float, Report]]:
    """By row: which part of the programs was in time, and the rest."""
    alone, _ = replace(load, at_once=1).replay(Unmanaged())
    source = random.Random(seed)
    programs = tuple(
        replace(trace, deadline_s=source.uniform(*DEADLINES) * (r.finished_s - r.arrived_s))
        for trace, r in zip(load.workload.programs, alone.programs, strict=True)
        if r.finished_s is not None
    )
    hurried = replace(load, workload=replace(load.workload, programs=programs))
    policies: dict[str, Policy] = {"fcfs": Unmanaged()}
    for row, patience_s in (("60 s", 60.0), ("300 s", 300.0), ("no bound", NO_BOUND_S)):
        policies[f"occupancy, {row}"] = ByOccupancy(patience_s=patience_s)
        policies[f"deadline-slack, {row}"] = DeadlineSlack(patience_s=patience_s)
    return {row: _in_time(_learned_replay(hurried, p, other)) for row, p in policies.items()}


def best_of_caps(load: Load, make: Callable[[int], Policy]) -> Run:
    tried = [Run(make(cap).name, _reported(load, make(cap))) for cap in CAPS]
    return min(tried, key=lambda run: run.report.mean_completion_s)


def _infercept() -> InferCept:
    return InferCept(
        step_s=MODEL.step_s, token_s=MODEL.prefill_token_s, chunk=MODEL.max_batch_tokens
    )


def _reported(load: Load, policy: Policy, other: Load | None = None) -> Report:
    replay = load.replay(policy)[0] if other is None else _learned_replay(load, policy, other)
    return report(replay)


def _learned_replay(load: Load, policy: Policy, other: Load) -> Replay:
    _, learned = other.replay(policy)
    return load.replay(policy, learned)[0]


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
    parser.add_argument("--kinds", nargs="+", default=["swe", "browser", "fanout"])
    parser.add_argument("--programs", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--oversubscription", type=float, default=2.0)
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        loads, others = (
            [
                make_load(kind, arguments.programs, seed + away, arguments.oversubscription)
                for seed in arguments.seeds
            ]
            for away in (0, OTHER_SEED)
        )
        _print_kind(kind, loads, others)
        if kind == "swe":
            _print_deadlines(loads, others, arguments.seeds)


def _print_kind(kind: str, loads: Sequence[Load], others: Sequence[Load]) -> None:
    runs = [run_rivals(load, other) for load, other in zip(loads, others, strict=True)]
    unlearned = [run_unlearned(load) for load in loads]
    pinned = [run_pinned(load, other) for load, other in zip(loads, others, strict=True)]
    rows = {row: [run[row] for run in runs] for row in runs[0]}
    rows |= {f"{row}, nothing learned": [run[row] for run in unlearned] for row in unlearned[0]}
    rows |= {f"{row}, pinned in the engine": [run[row] for run in pinned] for row in pinned[0]}
    table = [
        [row, ", ".join(dict.fromkeys(run.policy for run in of_row)), *_figures_of(of_row)]
        for row, of_row in sorted(rows.items(), key=lambda item: _mean_of(item[1]))
    ]
    sys.stdout.write(f"{kind}: {[load.at_once for load in loads]} at once\n\n")
    _print_table(["", "policies", *HEAD], table)
    found = {row: [run.report.to_json() for run in of_row] for row, of_row in rows.items()}
    sys.stdout.write(json.dumps({"kind": kind, "rows": found}) + "\n\n")


def _print_deadlines(loads: Sequence[Load], others: Sequence[Load], seeds: Sequence[int]) -> None:
    hurried = [
        run_deadlines(load, other, seed)
        for load, other, seed in zip(loads, others, seeds, strict=True)
    ]
    table = [
        [
            row,
            f"{statistics.fmean(run[row][0] for run in hurried):.3f}",
            *_figures([run[row][1] for run in hurried]),
        ]
        for row in hurried[0]
    ]
    _print_table(["", "in time", *HEAD], table)


def _mean_of(runs: Sequence[Run]) -> float:
    return statistics.fmean(run.report.mean_completion_s for run in runs)


def _figures_of(runs: Sequence[Run]) -> list[str]:
    return _figures([run.report for run in runs])


if __name__ == "__main__":
    main()
