"""What the scheduling targets are measured on: workloads, loads, replicas, policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from agentrt.ir.workload import Workload
from agentrt.scheduler.policies import named
from agentrt.simulator.comparison import (
    Contender,
    Workers,
    carried_out,
    plan_of,
)
from agentrt.simulator.comparison_bench import Bench, Setup
from agentrt.simulator.comparison_work import Outcome, Plan
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.loads import Arriving, Load, Oversubscription
from agentrt.simulator.workloads import generate, preset

ENGINE = "llama-3-8b-a100"
KV_BLOCKS = 6_000  # less than a quarter of what that engine has: a load takes fewer programs

KINDS = ("swe", "browser", "fanout")
LOADS = (0.5, 1.0, 2.0, 4.0)
ARRIVALS: tuple[Arriving, ...] = ("closed", "poisson")
REPLICAS = (1, 4, 16, 64)
PROGRAMS = 80  # for each replica
SEEDS = 5

FCFS, BEST_CAP = "fcfs", "best-cap"

# What the default is without each of its levers. The first row is what it is held against.
ABLATIONS: tuple[tuple[str, str], ...] = (
    ("all of it", "occupancy"),
    ("no room kept for growth", "occupancy:growth_turns=0"),
    ("contexts given up at once between calls", "occupancy:space_price=1e9"),
    ("contexts kept over tools, however long", "occupancy:space_price=0,hold_limit_s=1e9"),
    ("contexts kept for ten seconds", "occupancy:space_price=0,hold_limit_s=10"),
    ("held contexts not used again", "occupancy:touches=0"),
    ("no room kept for calls to grow", "occupancy:grow_headroom=0"),
    ("never moved to another replica", "occupancy:move_factor=1e9"),
    ("moved at once", "occupancy:move_factor=0"),
    ("least attained service first", "occupancy:attained_weight=1"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """One workload on so many replicas, its programs arriving in one way."""

    kind: str
    arrivals: Arriving
    replicas: int


@dataclass(frozen=True, slots=True)
class Case:
    """A place under a load."""

    place: Place
    times: float

    @property
    def load(self) -> Load:
        return Oversubscription(self.times, self.place.arrivals)


Results = dict[Case, dict[str, list[Outcome]]]
"""By case and policy: an outcome for each seed, in the seeds' order."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is run.

    Attributes:
        programs: For each replica.
    """

    seeds: tuple[int, ...]
    programs: int
    kv_blocks: int
    workers: Workers
    tell: Callable[[str], None]


def made(kind: str, programs: int, seed: int) -> Workload:
    """A function with a name: it is sent to other processes."""
    return generate(preset(kind, programs=programs), seed=seed)


def bench_of(
    kind: str,
    programs: int,
    effort: Effort,
    *,
    replicas: int = 1,
    tenants: dict[str, float] | None = None,
    deadlines: dict[str, float] | None = None,
) -> Bench:
    setup = Setup(
        model=PRESETS[ENGINE],
        kv_blocks=effort.kv_blocks,
        replicas=replicas,
        tenants=tenants or {},
        deadlines=deadlines or {},
    )
    return Bench(partial(made, kind, programs), setup)


def contender(label: str, policy: str | None = None) -> Contender:
    """`best-cap` is found by trying; the rest are policies by name."""
    return Contender(label, None if label == BEST_CAP else partial(named, policy or label))


def run_cases(cases: Sequence[Case], policies: dict[str, str], effort: Effort) -> Results:
    """Every policy on every case, with every seed.

    The best cap is searched for with the first seed. With the others it and those tried next to it
    are run, and the best of these three is taken for each seed.
    """
    found: Results = {}
    for place in dict.fromkeys(case.place for case in cases):
        there = [case for case in cases if case.place == place]
        effort.tell(f"{place.kind}, {place.arrivals}, {place.replicas} replicas")
        bench = bench_of(
            place.kind, effort.programs * place.replicas, effort, replicas=place.replicas
        )
        found |= _run_place(bench, there, policies, effort)
    return found


def _run_place(
    bench: Bench, cases: Sequence[Case], policies: dict[str, str], effort: Effort
) -> Results:
    asked = [contender(label, policy) for label, policy in policies.items()]
    first, *rest = effort.seeds
    wanted = [(case, one, first) for case in cases for one in asked]
    done = _carried_out(
        bench, [plan_of(one, case.load, seed) for case, one, seed in wanted], effort
    )
    found: Results = {case: {label: [] for label in policies} for case in cases}
    for (case, one, _), outcome in zip(wanted, done, strict=True):
        found[case][one.label].append(outcome)
    wanted = [
        (case, run, seed)
        for seed in rest
        for case in cases
        for one in asked
        for run in _with_neighbours(one, found[case][one.label][0])
    ]
    done = _carried_out(
        bench, [plan_of(one, case.load, seed) for case, one, seed in wanted], effort
    )
    caps: dict[tuple[Case, int], list[Outcome]] = {}
    for (case, one, seed), outcome in zip(wanted, done, strict=True):
        if one.label in policies:
            found[case][one.label].append(outcome)
        else:
            caps.setdefault((case, seed), []).append(outcome)
    for (case, _), tried in caps.items():
        found[case][BEST_CAP].append(min(tried, key=lambda o: o.report.mean_completion_s))
    return found


def _with_neighbours(one: Contender, first: Outcome) -> Iterator[Contender]:
    best = first.cap
    if best is None:
        yield one
        return
    caps = [trial.cap for trial in first.trials]
    at = caps.index(best)
    for cap in caps[max(0, at - 1) : at + 2]:
        yield Contender(f"cap-{cap}, near the best", partial(named, f"cap-{cap}"))


def _carried_out(bench: Bench, plans: Sequence[Plan], effort: Effort) -> list[Outcome]:
    if not plans:
        return []
    return carried_out(bench, plans, on_run=effort.tell, workers=effort.workers)
