"""One connection, one thread: the transactions of a durable store."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from agentrt.errors import StoreError
from agentrt.store.engines import READS, make_engine
from agentrt.store.faults import describe, explain
from agentrt.store.process import ProcessIdentity, this_process
from agentrt.store.rows import TABLE_NAMES, Row, TableName
from agentrt.store.schema import prepare
from agentrt.store.tables import processes, runs
from agentrt.store.upserts import Upserts
from agentrt.store.writer import TableRow

T = TypeVar("T")

HEARTBEAT_S = 15.0
LEASE_S = 60.0
"""How long a process on another machine may be silent before its runs may be taken over."""


class SQLDatabase:
    """What the writer's thread does to SQLite or PostgreSQL. All methods raise `StoreError`.

    Attributes:
        process_id: This store, as `runs.claimed_by` names it.
    """

    def __init__(self, url: URL, *, busy_timeout_s: float, synchronous: str) -> None:
        self.url = url
        self.process_id = secrets.token_hex(16)
        self._identity = this_process()
        self._engine = make_engine(url, busy_timeout_s=busy_timeout_s, synchronous=synchronous)
        self._upserts = Upserts(self._engine.dialect)
        self._connection: sa.Connection | None = None
        self._file = _File(None, None)
        self._graph_keys: set[str] = set()
        self._is_registered = False
        self._seen_at = 0.0
        self._beat_at: float | None = None
        """When the transaction under way wrote a heartbeat: it counts once that is committed."""

    def open(self) -> None:
        self._guard(lambda: prepare(self._connect(), name=describe(self.url)))
        self._file = _File.now(self.url)

    def commit(self, rows: Sequence[TableRow]) -> None:
        """All of `rows`, in one transaction."""
        self._file.check()
        by_table: dict[TableName, list[Row]] = {name: [] for name in TABLE_NAMES}
        for table, row in rows:
            by_table[table].append(row)
        self.write(lambda connection: self._put(connection, by_table))

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """`work` in a transaction that may write. `work` may be called twice."""

        def writing() -> T:
            self._beat_at = None
            result = self._in_transaction(work)
            self._confirm_heartbeat()
            return result

        return self._guard(writing)

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """`work` in a transaction that sees one state of the database and waits for no lock."""

        def reading() -> T:
            connection = self._connect()
            connection.info[READS] = True
            try:
                return self._in_transaction(work)
            finally:
                connection.info.pop(READS, None)

        return self._guard(reading)

    def tick(self) -> None:
        """Show that this process lives, if it is time and anybody could ask."""
        if not self._is_registered or time.monotonic() - self._seen_at < HEARTBEAT_S:
            return
        try:
            self.write(self.heartbeat)
        except StoreError:
            # Whoever writes next meets the same fault, and can be told.
            return

    def heartbeat(self, connection: sa.Connection) -> None:
        """Part of a transaction: this process lives.

        Raises:
            StoreError: another process took this one for dead, and may work on its runs.
        """
        self._beat_at = time.monotonic()
        if not self._is_registered:
            row = {
                "process_id": self.process_id,
                "host": self._identity.host,
                "pid": self._identity.pid,
                "started": self._identity.started,
                "seen_at": _now(connection),
            }
            connection.execute(processes.insert().values(row))
        else:
            mine = processes.c.process_id == self.process_id
            told = connection.execute(
                processes.update().where(mine).values(seen_at=_now(connection))
            )
            if told.rowcount == 0:
                raise StoreError(
                    f"This process was silent for over {LEASE_S:g} s, so that another one took its "
                    "runs over. Nothing of them was written since; end this one."
                )

    def _confirm_heartbeat(self) -> None:
        if self._beat_at is not None:
            self._is_registered, self._seen_at = True, self._beat_at

    def silence_s(self, connection: sa.Connection, process_id: str) -> float:
        """Seconds since that process last showed that it lives, by the database's clock."""
        silence = connection.execute(
            sa.select(_now(connection) - processes.c.seen_at).where(
                processes.c.process_id == process_id
            )
        ).scalar_one()
        return float(silence)

    def identity(self, connection: sa.Connection, process_id: str) -> ProcessIdentity | None:
        """Who that is; None: it went away in an orderly manner."""
        row = connection.execute(
            sa.select(processes.c.host, processes.c.pid, processes.c.started).where(
                processes.c.process_id == process_id
            )
        ).one_or_none()
        return None if row is None else ProcessIdentity(row[0], row[1], row[2])

    def close(self) -> None:
        """Give back what this process claimed, as far as that is possible, and the connection."""
        try:
            if self._is_registered:
                self.write(self._sign_off)
        except StoreError:
            # The process is about to end or to forget this store; the claims fall with it.
            self._is_registered = False
        finally:
            self._disconnect()
            self._engine.dispose()

    def _put(self, connection: sa.Connection, by_table: Mapping[TableName, Sequence[Row]]) -> None:
        if self._is_registered:
            if time.monotonic() - self._seen_at >= HEARTBEAT_S:
                self.heartbeat(connection)
        elif by_table["runs"]:
            self.heartbeat(connection)
        for table, rows in by_table.items():
            self._upserts.write(connection, table, rows)

    def _sign_off(self, connection: sa.Connection) -> None:
        mine = self.process_id
        connection.execute(runs.update().where(runs.c.claimed_by == mine).values(claimed_by=None))
        connection.execute(processes.delete().where(processes.c.process_id == mine))

    def _in_transaction(self, work: Callable[[sa.Connection], T]) -> T:
        connection = self._connect()
        with connection.begin():
            return work(connection)

    def _connect(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _guard(self, work: Callable[[], T]) -> T:
        for is_last in (False, True):
            try:
                return work()
            except (SQLAlchemyError, OSError) as error:
                self._disconnect()
                # The server was restarted since the last transaction. Rows are keyed, so if the
                # commit did arrive, writing them again changes nothing.
                is_lost = isinstance(error, DBAPIError) and error.connection_invalidated
                if is_last or not is_lost:
                    raise explain(error, self.url) from error
        raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class _File:
    """Which file an SQLite store is: SQLite writes on to one that was deleted, as if nothing were.

    Attributes:
        path: None for a server.
        inode: Its device and number when it was opened.
    """

    path: str | None
    inode: tuple[int, int] | None

    @classmethod
    def now(cls, url: URL) -> _File:
        if url.get_backend_name() != "sqlite" or url.database is None:
            return cls(None, None)
        return cls(url.database, _inode(url.database))

    def check(self) -> None:
        if self.path is not None and _inode(self.path) != self.inode:
            raise StoreError(
                f"The store {self.path} was moved, deleted or replaced while it was in use. "
                "Put it back where it was and run again."
            )


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  called for every group: a Path costs four times this
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _now(connection: sa.Connection) -> sa.ColumnElement[float]:
    """The database's own clock, in seconds since the Unix epoch: the one all processes share."""
    if connection.dialect.name == "sqlite":
        return sa.literal_column("(julianday('now') - 2440587.5) * 86400.0", sa.Double)
    return sa.literal_column("extract(epoch from clock_timestamp())::float8", sa.Double)
