"""Several policies on the same workloads: each load, each seed, each policy, one report each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agentrt.errors import InvariantError
from agentrt.scheduler.policy import Policy
from agentrt.simulator.comparison_bench import Bench, Worker
from agentrt.simulator.comparison_caps import best_cap_plan
from agentrt.simulator.comparison_work import (
    Job,
    Outcome,
    Plan,
    Result,
    Simulation,
    Work,
    job_text,
)
from agentrt.simulator.loads import Load

FIGURES = (
    "mean_completion_s",
    "p50_s",
    "p95_s",
    "p99_s",
    "mean_slowdown",
    "p99_slowdown",
    "max_wait_s",
    "max_call_wait_s",
    "max_program_wait_s",
    "hit_ratio",
    "belady_hit_ratio",
    "belady_distance",
    "prompt_tokens",
    "computed_tokens",
    "prewarmed_tokens",
    "shed",
    "programs_per_min",
    "jain_index",
    "slo_attainment",
)
"""The figures of a report that a comparison shows, in this order."""

TENANT_FIGURES = (
    "mean_completion_s",
    "p99_s",
    "mean_slowdown",
    "p99_slowdown",
    "slo_attainment",
)
"""Those of each tenant."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A policy in a comparison.

    Attributes:
        make: A new policy for each run; None: the best of all caps, found by trying them.
    """

    label: str
    make: Callable[[], Policy] | None


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over several seeds."""

    median: float
    least: float
    most: float


Workers: TypeAlias = Callable[[Bench, Work, Callable[[str], None]], None]
"""Does all the work there is, and tells of each job when it begins."""


def one_by_one(bench: Bench, work: Work, on_run: Callable[[str], None]) -> None:
    """All of it in this process."""
    worker = Worker(bench)
    while (ticket := work.take()) is not None:
        on_run(job_text(ticket.job))
        work.give(ticket, worker.do(ticket.job))


def compare(
    bench: Bench,
    contenders: Sequence[Contender],
    *,
    loads: Sequence[Load],
    seeds: Sequence[int],
    on_run: Callable[[str], None] = lambda _: None,
    workers: Workers = one_by_one,
) -> tuple[Outcome, ...]:
    """Every contender on every load with every seed, by load, then by contender, then by seed.

    Args:
        on_run: Told of each job what it is, before it begins.
        workers: Who does the work; it makes no difference to what comes of it.

    Raises:
        InputError: a workload without programs, or a load or setup that cannot be.
    """
    plans: list[Plan] = []
    places: list[tuple[int, int, int]] = []
    for turn, seed in enumerate(seeds):
        for rank, load in enumerate(loads):
            for place, contender in enumerate(contenders):
                plans.append(plan_of(contender, load, seed))
                places.append((rank, place, turn))
    outcomes = carried_out(bench, plans, on_run=on_run, workers=workers)
    found = sorted(zip(places, outcomes, strict=True), key=lambda item: item[0])
    return tuple(outcome for _, outcome in found)


def carried_out(
    bench: Bench,
    plans: Sequence[Plan],
    *,
    on_run: Callable[[str], None] = lambda _: None,
    workers: Workers = one_by_one,
) -> list[Outcome]:
    """What comes of each plan. Those of one seed should be together: a worker keeps one workload."""
    work = Work(plans)
    workers(bench, work, on_run)
    if not work.is_done:
        raise InvariantError("the workers left something undone")
    return work.outcomes()


def plan_of(contender: Contender, load: Load, seed: int) -> Plan:
    """What one policy on one workload takes."""
    if contender.make is None:
        return best_cap_plan(load, seed, contender.label)
    return _one_run(Simulation(load, seed, contender.label, contender.make))


def grouped(outcomes: Sequence[Outcome]) -> Iterator[tuple[Load, dict[str, list[Outcome]]]]:
    """The outcomes of each load, by label, as `compare` has them in order."""
    loads: dict[Load, dict[str, list[Outcome]]] = {}
    for outcome in outcomes:
        loads.setdefault(outcome.load, {}).setdefault(outcome.label, []).append(outcome)
    yield from loads.items()


def spread(outcomes: Sequence[Outcome], figure: str, tenant: str | None = None) -> Spread | None:
    """A figure of the reports: the median over the seeds, and from where to where it goes.

    None if it has no value in any of them.
    """
    reports = [
        outcome.report if tenant is None else outcome.report.tenants[tenant] for outcome in outcomes
    ]
    found: list[float | None] = [getattr(report, figure) for report in reports]
    values = [value for value in found if value is not None]
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def _one_run(simulation: Simulation) -> Generator[Sequence[Job], Sequence[Result], Outcome]:
    (found,) = yield [simulation]
    if not isinstance(found, Outcome):
        raise InvariantError(f"this is no outcome: {found!r}")
    return found
