"""CPU seconds of declaring, tracing and linting 100 layers of 10 and a join, and of compiling it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from agentrt.compiler.pipeline import compile_graph
from tests.benchmarks.overhead_agentrt import declare
from tests.benchmarks.overhead_cases import Case, Executed

CASE = Case(name="layers", shape="layers", width=10, depth=100)


def measured(_task: Mapping[str, Any]) -> dict[str, float]:
    """The medians of five, after one that warms the interpreter up."""
    traced_s: list[float] = []
    compiled_s: list[float] = []
    for _ in range(6):
        start_s = time.process_time()
        graph = declare(CASE, Executed()).trace().graph  # tracing lints
        traced_s.append(time.process_time() - start_s)
        start_s = time.process_time()
        compile_graph(graph)
        compiled_s.append(time.process_time() - start_s)
    return {
        "nodes": CASE.nodes,
        "trace_and_lint_s": median(traced_s[1:]),
        "compile_s": median(compiled_s[1:]),
    }
