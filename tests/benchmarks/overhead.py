"""What running a node costs, in agentrt and elsewhere: `python -m tests.benchmarks.overhead`.

Every figure is taken in a fresh process, repetitions go round-robin over everything measured, and
medians are shown with their range. CPU time (of the whole process, all threads) is what counts;
wall time depends on what else the machine does. Frameworks that are not installed are left out,
with a line that says so: `pip install -e '.[bench]'` brings them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from tests.benchmarks.overhead_cases import CASES, Case, Shape
from tests.benchmarks.overhead_implementations import KNOWN, missing_package
from tests.benchmarks.overhead_report import render

ROOT = Path(__file__).parents[2]
GROWTH_SIZES = (125, 250, 500, 1000, 2000, 4000, 8000)
GROWTH_NODES = 8000
SHAPES: tuple[Shape, ...] = ("chain", "fan_out")
SIBLINGS: Mapping[str, Mapping[str, Any]] = {
    "agentrt": {"framework": "agentrt", "is_durable": False},
    "agentrt+sqlite": {"framework": "agentrt", "is_durable": True},
    "langgraph": {"framework": "langgraph", "is_durable": False},
}
IMPORTS: Mapping[str, str] = {
    "agentrt": "agentrt",
    "pydantic-graph": "pydantic_graph",
    "langgraph": "langgraph.graph",
    "dbos": "dbos",
}
CELL_TIMEOUT_S = 900
Measured: TypeAlias = dict[str, float]
Task: TypeAlias = tuple[str, str, str, dict[str, Any]]
"""Section, row, column; and what the child process is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    repetitions: int
    is_quick: bool
    only: Sequence[str]

    @property
    def cases(self) -> tuple[Case, ...]:
        return tuple(case.shrunk(10) for case in CASES) if self.is_quick else CASES

    @property
    def growth_sizes(self) -> tuple[int, ...]:
        return GROWTH_SIZES[::3] if self.is_quick else GROWTH_SIZES


def planned(options: Options, names: Sequence[str]) -> Iterable[Task]:
    """One repetition of everything."""
    for case in options.cases:
        for name in names:
            told = {"measure": "nodes", "implementation": name, "case": asdict(case)}
            yield "cases", name, case.name, told
    if "agentrt" in names:
        yield from _growth(options)
        yield "build", "agentrt", "", {"measure": "build"}
    for name in [each for each in SIBLINGS if each in names]:
        yield "slow_sibling", name, "", {"measure": "siblings", **SIBLINGS[name]}
    for name in [each for each in IMPORTS if each in names]:
        yield "import", name, "", {"measure": "import", "imports": IMPORTS[name]}


def _growth(options: Options) -> Iterable[Task]:
    for shape in SHAPES:
        for size in options.growth_sizes:
            case = Case(name="growth", shape=shape, width=size)
            told = {
                "measure": "nodes",
                "implementation": "agentrt",
                "case": asdict(case),
                "sequential_runs": max(GROWTH_NODES // size, 1),
            }
            yield "growth", shape, str(size), told


def in_fresh_process(task: Mapping[str, Any]) -> Measured:
    """Raises `RuntimeError` with the child's last words, `TimeoutExpired` if it has none."""
    child = subprocess.run(  # noqa: S603  our own interpreter and script
        [sys.executable, "-m", "tests.benchmarks.overhead_worker", json.dumps(task)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CELL_TIMEOUT_S,
        check=False,
        env={**os.environ, "LANGSMITH_TRACING": "false"},
    )
    if child.returncode != 0:
        words = child.stderr.strip().splitlines()
        raise RuntimeError(words[-1] if words else f"exit status {child.returncode}")
    measured: Measured = json.loads(child.stdout.strip().splitlines()[-1])
    return measured


def summary(samples: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """For each figure its median and range."""
    return {
        key: {
            "median": median(sample[key] for sample in samples),
            "min": min(sample[key] for sample in samples),
            "max": max(sample[key] for sample in samples),
        }
        for key in samples[0]
    }


def measure_all(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    names: list[str] = []
    skipped: dict[str, str] = {}
    for name in options.only or KNOWN:
        package = missing_package(name)
        if package is None:
            names.append(name)
        else:
            skipped[name] = f"{package} is not installed"
            say(f"skipped: {name}: {skipped[name]}")
    samples: dict[tuple[str, str, str], list[Measured]] = defaultdict(list)
    failures: list[str] = []
    loads = [os.getloadavg()[0]]
    for repetition in range(options.repetitions):
        for section, row, column, task in planned(options, names):
            say(f"{repetition + 1}/{options.repetitions} {section} {row} {column}")
            try:
                samples[section, row, column].append(in_fresh_process(task))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failures.append(f"{section} {row} {column}: {error}")
                say(f"failed: {failures[-1]}")
            loads.append(os.getloadavg()[0])
    sections: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for (section, row, column), measured in samples.items():
        sections[section][row][column] = summary(measured)
    return {
        "benchmark": "overhead",
        "is_quick": options.is_quick,
        "repetitions": options.repetitions,
        "machine": machine(loads),
        "versions": versions(),
        "titles": {name: KNOWN[name].title for name in names},
        "cases": [
            {**asdict(case), "nodes": case.nodes, "title": case.title} for case in options.cases
        ],
        "results": sections,
        "skipped": skipped,
        "failures": failures,
    }


def machine(loads: Sequence[float]) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": {"median": median(loads), "min": min(loads), "max": max(loads)},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def versions() -> dict[str, str]:
    found: dict[str, str] = {}
    wanted = ("agentrt", "langgraph", "langgraph-checkpoint-sqlite", "pydantic-graph", "dbos")
    for package in wanted:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.overhead", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, once")
    parser.add_argument("--repetitions", type=int, help="default: 3, with --quick 1")
    parser.add_argument("--only", nargs="+", choices=list(KNOWN), metavar="NAME", default=[])
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the JSON object here")
    words = parser.parse_args()
    repetitions = words.repetitions or (1 if words.quick else 3)
    options = Options(repetitions=repetitions, is_quick=words.quick, only=words.only)

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    report = measure_all(options, say)
    text = json.dumps(report)
    sys.stdout.write(render(report) + "\n" + text + "\n")
    if words.json is not None:
        words.json.write_text(text + "\n", encoding="utf-8")
    return 1 if report["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
