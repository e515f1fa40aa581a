"""The scheduling targets, each by one command, in simulation.

    python -m tests.benchmarks.scheduling_targets                        all of it: hours
    python -m tests.benchmarks.scheduling_targets --quick                a minute or two, not the targets
    python -m tests.benchmarks.scheduling_targets --rows mean,best-cap --replicas 64
    python -m tests.benchmarks.scheduling_targets --rows p99,program-wait,call-wait,belady,peak
    python -m tests.benchmarks.scheduling_targets --rows calm
    python -m tests.benchmarks.scheduling_targets --rows slo
    python -m tests.benchmarks.scheduling_targets --rows flood
    python -m tests.benchmarks.scheduling_targets --rows ablations

Prints tables in Markdown; with `--json FILE` every run's figures go there. Ratios are of the same
seed; a cell is the median over the seeds (least..most).

What it does not show: anything of a real server (engines are modelled, see docs/engine-model.md);
other workloads than these made-up ones; recorded ones (tests/benchmarks/recorded_workloads.py);
a scheduler that has learned beforehand (each run begins knowing nothing); and steady state: the
start, when all programs of a closed loop come at once, and the end, when places stay empty, are in
all figures. The best cap is the best of those tried for the mean, with the first seed; with the
others it and its two neighbours are run and the best is taken.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

from agentrt.cli.simulate_jobs import workers
from agentrt.simulator.comparison_work import Outcome
from agentrt.simulator.loads import Arriving, Load, Oversubscription
from tests.benchmarks import scheduling_cases as cases
from tests.benchmarks.scheduling_cases import (
    ABLATIONS,
    BEST_CAP,
    FCFS,
    Case,
    Effort,
    Place,
    Results,
    run_cases,
)
from tests.benchmarks.scheduling_rows import (
    FULL,
    OURS,
    ROWS,
    Row,
    Spread,
    needed_cases,
    row_value,
    spread_of,
)
from tests.benchmarks.scheduling_tables import table, tell
from tests.benchmarks.scheduling_tenants import (
    KINDS as TENANT_KINDS,
)
from tests.benchmarks.scheduling_tenants import (
    TenantResults,
    attainments,
    flooded,
    slowdowns,
    with_deadlines,
)
from tests.benchmarks.scheduling_words import ABLATION_ROWS, FLOOD, SLO, asked_for

FIGURES = (
    "mean_completion_s",
    "p95_s",
    "p99_s",
    "max_program_wait_s",
    "max_call_wait_s",
    "hit_ratio",
    "belady_distance",
    "programs_per_min",
    "jain_index",
)
FLOOD_PROGRAMS, QUICK_FLOOD_PROGRAMS = 1_000, 100


class Run:
    """What was asked for, and what came of it."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.effort = Effort(
            seeds=tuple(range(asked.first_seed, asked.first_seed + asked.seeds)),
            programs=asked.programs,
            kv_blocks=asked.kv_blocks,
            workers=workers(asked.jobs),
            tell=tell,
        )
        self.records: list[dict[str, Any]] = []
        self.verdicts: list[dict[str, Any]] = []
        self._columns = list(product(asked.replicas, asked.arrivals))

    def print_all(self) -> None:
        self._print_head()
        rows = [row for row in ROWS if row.name in self.asked.rows]
        results = self._results(rows)
        verdicts = [self._row(row, results) for row in rows]
        if SLO in self.asked.rows:
            verdicts.append(self._slo())
        if FLOOD in self.asked.rows:
            verdicts.append(self._flood())
        if verdicts:
            heads = [f"{replicas} x, {arrivals}" for replicas, arrivals in self._columns]
            table(["row", "what", "target", *heads], verdicts)
        self._print_figures(results)
        if ABLATION_ROWS in self.asked.rows:
            self._print_ablations()

    def _print_head(self) -> None:
        asked = self.asked
        sys.stdout.write(
            f"Replicas of {cases.ENGINE} with {asked.kv_blocks} KV blocks, {asked.programs} programs "
            f"each; seeds {self.effort.seeds[0]} to {self.effort.seeds[-1]}; ours: `{asked.ours}`. "
            "Medians (least..most). `!`: the target is not met.\n\n"
        )

    def _results(self, rows: Sequence[Row]) -> Results:
        asked = self.asked
        places = [
            Place(kind, arrivals, replicas)
            for replicas, arrivals in self._columns
            for kind in asked.kinds
        ]
        policies = {FCFS: FCFS, OURS: asked.ours}
        if any(row.name == "best-cap" for row in rows):
            policies[BEST_CAP] = BEST_CAP
        results = run_cases(needed_cases(rows, places, asked.loads), policies, self.effort)
        for case, found in results.items():
            about = {"section": "targets", "load": case.times, **_of_place(case.place)}
            self._record(about, found)
        return results

    def _row(self, row: Row, results: Results) -> list[str]:
        cells = [
            row_value(row, results, arrivals, replicas) for replicas, arrivals in self._columns
        ]
        return self._verdict(row.name, row.what, row.target, cells, row.is_met)

    def _verdict(
        self,
        name: str,
        what: str,
        target: str,
        cells: Sequence[Spread | None],
        is_met: Callable[[float], bool],
    ) -> list[str]:
        texts: list[str] = []
        for (replicas, arrivals), spread in zip(self._columns, cells, strict=True):
            if spread is None:
                texts.append("-")
                continue
            met = is_met(spread.median)
            texts.append(f"{spread}{'' if met else ' !'}")
            self.verdicts.append(
                {
                    "row": name,
                    "target": target,
                    "replicas": replicas,
                    "arrivals": arrivals,
                    "median": spread.median,
                    "range": [spread.least, spread.most],
                    "is_met": met,
                }
            )
        return [name, what, target, *texts]

    # -- tenants -----------------------------------------------------------------------------

    def _slo(self) -> list[str]:
        policies = {FCFS: FCFS, OURS: self.asked.ours}
        cells: list[Spread | None] = []
        for replicas, arrivals in self._columns:
            spreads: list[Spread] = []
            for kind in [kind for kind in self.asked.kinds if kind in TENANT_KINDS]:
                found = with_deadlines(
                    kind, self._slo_load(arrivals), replicas, policies, self.effort
                )
                self._record({"section": SLO, **_of_place(Place(kind, arrivals, replicas))}, found)
                tell(f"{kind}, {arrivals}: FCFS met {spread_of(attainments(found[FCFS]))}")
                spreads.append(spread_of(attainments(found[OURS])))
            cells.append(min(spreads, key=lambda spread: spread.median) if spreads else None)
        what = (
            "deadlines met (1.5 x alone) by a tenant with a tenth of the programs, at "
            f"{self.asked.slo_load:g}x, the worst workload"
        )
        return self._verdict(SLO, what, ">= 0.995", cells, lambda value: value >= 0.995)

    def _slo_load(self, arrivals: Arriving) -> Load:
        return Oversubscription(self.asked.slo_load, arrivals)

    def _flood(self) -> list[str]:
        many = QUICK_FLOOD_PROGRAMS if self.asked.quick else FLOOD_PROGRAMS
        found = flooded(many, {FCFS: FCFS, OURS: self.asked.ours}, self.effort)
        self._record({"section": FLOOD, "programs": many}, found)
        tell(f"flood: under FCFS {spread_of(slowdowns(found[FCFS]))}")
        spread = spread_of(slowdowns(found[OURS]))
        what = f"a single program's time over alone, with {many} of another tenant, on one replica"
        cells: list[Spread | None] = [spread, *([None] * (len(self._columns) - 1))]
        return self._verdict(FLOOD, what, "<= 2", cells, lambda value: value <= 2.0)

    # -- tables ------------------------------------------------------------------------------

    def _print_figures(self, results: Results) -> None:
        rows = [
            [
                case.place.kind,
                str(case.place.replicas),
                case.place.arrivals,
                f"{case.times:g}",
                label,
                *(_figure(found, figure) for figure in FIGURES),
            ]
            for case, by_label in results.items()
            for label, found in by_label.items()
        ]
        if rows:
            table(["workload", "replicas", "arrivals", "X", "policy", *FIGURES], rows)

    def _print_ablations(self) -> None:
        replicas, arrivals = self._columns[0]
        policies = dict(ABLATIONS)
        base = ABLATIONS[0][0]
        there = [Case(Place(kind, arrivals, replicas), FULL) for kind in self.asked.kinds]
        results = run_cases(there, policies, self.effort)
        for case, found in results.items():
            self._record({"section": ABLATION_ROWS, **_of_place(case.place)}, found)
        rows = [
            [
                label,
                f"`{policy}`",
                *(
                    cell
                    for case in there
                    for cell in (
                        _over(results[case][label], results[case][base], "mean_completion_s"),
                        _over(results[case][label], results[case][base], "p99_s"),
                    )
                ),
            ]
            for label, policy in ABLATIONS
        ]
        heads = [f"{kind}: {figure}" for kind in self.asked.kinds for figure in ("mean", "p99")]
        sys.stdout.write(f"At {FULL:g}x, {arrivals}, {replicas} replicas; over the first row:\n\n")
        table(["without", "policy", *heads], rows)

    def _record(
        self, about: dict[str, Any], found: dict[str, list[Outcome]] | TenantResults
    ) -> None:
        for label, outcomes in found.items():
            for outcome in outcomes:
                figures = outcome.report.to_json()
                del figures["modelled"]
                run = {"policy": label, "seed": outcome.seed, "cap": outcome.cap}
                self.records.append(about | run | figures)


def _of_place(place: Place) -> dict[str, Any]:
    return {"kind": place.kind, "arrivals": place.arrivals, "replicas": place.replicas}


def _figure(found: Sequence[Outcome], figure: str) -> str:
    spread = spread_of([getattr(outcome.report, figure) or 0.0 for outcome in found])
    digits = 1 if figure.endswith("_s") else 3
    if spread.least == spread.most:
        return f"{spread.median:.{digits}f}"
    return f"{spread.median:.{digits}f} ({spread.least:.{digits}f}..{spread.most:.{digits}f})"


def _over(found: Sequence[Outcome], base: Sequence[Outcome], figure: str) -> str:
    pairs = zip(found, base, strict=True)
    return str(spread_of([getattr(a.report, figure) / getattr(b.report, figure) for a, b in pairs]))


def main(words: Sequence[str] | None = None) -> None:
    asked = asked_for(sys.argv[1:] if words is None else words, __doc__ or "")
    began = time.monotonic()
    run = Run(asked)
    run.print_all()
    if asked.json is not None:
        told = {name: value for name, value in vars(asked).items() if name not in {"json", "jobs"}}
        whole = {"settings": told, "rows": run.verdicts, "runs": run.records}
        asked.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(_limits() + "\n")
    tell(f"took {time.monotonic() - began:.0f} s")


def _limits() -> str:
    return next(part for part in _paragraphs(__doc__ or "") if part.startswith("What it does not"))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield " ".join(paragraph.split())


if __name__ == "__main__":
    main()
