"""What happened, durably."""

from agentrt.store.base import (
    AttemptRecord,
    EventRecord,
    NodeRecord,
    Record,
    RunRecord,
    RunStore,
    RunSummary,
    StoredRun,
)
from agentrt.store.memory import MemoryStore
from agentrt.store.open import open_store

__all__ = [
    "AttemptRecord",
    "EventRecord",
    "MemoryStore",
    "NodeRecord",
    "Record",
    "RunRecord",
    "RunStore",
    "RunSummary",
    "StoredRun",
    "open_store",
]
