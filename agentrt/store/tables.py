"""The tables. docs/store.md says what each column means and in which unit."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql.type_api import TypeEngine

SCHEMA_VERSION = 2

metadata = sa.MetaData()


def _text() -> TypeEngine[str]:
    """Compared byte by byte in both databases, so that a prefix is a range."""
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _big() -> TypeEngine[int]:
    # SQLite gives a row its number only where the column is an INTEGER, which has 64 bits there.
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _tokens() -> list[sa.Column[int]]:
    return [
        sa.Column(name, _big(), nullable=False)
        for name in ("prompt_tokens", "cached_tokens", "completion_tokens")
    ]


schema_version = sa.Table(
    "schema_version",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
)

graphs = sa.Table(
    "graphs",
    metadata,
    sa.Column("key", _text(), primary_key=True),
    sa.Column("graph", sa.Text, nullable=False),
)

processes = sa.Table(
    "processes",
    metadata,
    sa.Column("process_id", _text(), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", _big(), nullable=False),
    sa.Column("started", sa.Text, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", _text(), primary_key=True),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("graph_hash", sa.Text, nullable=False),
    sa.Column("graph_key", sa.Text, nullable=False),
    sa.Column("input", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("output", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("duration_s", sa.Double, nullable=False),
    sa.Column("claimed_by", sa.Text),
    sa.Index("runs_by_age", "created_at", "run_id"),
)

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("position", _big(), primary_key=True),
    sa.Column("run_id", _text(), nullable=False),
    sa.Column("node_id", _text(), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    *_tokens(),
    sa.Column("attempts", _big(), nullable=False),
    sa.Column("started_s", sa.Double, nullable=False),
    sa.Column("finished_s", sa.Double),
    sa.UniqueConstraint("run_id", "node_id", name="nodes_by_run"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("position", _big(), primary_key=True),
    sa.Column("run_id", _text(), nullable=False),
    sa.Column("node_id", _text(), nullable=False),
    sa.Column("attempt", _big(), nullable=False),
    sa.Column("started_s", sa.Double, nullable=False),
    sa.Column("finished_s", sa.Double, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("model", sa.Text, nullable=False),
    *_tokens(),
    sa.Column("ttft_s", sa.Double),
    sa.Column("detail", sa.Text, nullable=False),
    sa.UniqueConstraint("run_id", "node_id", "attempt", "started_s", name="attempts_by_run"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("run_id", _text(), primary_key=True),
    sa.Column("seq", _big(), primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at_s", sa.Double, nullable=False),
    sa.Column("node_id", sa.Text),
    sa.Column("body", sa.Text, nullable=False),
)

gateway_state = sa.Table(
    "gateway_state",
    metadata,
    sa.Column("name", _text(), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("saved_at", sa.Double, nullable=False),
)
