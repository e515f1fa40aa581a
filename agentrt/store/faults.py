"""What went wrong in a database, in words that say what to do about it."""

from __future__ import annotations

from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from agentrt.errors import StoreError

_SQLITE_ADVICE = (
    (
        "database is locked",
        "another process keeps it locked. Wait for it or end it, then try again",
    ),
    ("database table is locked", "another process keeps it locked. Wait for it or end it"),
    ("readonly database", "it, or the directory it is in, is read-only. Make both writable"),
    ("unable to open database file", "its directory is missing or may not be written to"),
    ("disk is full", "the disk is full. Make room on it; what was not written is still in memory"),
    ("file is not a database", "that file is not an agentrt store. Name another file"),
    ("malformed", "the file is damaged. Move it away and restore a copy, or begin a new one"),
    ("disk I/O error", "the disk fails, or took the file away. Check it, or name another file"),
    ("too big", "a value is larger than SQLite can hold. Keep such data in a file"),
)
_POSTGRESQL_ADVICE = (
    ("lock timeout", "another process keeps it locked. Wait for it or end it, then try again"),
    ("password authentication failed", "the server refuses that user and password"),
    ("no password supplied", "the server wants a password: postgresql://USER:PASSWORD@HOST/NAME"),
    ("does not exist", "the user, the database or a table is missing. Create it"),
    ("could not translate host name", "there is no such host"),
    ("failed to resolve host", "there is no such host"),
    ("connection refused", "nothing listens there. Start the server or correct the URL"),
    ("timeout", "the server does not answer in time. Check the address and its firewall"),
    ("permission denied", "that user may not do this. Grant it CREATE on the schema"),
    ("read-only transaction", "it is a read-only replica. Name the primary"),
    ("no space left", "the server's disk is full. Make room on it"),
    ("disk full", "the server's disk is full. Make room on it"),
)


def explain(error: Exception, url: URL) -> StoreError:
    """The `StoreError` for whatever a driver or the system raised about the store at `url`."""
    said = str(error.__cause__ or error) if isinstance(error, SQLAlchemyError) else str(error)
    said = " ".join(said.split())
    advice = _SQLITE_ADVICE if url.get_backend_name() == "sqlite" else _POSTGRESQL_ADVICE
    for sign, words in advice:
        if sign in said.lower() or sign in said:
            return StoreError(f"The store {describe(url)} cannot be used: {words}. ({said})")
    return StoreError(f"The store {describe(url)} failed: {said or type(error).__name__}")


def describe(url: URL) -> str:
    """The store's address, without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)
