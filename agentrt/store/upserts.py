"""The statements that write rows: built by SQLAlchemy Core once, run with plain tuples.

Measured for SQLite (docs/adr/0005-run-store.md): Core's `execute` with dictionaries costs about
5 us a row, the same statement compiled once and given tuples 3 us, several rows to a statement 2.5 us.
The last also keeps the interpreter free: sqlite3 lets go of it once a statement, and a busy event
loop gives it back only after 5 ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from agentrt.errors import InvariantError
from agentrt.store.rows import (
    ATTEMPT_COLUMNS,
    EVENT_COLUMNS,
    GRAPH_COLUMNS,
    NODE_COLUMNS,
    RUN_COLUMNS,
    Row,
    TableName,
)
from agentrt.store.tables import attempts, events, graphs, nodes, runs

_COLUMNS: Mapping[TableName, tuple[sa.Table, tuple[str, ...], tuple[str, ...]]] = {
    "graphs": (graphs, GRAPH_COLUMNS, ("key",)),
    "runs": (runs, (*RUN_COLUMNS, "claimed_by"), ("run_id",)),
    "nodes": (nodes, NODE_COLUMNS, ("run_id", "node_id")),
    "attempts": (attempts, ATTEMPT_COLUMNS, ("run_id", "node_id", "attempt", "started_s")),
    "events": (events, EVENT_COLUMNS, ("run_id", "seq")),
}

# So that any number of rows takes few statements, all of them prepared once. SQLite allows 32,766
# parameters.
_SQLITE_ROWS = (512, 128, 32, 8, 2, 1)


class Upserts:
    """Writes rows into their tables; a row whose key is there replaces the one that was."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._is_sqlite = dialect.name == "sqlite"
        self._sql: dict[TableName, str] = {}
        self._sql_of_many: dict[tuple[TableName, int], str] = {}
        for table, (_, columns, _) in _COLUMNS.items():
            sql = self._sql[table] = _compile(table, dialect)
            for size in _SQLITE_ROWS if self._is_sqlite else ():
                self._sql_of_many[table, size] = _repeat_row(sql, size, len(columns))

    def write(self, connection: sa.Connection, table: TableName, rows: Sequence[Row]) -> None:
        """In the order given."""
        if not rows:
            return
        if not self._is_sqlite:
            # psycopg sends these down one pipeline, without waiting for answers in between.
            connection.exec_driver_sql(self._sql[table], list(rows))
            return
        begin = 0
        for size in _SQLITE_ROWS:
            sql = self._sql_of_many[table, size]
            while len(rows) - begin >= size:
                group = rows[begin : begin + size]
                connection.exec_driver_sql(sql, tuple(chain.from_iterable(group)))
                begin += size


def _compile(name: TableName, dialect: sa.Dialect) -> str:
    table, columns, key = _COLUMNS[name]
    row = dict.fromkeys(columns)
    if dialect.name == "sqlite":
        # REPLACE takes the old row away and appends the new one, which so gets a new position: rows
        # are read in the order they were last written.
        word = "OR IGNORE" if name == "graphs" else "OR REPLACE"
        return str(table.insert().prefix_with(word).values(row).compile(dialect=dialect))
    # Inline: nobody asks for the positions that were given out.
    statement = insert(table).values(row).inline()
    if name == "graphs":
        upsert = statement.on_conflict_do_nothing()  # the key is a hash of the rest
    else:
        replaced = [column for column in columns if column not in key]
        if "position" in table.c:
            replaced.append("position")
        upsert = statement.on_conflict_do_update(
            index_elements=list(key), set_={name: statement.excluded[name] for name in replaced}
        )
    return str(upsert.compile(dialect=dialect))


def _repeat_row(sql: str, size: int, width: int) -> str:
    """`sql`, for `size` rows: to let Core build that takes it 0.1 s a statement."""
    row = f"({', '.join('?' * width)})"
    before, found, after = sql.partition(row)
    if not found:
        raise InvariantError(f"SQLAlchemy renders rows in another way: {sql}")
    return before + ", ".join([row] * size) + after
