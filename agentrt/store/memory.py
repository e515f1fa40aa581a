"""A store that forgets: for one-shot runs and for tests. The same rules as the durable one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agentrt.errors import StoreError
from agentrt.ir.request import Usage
from agentrt.store.base import Record, RunRecord, RunSummary, StoredRun
from agentrt.store.claims import LocalClaims, pick_run
from agentrt.store.rows import (
    ENCODERS,
    GraphTexts,
    Row,
    TableName,
    read_run,
    read_stored_run,
    run_row,
)


@dataclass(slots=True)
class _Tables:
    """One run's rows, keyed as the database keys them."""

    nodes: dict[str, Row] = field(default_factory=dict[str, Row])
    attempts: dict[Row, Row] = field(default_factory=dict[Row, Row])
    events: dict[int, Row] = field(default_factory=dict[int, Row])

    def put(self, table: TableName, row: Row) -> None:
        match table:
            case "nodes":
                self.nodes.pop(row[1], None)  # a row written again moves to the end
                self.nodes[row[1]] = row
            case "attempts":
                self.attempts.pop(row[1:4], None)
                self.attempts[row[1:4]] = row
            case "events":
                self.events[row[1]] = row
            case "runs" | "graphs":
                raise AssertionError(table)


class MemoryStore:
    """Keeps runs until the process ends. A `RunStore`.

    Values are encoded when they are written, as in the durable store: what cannot be stored there
    is refused here too, and changing a value later changes nothing here.
    """

    def __init__(self) -> None:
        self._runs: dict[str, tuple[Row, str]] = {}
        self._tables: dict[str, _Tables] = {}
        self._graphs = GraphTexts()
        self._claims = LocalClaims()

    def write(self, record: Record) -> None:
        if isinstance(record, RunRecord):
            graph = self._graphs.of(record)
            self._runs[record.run_id] = (run_row(record, graph.key), graph.text)
            self._claims.observe(record)
            return
        table, encode = ENCODERS[type(record)]
        row = encode(record)
        self._tables.setdefault(record.run_id, _Tables()).put(table, row)

    def flushed(self) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def load(self, run_id: str) -> StoredRun:
        found = [known for known in self._runs if known.startswith(run_id)]
        name = pick_run(run_id, found)
        tables = self._tables.get(name, _Tables())
        return read_stored_run(
            read_run(*self._runs[name]),
            nodes=list(tables.nodes.values()),
            attempts=list(tables.attempts.values()),
            events=[tables.events[seq] for seq in sorted(tables.events)],
        )

    async def list_runs(self, *, limit: int = 20, workflow: str | None = None) -> list[RunSummary]:
        runs = [read_run(*kept) for kept in self._runs.values()]
        if workflow is not None:
            runs = [run for run in runs if run.workflow == workflow]
        runs.sort(key=lambda run: (run.created_at, run.run_id), reverse=True)
        return [self._summary(run) for run in runs[: max(limit, 0)]]

    async def claim(self, run_id: str, owner: str) -> None:
        if run_id not in self._runs:
            raise StoreError(f"There is no run {run_id!r} in this store to work on.")
        self._claims.check(run_id, owner)
        self._claims.add(run_id, owner)

    async def release(self, run_id: str) -> None:
        self._claims.discard(run_id)

    async def retry(self) -> None:
        """Nothing fails here, so there is nothing to write again."""

    async def aclose(self) -> None:
        """There is nothing to let go of; the runs stay readable."""

    def _summary(self, run: RunRecord) -> RunSummary:
        nodes = list(self._tables.get(run.run_id, _Tables()).nodes.values())
        calls = (Usage(*row[5:8]) for row in nodes if row[2] == "llm")
        return RunSummary(
            run_id=run.run_id,
            workflow=run.workflow,
            status=run.status,
            created_at=run.created_at,
            duration_s=run.duration_s,
            node_count=len(nodes),
            usage=sum(calls, Usage()),
            error=run.error,
        )
