"""Every implementation by name. Modules are imported when asked for: memory is measured too."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from tests.benchmarks.overhead_cases import Implementation


@dataclass(frozen=True, slots=True)
class Known:
    """An implementation that is not loaded yet: `packages` are the distributions it needs."""

    title: str
    module: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    packages: tuple[str, ...] = ()


KNOWN: Mapping[str, Known] = {
    "asyncio": Known("asyncio TaskGroup (floor)", "floor", "TaskGroupFloor"),
    "agentrt": Known("agentrt", "agentrt", "AgentRT", {"is_durable": False}),
    "pydantic-graph": Known(
        "pydantic-graph", "pydantic_graph", "PydanticGraph", packages=("pydantic-graph",)
    ),
    "langgraph": Known(
        "langgraph", "langgraph", "LangGraph", {"is_durable": False}, ("langgraph",)
    ),
    "agentrt+sqlite": Known("agentrt + SQLite", "agentrt", "AgentRT", {"is_durable": True}),
    "agentrt+sqlite+events": Known(
        "agentrt + SQLite, watched", "agentrt", "AgentRT", {"is_durable": True, "is_watched": True}
    ),
    "langgraph+sqlite": Known(
        "langgraph + SQLite",
        "langgraph",
        "LangGraph",
        {"is_durable": True},
        ("langgraph", "langgraph-checkpoint-sqlite"),
    ),
    "dbos": Known("dbos + SQLite", "dbos", "DBOSSteps", packages=("dbos",)),
}
"""In the order of the table: in memory first, then durable."""


def load(name: str) -> Implementation:
    known = KNOWN[name]
    module = importlib.import_module(f"tests.benchmarks.overhead_{known.module}")
    implementation: Implementation = getattr(module, known.kind)(**known.options)
    return implementation


def missing_package(name: str) -> str | None:
    """The first distribution it needs that is not installed."""
    for package in KNOWN[name].packages:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            return package
    return None
