"""The durable store: SQLite by default, PostgreSQL where runs are shared."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from agentrt.errors import StoreError
from agentrt.ir.request import Usage
from agentrt.store.base import Record, RunRecord, RunSummary, StoredRun
from agentrt.store.claims import LocalClaims, pick_run
from agentrt.store.codec import decode_text, encode_text
from agentrt.store.database import LEASE_S, SQLDatabase
from agentrt.store.engines import parse_url
from agentrt.store.faults import describe
from agentrt.store.process import is_alive
from agentrt.store.rows import (
    ATTEMPT_COLUMNS,
    ENCODERS,
    EVENT_COLUMNS,
    NODE_COLUMNS,
    RUN_COLUMNS,
    GraphTexts,
    read_optional_text,
    read_run,
    read_stored_run,
    run_row,
)
from agentrt.store.tables import attempts, events, graphs, nodes, processes, runs
from agentrt.store.writer import GroupedWriter

_HIGHEST = "\U0010ffff"


class SQLStore:
    """Keeps runs in a database. A `RunStore`.

    Opening blocks until the tables are there; `write` and `flushed` never do.
    """

    def __init__(
        self,
        url: str,
        *,
        busy_timeout_s: float = 30.0,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
    ) -> None:
        """Open the store at `url`, or make it.

        Args:
            url: A path, `sqlite:///...` or `postgresql://...`.
            busy_timeout_s: How long to wait for the lock of another process.
            synchronous: SQLite only. `FULL`: what was reported to be on disk survives a power
                failure; `NORMAL`: it survives the death of every process, but not of the machine.

        Raises:
            StoreError: it cannot be opened; the message says what to do.
        """
        self._database = SQLDatabase(
            parse_url(url), busy_timeout_s=busy_timeout_s, synchronous=synchronous
        )
        self._writer = GroupedWriter(self._database, name="agentrt-store")
        self._claims = LocalClaims()
        self._graphs = GraphTexts()
        self._graph_keys: set[str] = set()

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return describe(self._database.url)

    def write(self, record: Record) -> None:
        if isinstance(record, RunRecord):
            self._write_run(record)
            return
        table, encode = ENCODERS[type(record)]
        self._writer.put((table, encode(record)))

    def flushed(self) -> asyncio.Future[None]:
        return self._writer.flushed()

    async def load(self, run_id: str) -> StoredRun:
        return await self._writer.call(lambda: self._database.read(lambda c: _load(c, run_id)))

    async def list_runs(self, *, limit: int = 20, workflow: str | None = None) -> list[RunSummary]:
        return await self._writer.call(
            lambda: self._database.read(
                lambda c: _list_runs(self._database, c, max(limit, 0), workflow)
            )
        )

    async def claim(self, run_id: str, owner: str) -> None:
        self._claims.check(run_id, owner)
        await self._writer.call(lambda: self._database.write(lambda c: self._claim(c, run_id)))
        # Somebody else on this loop may have been quicker.
        self._claims.check(run_id, owner)
        self._claims.add(run_id, owner)

    async def release(self, run_id: str) -> None:
        self._claims.discard(run_id)
        await self._writer.call(lambda: self._database.write(lambda c: self._release(c, run_id)))

    async def retry(self) -> None:
        await self._writer.call(self._writer.retry)

    async def aclose(self) -> None:
        await self._writer.aclose()

    def _write_run(self, record: RunRecord) -> None:
        graph = self._graphs.of(record)
        row = run_row(record, graph.key)
        if graph.key not in self._graph_keys:
            self._writer.put(("graphs", (graph.key, graph.text)))
            self._graph_keys.add(graph.key)
        if record.status != "running":
            self._claims.discard(record.run_id)  # ended, even if that cannot be written
        claimed_by = self._database.process_id if record.status == "running" else None
        self._writer.put(("runs", (*row, claimed_by)))
        self._claims.observe(record)

    def _claim(self, connection: sa.Connection, run_id: str) -> None:
        database = self._database
        # First of all, and a write: so the lock is ours from here on, and a store that another
        # process took for dead claims nothing.
        database.heartbeat(connection)
        this_run = runs.c.run_id == encode_text(run_id)
        found = connection.execute(
            sa.select(runs.c.claimed_by).where(this_run).with_for_update()
        ).one_or_none()
        if found is None:
            raise StoreError(f"There is no run {run_id!r} in this store to work on.")
        holder = found[0]
        if holder is not None and holder != database.process_id:
            _refuse_if_alive(database, connection, run_id=run_id, holder=holder)
            connection.execute(processes.delete().where(processes.c.process_id == holder))
        connection.execute(runs.update().where(this_run).values(claimed_by=database.process_id))

    def _release(self, connection: sa.Connection, run_id: str) -> None:
        mine = (runs.c.run_id == encode_text(run_id)) & (
            runs.c.claimed_by == self._database.process_id
        )
        connection.execute(runs.update().where(mine).values(claimed_by=None))


def _refuse_if_alive(
    database: SQLDatabase, connection: sa.Connection, *, run_id: str, holder: str
) -> None:
    process = database.identity(connection, holder)
    if process is None:
        return
    alive = is_alive(process)
    if alive is None:
        # On another machine: only its silence can tell.
        silence_s = database.silence_s(connection, holder)
        if silence_s > LEASE_S:
            return
        raise StoreError(
            f"Run {run_id} belongs to {process}, which showed that it lives {silence_s:.0f} s ago. "
            f"If it is dead, try again when it has been silent for {LEASE_S:.0f} s."
        )
    if alive:
        raise StoreError(
            f"Run {run_id} is under way in {process}. Wait until it ends, or end that process."
        )


def _load(connection: sa.Connection, run_id: str) -> StoredRun:
    wanted = encode_text(run_id)
    # The whole id comes first among those that begin with it.
    found = connection.execute(
        sa.select(runs.c.run_id)
        .where(runs.c.run_id >= wanted, runs.c.run_id <= wanted + _HIGHEST)
        .order_by(runs.c.run_id)
        .limit(6)
    ).scalars()
    name = pick_run(run_id, [decode_text(known) for known in found])
    key = encode_text(name)
    row = connection.execute(
        sa.select(*(runs.c[column] for column in RUN_COLUMNS), graphs.c.graph)
        .join(graphs, graphs.c.key == runs.c.graph_key)
        .where(runs.c.run_id == key)
    ).one()

    def rows(table: sa.Table, columns: Sequence[str], order: str) -> Sequence[Any]:
        return connection.execute(
            sa.select(*(table.c[column] for column in columns))
            .where(table.c.run_id == key)
            .order_by(table.c[order])
        ).all()

    return read_stored_run(
        read_run(row, row[-1]),
        nodes=rows(nodes, NODE_COLUMNS, "position"),
        attempts=rows(attempts, ATTEMPT_COLUMNS, "position"),
        events=rows(events, EVENT_COLUMNS, "seq"),
    )


def _is_interrupted(
    database: SQLDatabase, connection: sa.Connection, status: str, holder: str | None
) -> bool:
    """Whether a run that is `running` by its record has nobody to run it."""
    if status != "running" or holder == database.process_id:
        return False
    process = None if holder is None else database.identity(connection, holder)
    if process is None or holder is None:
        return True
    alive = is_alive(process)
    return database.silence_s(connection, holder) > LEASE_S if alive is None else not alive


def _list_runs(
    database: SQLDatabase, connection: sa.Connection, limit: int, workflow: str | None
) -> list[RunSummary]:
    newest = sa.select(runs).order_by(runs.c.created_at.desc(), runs.c.run_id.desc()).limit(limit)
    if workflow is not None:
        newest = newest.where(runs.c.workflow == encode_text(workflow))
    run = newest.subquery("run")
    tokens = [
        sa.func.coalesce(sa.func.sum(nodes.c[name]).filter(nodes.c.kind == "llm"), 0)
        for name in ("prompt_tokens", "cached_tokens", "completion_tokens")
    ]
    shown = (
        run.c.run_id,
        run.c.workflow,
        run.c.status,
        run.c.created_at,
        run.c.duration_s,
        run.c.error,
        run.c.claimed_by,
    )
    rows: Sequence[Any] = connection.execute(
        sa.select(*shown, sa.func.count(nodes.c.position), *tokens)
        .select_from(run.outerjoin(nodes, nodes.c.run_id == run.c.run_id))
        .group_by(*shown)
        .order_by(run.c.created_at.desc(), run.c.run_id.desc())
    ).all()
    return [
        RunSummary(
            run_id=decode_text(row[0]),
            workflow=decode_text(row[1]),
            status=row[2],
            created_at=row[3],
            duration_s=row[4],
            error=read_optional_text(row[5]),
            is_interrupted=_is_interrupted(database, connection, row[2], row[6]),
            node_count=row[7],
            usage=Usage(int(row[8]), int(row[9]), int(row[10])),
        )
        for row in rows
    ]
