"""The seam to durable storage: what is kept of a run, and the protocol that keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from agentrt.ir.event import NodeKind, RunStatus
from agentrt.ir.request import Usage
from agentrt.ir.schema import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run. Written when it starts; `status`, `output`, `error`, `duration_s` when it ends.

    Attributes:
        target: Where the workflow can be loaded from again (`path.py:workflow`), or "".
        graph: The declared graph, as JSON; its hash decides whether a resume is allowed.
        created_at: Seconds since the Unix epoch.
        duration_s: Seconds the run has been under way, all its sittings together.
    """

    run_id: str
    workflow: str
    target: str = ""
    graph_hash: str
    graph: Json
    input: Json
    status: RunStatus = "running"
    output: Json = None
    error: str | None = None
    created_at: float
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A finished node instance and its result, or a `write` call about to start.

    Keyed by (run_id, node_id): a later record replaces an earlier one. Of repeatable nodes only the
    end is recorded: losing the start loses nothing.

    Attributes:
        status: `started` is written only for calls that must not be repeated silently, and is on
            disk before the call is made.
        value: The result as JSON (`finished`), the error as text (`failed`).
        attempts: How many attempts it took.
        started_s: Seconds since the run started.
    """

    run_id: str
    node_id: str
    kind: NodeKind
    status: Literal["started", "finished", "failed", "skipped"]
    value: Json = None
    usage: Usage = Usage()
    attempts: int = 1
    started_s: float = 0.0
    finished_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One try of a node instance.

    An attempt that succeeds first time is told by its NodeRecord; this is written for every attempt
    of a node that needed more than one, and for every LLM call.

    Attributes:
        detail: What else is kept of an LLM call, for replaying it: `docs/store.md` has the fields.
    """

    run_id: str
    node_id: str
    attempt: int
    status: Literal["finished", "failed"]
    error: str | None = None
    model: str = ""
    usage: Usage = Usage()
    ttft_s: float | None = None
    started_s: float
    finished_s: float
    detail: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One line of a run's event log, for replay and for people. `seq` orders them in the run."""

    run_id: str
    seq: int
    kind: str
    at_s: float
    node_id: str | None = None
    body: Json = None


Record: TypeAlias = RunRecord | NodeRecord | AttemptRecord | EventRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """Everything the store knows of one run; nodes and attempts in the order they ended."""

    run: RunRecord
    nodes: Sequence[NodeRecord] = ()
    attempts: Sequence[AttemptRecord] = ()
    events: Sequence[EventRecord] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A line of `agentrt runs`.

    Attributes:
        is_interrupted: The run is `running` by its record, but the process that ran it is gone: it
            was killed, and can be resumed.
    """

    run_id: str
    workflow: str
    status: RunStatus
    created_at: float
    duration_s: float
    node_count: int
    usage: Usage = field(default_factory=Usage)
    error: str | None = None
    is_interrupted: bool = False


class RunStore(Protocol):
    """Keeps runs. Writes are ordered and grouped: one flush (one fsync) serves many records.

    What `write` accepted earlier is on disk no later than what it accepted later. Reads see
    everything written before them.
    """

    def write(self, record: Record) -> None:
        """Queue `record`; never blocks, never touches the disk.

        Values are encoded here, so that later changes to them do not matter. A `RunRecord` with
        status `running` claims its run for this store; one with any other status gives it back.

        Raises:
            StoreError: the record holds what cannot be stored (NaN, an object, 10,000 levels of
                nesting): it is refused, all else goes on. Or an earlier write failed: what was
                queued before is kept in memory for `retry`, this record is refused.
        """
        ...

    def flushed(self) -> asyncio.Future[None]:
        """A future, of the running loop, that is done once everything written so far is on disk.

        It fails with `StoreError`. Calls between two flushes share one future, which cannot be
        cancelled: a task that awaits it and is cancelled ends with the flush; `asyncio.shield` it
        to end at once.
        """
        ...

    async def load(self, run_id: str) -> StoredRun:
        """What is kept of a run, by its id or an unambiguous prefix of it.

        Raises:
            StoreError: there is no such run, or several.
        """
        ...

    async def list_runs(self, *, limit: int = 20, workflow: str | None = None) -> list[RunSummary]:
        """Newest first. Usage is that of the LLM calls: regions repeat their children's."""
        ...

    async def claim(self, run_id: str, owner: str) -> None:
        """Make `owner`, in this process, the one that works on the stored run `run_id`.

        For resuming: a new run is claimed by writing it. Claiming again as the same owner is fine.
        The claim ends with `release`, with the record that ends the run, with `aclose`, or with
        the death of the process, `kill -9` included.

        Args:
            run_id: The whole id.
            owner: Tells apart those who share this store.

        Raises:
            StoreError: somebody else, in this or another live process, is working on the run, or
                there is no such run.
        """
        ...

    async def release(self, run_id: str) -> None:
        """Give back a run that was claimed, without changing what is kept of it. Idempotent."""
        ...

    async def retry(self) -> None:
        """After a failure: write again what is queued; when it succeeds, the store works again.

        Raises:
            StoreError: it failed again.
        """
        ...

    async def aclose(self) -> None:
        """Flush, then let go of files, threads, connections and claims. Idempotent.

        Raises:
            StoreError: the last flush failed; everything is let go of all the same.
        """
        ...
