"""A store's URL as a database engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from agentrt.errors import StoreError

CONNECT_TIMEOUT_S = 10

READS = "agentrt_reads"
"""Set in a connection's `info` while it only reads, and so needs nobody's lock."""


def parse_url(text: str) -> URL:
    """`sqlite:///file`, `postgresql://...`, or the path of an SQLite file.

    Raises:
        StoreError: it is none of these.
    """
    if "://" not in text:
        return URL.create("sqlite", database=str(Path(text).expanduser().absolute()))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise _unknown(text) from None  # the cause may quote the URL, and with it the password
    match url.drivername:
        case "sqlite":
            if not url.database or url.database == ":memory:":
                raise StoreError('For a store that keeps nothing, write "memory:".')
            return url.set(database=str(Path(url.database).expanduser().absolute()))
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return url.set(drivername="postgresql+psycopg")
        case _:
            raise _unknown(text)


def make_engine(url: URL, *, busy_timeout_s: float, synchronous: str) -> sa.Engine:
    """An engine that opens a connection each time it is asked for one; we keep ours.

    Raises:
        StoreError: the driver is not installed.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, busy_timeout_s=busy_timeout_s, synchronous=synchronous)
    return _postgresql_engine(url, lock_timeout_s=busy_timeout_s)


def _postgresql_engine(url: URL, *, lock_timeout_s: float) -> sa.Engine:
    try:
        engine = sa.create_engine(
            url,
            poolclass=NullPool,
            hide_parameters=True,
            paramstyle="format",
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                # A server whose machine vanished is noticed within a minute, not in two hours.
                "keepalives_idle": 30,
                "tcp_user_timeout": 60_000,
            },
        )
    except ImportError as error:
        raise StoreError(
            "A PostgreSQL store needs psycopg: pip install 'agentrt[postgres]'."
        ) from error

    def set_up(connection: DBAPIConnection, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {max(1, round(lock_timeout_s * 1000))}")
        cursor.close()
        connection.commit()

    event.listen(engine, "connect", set_up)
    return engine


def _sqlite_engine(url: URL, *, busy_timeout_s: float, synchronous: str) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={
            "timeout": busy_timeout_s,
            # The writer's thread opens and uses it; this only allows the interpreter's own
            # shutdown to close it.
            "check_same_thread": False,
            # No transactions of the driver's own: `begin` below decides.
            "isolation_level": None,
        },
    )

    def set_up(connection: DBAPIConnection, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.close()

    def begin(connection: sa.Connection) -> None:
        # A transaction that reads first and writes later could not wait for another process's
        # lock: SQLite refuses at once, since what was read may be stale.
        connection.exec_driver_sql("BEGIN" if connection.info.get(READS) else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", begin)
    return engine


def _unknown(text: str) -> StoreError:
    scheme = text.partition("://")[0]
    return StoreError(
        f"There is no store of the kind {scheme!r}. Name a file, sqlite:///FILE, "
        "postgresql://USER:PASSWORD@HOST/NAME, or memory:"
    )
