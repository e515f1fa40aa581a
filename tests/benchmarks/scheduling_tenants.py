"""Two tenants on the same replicas: deadlines met, and what a flood does to a single program."""

from __future__ import annotations

from agentrt.simulator.comparison import carried_out, plan_of
from agentrt.simulator.comparison_bench import Bench
from agentrt.simulator.comparison_work import Outcome
from agentrt.simulator.loads import Load
from agentrt.simulator.workloads import ClosedLoop
from tests.benchmarks.scheduling_cases import Effort, bench_of, contender

QUIET, BUSY = "quiet", "busy"
SHARES = {QUIET: 1.0, BUSY: 9.0}
DEADLINE = 1.5  # times what a program takes alone
KINDS = ("swe", "browser")
FLOOD_KIND = "browser"

TenantResults = dict[str, list[Outcome]]
"""By policy: an outcome for each seed."""


def with_deadlines(
    kind: str, load: Load, replicas: int, policies: dict[str, str], effort: Effort
) -> TenantResults:
    """A tenth of the programs have deadlines, the rest are in their way."""
    bench = bench_of(
        kind,
        effort.programs * replicas,
        effort,
        replicas=replicas,
        tenants=SHARES,
        deadlines={QUIET: DEADLINE},
    )
    return _run(bench, load, policies, effort)


def flooded(programs: int, policies: dict[str, str], effort: Effort) -> TenantResults:
    """One program of one tenant, with so many of another there from the start, on one replica."""
    tenants = {QUIET: 1.0, BUSY: float(programs)}
    bench = bench_of(FLOOD_KIND, programs + 1, effort, tenants=tenants)
    return _run(bench, ClosedLoop(programs + 1), policies, effort)


def attainments(found: list[Outcome]) -> list[float]:
    """Of each seed: which share of the programs with a deadline made it."""
    return [outcome.report.slo_attainment or 0.0 for outcome in found]


def slowdowns(found: list[Outcome]) -> list[float]:
    """Of each seed: how many times longer than alone the quiet tenant's programs took."""
    return [outcome.report.tenants[QUIET].mean_slowdown for outcome in found]


def _run(bench: Bench, load: Load, policies: dict[str, str], effort: Effort) -> TenantResults:
    asked = [contender(label, policy) for label, policy in policies.items()]
    plans = [plan_of(one, load, seed) for seed in effort.seeds for one in asked]
    done = carried_out(bench, plans, on_run=effort.tell, workers=effort.workers)
    found: TenantResults = {}
    for outcome in done:
        found.setdefault(outcome.label, []).append(outcome)
    return found
