"""The benchmark itself: it counts what ran and what was kept, and its report says what was missed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import overhead_nodes
from tests.benchmarks.overhead import Options, planned, summary
from tests.benchmarks.overhead_cases import CASES, Case, Executed, RunCase
from tests.benchmarks.overhead_implementations import KNOWN
from tests.benchmarks.overhead_report import render

OURS = ("asyncio", "agentrt", "agentrt+sqlite", "agentrt+sqlite+events")
TINY = (
    Case(name="chain", shape="chain", width=3),
    Case(name="fan_out", shape="fan_out", width=3),
    Case(name="layers", shape="layers", width=2, depth=3),
    Case(name="many", shape="chain", width=2, runs=12),
)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("case", TINY, ids=lambda case: case.name)
def test_every_node_of_a_case_runs(name: str, case: Case) -> None:
    measured = overhead_nodes.measured({"implementation": name, "case": asdict(case)})
    assert measured["nodes"] == case.nodes


def test_the_cases_are_those_of_the_issue() -> None:
    assert [(case.title, case.nodes) for case in CASES] == [
        ("chain of 1,000", 1000),
        ("fan-out of 1,000 and a join", 1001),
        ("100 layers of 10 and a join", 1100),
        ("1,000 runs of 10 at once", 10_000),
    ]


async def test_an_implementation_that_skips_nodes_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Lazy:
        @asynccontextmanager
        async def opened(
            self, case: Case, executed: Executed, folder: Path
        ) -> AsyncIterator[RunCase]:
            async def run(times: int) -> None:
                executed.nodes += case.nodes_per_run * times - 1

            yield run

        def kept_nodes(self, folder: Path) -> int | None:
            return None

    monkeypatch.setattr(overhead_nodes, "load", lambda name: Lazy())
    with pytest.raises(RuntimeError, match="lazy: 2 nodes ran instead of 3"):
        await overhead_nodes.measure("lazy", TINY[0], sequential_runs=1, folder=tmp_path)


async def test_a_durable_implementation_that_keeps_too_little_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Forgetful:
        @asynccontextmanager
        async def opened(
            self, case: Case, executed: Executed, folder: Path
        ) -> AsyncIterator[RunCase]:
            async def run(times: int) -> None:
                executed.nodes += case.nodes_per_run * times

            yield run

        def kept_nodes(self, folder: Path) -> int | None:
            return 0

    monkeypatch.setattr(overhead_nodes, "load", lambda name: Forgetful())
    with pytest.raises(RuntimeError, match="forgetful: 0 results on disk, not 3"):
        await overhead_nodes.measure("forgetful", TINY[0], sequential_runs=1, folder=tmp_path)


def test_one_repetition_measures_every_implementation_on_every_case() -> None:
    options = Options(repetitions=1, is_quick=False, only=())
    cells = [
        (row, column)
        for section, row, column, _ in planned(options, list(KNOWN))
        if section == "cases"
    ]
    assert sorted(cells) == sorted((name, case.name) for name in KNOWN for case in CASES)


def test_a_report_says_which_targets_were_missed_and_what_failed() -> None:
    def cell(us: float) -> Any:
        return summary([{"cpu_us_per_node": us, "nodes_per_s": 4000.0, "peak_rss_mb": 40.0}])

    text = render(
        {
            "is_quick": False,
            "repetitions": 1,
            "machine": {
                "python": "3.11",
                "system": "Linux",
                "cores": 2,
                "processor": "P",
                "load_average": {"median": 1.0, "min": 1.0, "max": 1.0},
            },
            "versions": {"agentrt": "0.1.0"},
            "titles": {"agentrt": "agentrt", "agentrt+sqlite": "agentrt + SQLite"},
            "cases": [{"name": "many", "title": "1,000 runs of 10 at once"}],
            "results": {
                "cases": {"agentrt": {"many": cell(26.0)}, "agentrt+sqlite": {"many": cell(50.0)}},
            },
            "skipped": {"dbos": "dbos is not installed"},
            "failures": ["cases langgraph many: it broke"],
        }
    )
    rows = [[word.strip() for word in line.strip("|").split("|")] for line in text.splitlines()]
    verdicts = [row for row in rows if row[-1] in {"met", "NOT MET"}]
    assert verdicts == [
        ["in memory, many", "<= 25 us", "26.0 us", "NOT MET"],
        ["durable, many", "<= 60 us", "50.0 us", "met"],
        ["durable, many", ">= 5,000 nodes/s", "4,000 nodes/s", "NOT MET"],
    ]
    assert "- dbos: dbos is not installed" in text
    assert "- cases langgraph many: it broke" in text
