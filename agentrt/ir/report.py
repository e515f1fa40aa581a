"""How a run went, node by node: what `agentrt run`, `agentrt show` and `RunResult` all report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agentrt.ir.event import NodeKind
from agentrt.ir.request import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """One node instance.

    Attributes:
        started_s: When its first attempt began, in seconds since the run started; None: never.
        finished_s: When it ended, on the same scale.
        is_restored: The result came from the store; the node did not run in this sitting.
    """

    node_id: str
    kind: NodeKind
    status: Literal["finished", "failed", "skipped", "cancelled"]
    started_s: float | None = None
    finished_s: float | None = None
    attempts: int = 1
    usage: Usage = Usage()
    error: str | None = None
    is_restored: bool = False

    @property
    def duration_s(self) -> float:
        """0.0 for a node that never started."""
        if self.started_s is None or self.finished_s is None:
            return 0.0
        return self.finished_s - self.started_s


def total_usage(nodes: Iterable[NodeReport]) -> Usage:
    """The tokens of all calls. Regions repeat their children's, so only LLM calls count."""
    return sum((node.usage for node in nodes if node.kind == "llm"), Usage())
