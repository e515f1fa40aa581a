"""What a node costs: one case, run by one implementation."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.overhead_cases import Case, Executed
from tests.benchmarks.overhead_implementations import load
from tests.benchmarks.overhead_memory import peak_rss_mb


def measured(task: Mapping[str, Any]) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="agentrt-overhead-") as folder:
        return asyncio.run(
            measure(
                task["implementation"],
                Case(**task["case"]),
                sequential_runs=task.get("sequential_runs", 1),
                folder=Path(folder),
            )
        )


async def measure(name: str, case: Case, *, sequential_runs: int, folder: Path) -> dict[str, float]:
    """CPU and wall seconds of the case, after the graph is built and one round has warmed it up.

    Args:
        sequential_runs: How many times the case is run, one after the other, and measured as one.
    """
    implementation = load(name)
    executed = Executed()
    building_s = time.process_time()
    async with implementation.opened(case, executed, folder) as run:
        building_s = time.process_time() - building_s
        await run(min(case.runs, 10))
        executed.nodes, kept_before = 0, implementation.kept_nodes(folder)
        # Everybody starts with the collector at rest; it goes on collecting while we measure.
        gc.collect()
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        for _ in range(sequential_runs):
            await run(case.runs)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
        kept_after = implementation.kept_nodes(folder)
    expected = case.nodes * sequential_runs
    if executed.nodes != expected:
        raise RuntimeError(f"{name}: {executed.nodes} nodes ran instead of {expected}")
    if kept_before is not None and kept_after is not None and kept_after - kept_before != expected:
        raise RuntimeError(f"{name}: {kept_after - kept_before} results on disk, not {expected}")
    return {
        "nodes": expected,
        "cpu_us_per_node": cpu_s / expected * 1e6,
        "nodes_per_s": expected / wall_s,
        "build_cpu_s": building_s,
        "peak_rss_mb": peak_rss_mb(),
    }
