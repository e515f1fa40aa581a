"""The rows of the targets' table: what is measured, on which cases, and what it should come to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from agentrt.simulator.comparison_work import Outcome
from tests.benchmarks.scheduling_cases import BEST_CAP, FCFS, Case, Place, Results

OURS = "ours"
CALM, FULL = 0.5, 2.0
MEAN_KINDS = ("swe", "browser")
CALM_FIGURES = ("mean_completion_s", "p50_s", "p95_s", "p99_s", "programs_per_min")


@dataclass(frozen=True, slots=True)
class Spread:
    """Over the seeds."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.median:.3f}"
        return f"{self.median:.3f} ({self.least:.3f}..{self.most:.3f})"


@dataclass(frozen=True, slots=True)
class Row:
    """A target.

    Attributes:
        is_met: What the median over the seeds must be.
        needs: The cases it is measured on.
        value: Of some replicas and arrivals; each case has what its policies came to, by seed.
    """

    name: str
    what: str
    target: str
    is_met: Callable[[float], bool]
    needs: Callable[[Case], bool]
    value: Callable[[dict[Case, dict[str, list[Outcome]]]], Spread | None]


def _ratio(figure: str, over: str, under: str) -> Callable[[dict[str, list[Outcome]]], list[float]]:
    """Of each seed: a figure of one policy over that of another."""

    def of(found: dict[str, list[Outcome]]) -> list[float]:
        pairs = zip(found[over], found[under], strict=True)
        return [_divided(getattr(a.report, figure), getattr(b.report, figure)) for a, b in pairs]

    return of


def _divided(a: float, b: float) -> float:
    if b == 0:
        return 1.0 if a == 0 else math.inf
    return a / b


def spread_of(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def _speedup(over: str) -> Callable[[Results], Spread | None]:
    """The geometric mean over the kinds, of each seed."""

    def value(cases: Results) -> Spread | None:
        if {case.place.kind for case in cases} != set(MEAN_KINDS):
            return None
        ratios = [_ratio("mean_completion_s", over, OURS)(found) for found in cases.values()]
        return spread_of(
            [statistics.geometric_mean(of_seed) for of_seed in zip(*ratios, strict=True)]
        )

    return value


def _worst(ratio: Callable[[dict[str, list[Outcome]]], list[float]]) -> Callable[[Results], Spread]:
    """The case with the largest median."""

    def value(cases: Results) -> Spread:
        return max(
            (spread_of(ratio(found)) for found in cases.values()), key=lambda spread: spread.median
        )

    return value


def _distances(found: dict[str, list[Outcome]]) -> list[float]:
    return [outcome.report.belady_distance or 1.0 for outcome in found[OURS]]


def _peak(cases: Results) -> Spread:
    """The largest throughput of any load, ours over FCFS's; the kind with the lowest median."""
    kinds = {case.place.kind for case in cases}
    spreads: list[Spread] = []
    for kind in sorted(kinds):
        of_kind = [found for case, found in cases.items() if case.place.kind == kind]
        seeds = range(len(of_kind[0][OURS]))
        spreads.append(
            spread_of(
                [_divided(_most(of_kind, OURS, seed), _most(of_kind, FCFS, seed)) for seed in seeds]
            )
        )
    return min(spreads, key=lambda spread: spread.median)


def _most(found: Sequence[dict[str, list[Outcome]]], label: str, seed: int) -> float:
    return max(by_label[label][seed].report.programs_per_min for by_label in found)


def _deviations(found: dict[str, list[Outcome]]) -> list[float]:
    """Of each seed: by which part the worst of the figures is worse than FCFS's."""
    worse: list[list[float]] = []
    for figure in CALM_FIGURES:
        ratios = _ratio(figure, OURS, FCFS)(found)
        is_rate = figure == "programs_per_min"
        worse.append([1.0 - r if is_rate else r - 1.0 for r in ratios])
    return [max(of_seed) for of_seed in zip(*worse, strict=True)]


def _is_full_mean(case: Case) -> bool:
    return case.times == FULL and case.place.kind in MEAN_KINDS


def _is_pressed(case: Case) -> bool:
    return case.times > CALM


ROWS: tuple[Row, ...] = (
    Row(
        "mean",
        "mean completion time, FCFS over ours, at 2x, geo-mean of swe and browser",
        ">= 2.0",
        lambda value: value >= 2.0,
        _is_full_mean,
        _speedup(FCFS),
    ),
    Row(
        "best-cap",
        "the same, best swept cap over ours",
        ">= 1.15",
        lambda value: value >= 1.15,
        _is_full_mean,
        _speedup(BEST_CAP),
    ),
    *(
        Row(
            name,
            f"{what}, ours over FCFS, the worst of all workloads and loads from 1x on",
            "<= 1",
            lambda value: value <= 1.0,
            _is_pressed,
            _worst(_ratio(figure, OURS, FCFS)),
        )
        for name, what, figure in (
            ("p99", "p99 completion time", "p99_s"),
            ("program-wait", "longest that a program stood still", "max_program_wait_s"),
            ("call-wait", "longest that a call waited", "max_call_wait_s"),
        )
    ),
    Row(
        "belady",
        "prefix misses over the optimum's, at 2x, the worst workload",
        "<= 1.12",
        lambda value: value <= 1.12,
        lambda case: case.times == FULL,
        _worst(_distances),
    ),
    Row(
        "peak",
        "peak throughput (of all loads), ours over FCFS's, the worst workload",
        ">= 0.97",
        lambda value: value >= 0.97,
        lambda _: True,
        _peak,
    ),
    Row(
        "calm",
        "at 0.5x: by which part mean, p50, p95, p99 or throughput is worse than FCFS's",
        "<= 0.01",
        lambda value: value <= 0.01,
        lambda case: case.times == CALM,
        _worst(_deviations),
    ),
)


def needed_cases(
    rows: Sequence[Row], places: Sequence[Place], loads: Sequence[float]
) -> list[Case]:
    """What these rows are measured on, each once, by place."""
    cases = [Case(place, times) for place, times in product(places, loads)]
    return [case for case in cases if any(row.needs(case) for row in rows)]


def row_value(row: Row, results: Results, arrivals: str, replicas: int) -> Spread | None:
    """None if nothing of it was run."""
    cases = {
        case: found
        for case, found in results.items()
        if row.needs(case) and (case.place.arrivals, case.place.replicas) == (arrivals, replicas)
    }
    return row.value(cases) if cases else None
