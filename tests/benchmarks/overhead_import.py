"""What an import costs. This module imports nothing that the interpreter has not loaded anyway."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import Any

from tests.benchmarks.overhead_memory import peak_rss_mb


def measured(task: Mapping[str, Any]) -> dict[str, float]:
    """Of importing `task["imports"]` here; memory is that of the whole process."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    importlib.import_module(task["imports"])
    return {
        "wall_s": time.perf_counter() - wall_s,
        "cpu_s": time.process_time() - cpu_s,
        "rss_mb": peak_rss_mb(),
    }
