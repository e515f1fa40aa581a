"""`ReplicaSource` and `ReplicaState`: where a replica is, and how it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from agentrt.backends.base import Backend
from agentrt.ir.request import Capabilities
from agentrt.scheduler.events import ReplicaId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSource:
    """Where a replica is, and what its operator knows better than it says.

    Attributes:
        replica_id: Its URL, without a key.
        connect: A new backend; called again each time that the server has been away.
        models: Those to serve; empty: all that it names.
        kv_tokens, max_running: None: what it says.
    """

    replica_id: ReplicaId
    connect: Callable[[], Backend]
    models: tuple[str, ...] = ()
    kv_tokens: int | None = None
    max_running: int | None = None

    def corrected(self, capabilities: Capabilities) -> Capabilities:
        """What it can do, with what is known better."""
        return replace(
            capabilities,
            models=self.models or capabilities.models,
            kv_tokens=self.kv_tokens or capabilities.kv_tokens,
            max_concurrency=self.max_running or capabilities.max_concurrency,
        )


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What people are shown of a replica.

    Attributes:
        is_up: Calls go there.
        reason: Why not; empty: they do.
        since: When that began, in seconds of the clock.
    """

    replica_id: ReplicaId
    is_up: bool
    reason: str
    since: float
    capabilities: Capabilities | None
