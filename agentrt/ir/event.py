"""What happens in a run, in the order it happens. Observers and the store see the same events.

Times are seconds since the run started (by the runtime's clock; a resumed run goes on counting
where the stored part ended). `node_id` names a node instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from agentrt.ir.request import Usage

NodeKind: TypeAlias = Literal["tool", "llm", "agent", "plan", "map", "branch", "loop"]
RunStatus: TypeAlias = Literal["running", "finished", "partial", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """`is_resumed`: the run goes on from the store."""

    run_id: str
    workflow: str
    at_s: float
    is_resumed: bool = False


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """An attempt at a node instance began; `attempt` counts from 1. Regions start once."""

    run_id: str
    node_id: str
    kind: NodeKind
    attempt: int
    at_s: float


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt failed and another follows after `retry_in_s` seconds."""

    run_id: str
    node_id: str
    attempt: int
    error: str
    retry_in_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class TokensReceived:
    """Text streamed in for a node. Seen by observers, not stored."""

    run_id: str
    node_id: str
    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node instance finished, and its result is on disk if the run is stored."""

    run_id: str
    node_id: str
    kind: NodeKind
    value: Any
    usage: Usage
    started_s: float
    at_s: float
    is_restored: bool = False


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A node instance failed for good."""

    run_id: str
    node_id: str
    error: str
    at_s: float


@dataclass(frozen=True, slots=True)
class NodeSkipped:
    """A node instance will not run, because `because` (another instance) failed."""

    run_id: str
    node_id: str
    because: str
    at_s: float


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run ended; nothing of it is left running."""

    run_id: str
    status: RunStatus
    at_s: float
    error: str | None = None


Event: TypeAlias = (
    RunStarted
    | NodeStarted
    | AttemptFailed
    | TokensReceived
    | NodeFinished
    | NodeFailed
    | NodeSkipped
    | RunFinished
)
