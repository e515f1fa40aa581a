"""Makes the tables where there are none, and knows a store of another version when it sees one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from agentrt.errors import StoreError
from agentrt.store.tables import SCHEMA_VERSION, gateway_state, metadata, schema_version

# Any number will do, as long as it is ours: everyone who creates the tables asks for this lock.
_LOCK_ID = 0x_A6E7_0001
_WAL_TRIES = 50
_OLDEST = 1

_ADDED: Mapping[int, tuple[sa.Table, ...]] = MappingProxyType({2: (gateway_state,)})
"""Tables that a version has and the one before it had not. Nothing else has ever changed."""


def prepare(connection: sa.Connection, *, name: str) -> None:
    """Create what is missing, also in a store of an older agentrt; two processes may do so at once.

    Raises:
        StoreError: the store was written by a newer agentrt, or belongs to another program.
    """
    if connection.dialect.name == "sqlite":
        _use_wal(connection)
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_ID})")
        present = set(sa.inspect(connection).get_table_names())
        if schema_version.name in present:
            _check_version(connection, name=name)
            return
        taken = sorted(present & set(metadata.tables))
        if taken:
            raise StoreError(
                f"{name} belongs to another program: it has tables of its own called "
                f"{', '.join(taken)}. Give agentrt a file or database of its own."
            )
        metadata.create_all(connection, checkfirst=False)
        connection.execute(schema_version.insert().values(version=SCHEMA_VERSION))


def _check_version(connection: sa.Connection, *, name: str) -> None:
    found = connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar()
    if found == SCHEMA_VERSION:
        return
    if isinstance(found, int) and found > SCHEMA_VERSION:
        raise StoreError(
            f"{name} was written by a newer agentrt (schema {found}; this one reads "
            f"{SCHEMA_VERSION}). Upgrade agentrt, or name another store."
        )
    if not isinstance(found, int) or found < _OLDEST:
        raise StoreError(
            f"{name} has schema {found}; this agentrt reads {SCHEMA_VERSION}. Name another store."
        )
    added = [table for version in range(found + 1, SCHEMA_VERSION + 1) for table in _ADDED[version]]
    metadata.create_all(connection, tables=added, checkfirst=False)
    connection.execute(schema_version.update().values(version=SCHEMA_VERSION))


def _use_wal(connection: sa.Connection) -> None:
    """Readers and the writer do not block one another in this mode; it stays with the file."""
    for last in [False] * _WAL_TRIES + [True]:
        try:
            # Outside a transaction, where alone the mode can change.
            cursor = connection.connection.cursor()
            try:
                cursor.execute("PRAGMA journal_mode=WAL")
            finally:
                cursor.close()
        except Exception as error:
            # Two processes that both change it collide, and SQLite does not wait here.
            if last or "locked" not in str(error):
                raise OperationalError("PRAGMA journal_mode", None, error) from error
            time.sleep(0.02)
        else:
            return
