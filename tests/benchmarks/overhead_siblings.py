"""How long a ready node waits while unrelated siblings sleep: the graph's bodies, and the measure."""

from __future__ import annotations

import asyncio
import importlib
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIBLINGS = 200
FAST_S = 0.1
SLOW_S = 1.0


class Timed:
    """Bodies of the slow-sibling graph, the same for every framework; they tell when they ran."""

    def __init__(self) -> None:
        self.ready_s = 0.0
        self.started_s = 0.0

    async def fast(self) -> None:
        await asyncio.sleep(FAST_S)
        self.ready_s = time.perf_counter()

    async def after_fast(self) -> None:
        self.started_s = time.perf_counter()

    async def slow(self) -> None:
        await asyncio.sleep(SLOW_S)


def measured(task: Mapping[str, Any]) -> dict[str, float]:
    """Seconds from a node's input being there to its start, while 200 siblings sleep a second."""
    timed = Timed()
    framework = importlib.import_module(f"tests.benchmarks.overhead_siblings_{task['framework']}")
    with tempfile.TemporaryDirectory(prefix="agentrt-overhead-") as folder:
        asyncio.run(framework.run(timed, Path(folder) if task["is_durable"] else None))
    return {"start_delay_s": timed.started_s - timed.ready_s}
