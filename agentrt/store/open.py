"""Which store a URL names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentrt.errors import StoreError
from agentrt.store.documents import Documents, MemoryDocuments
from agentrt.store.memory import MemoryStore

if TYPE_CHECKING:
    from agentrt.store.base import RunStore

FILE_NAME = "runs.db"
_MEMORY = frozenset({"memory:", "memory://"})


def open_store(url: str | None = None, *, data_dir: Path | None = None) -> RunStore:
    """The store at `url`, made if it is not there. Blocks while it is opened.

    Args:
        url: `memory:`, the path of an SQLite file, `sqlite:///...` or `postgresql://...`; None: the
            user's own store, an SQLite file.
        data_dir: The directory of the user's own store; None: the system's place for such data.

    Raises:
        StoreError: it cannot be opened; the message says what to do.
    """
    if url in _MEMORY:
        return MemoryStore()
    # SQLAlchemy takes a quarter of a second to import.
    from agentrt.store.sql import SQLStore  # noqa: PLC0415

    return SQLStore(_durable(url, data_dir))


def file_of(url: str) -> Path | None:
    """The file of the store at `url`; None: it is kept in none, or `url` names no store."""
    if url in _MEMORY or not url.strip():
        return None
    from agentrt.store.engines import parse_url  # noqa: PLC0415  as above

    try:
        parsed = parse_url(url)
    except StoreError:
        return None
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database
    return Path(parsed.database) if is_file and parsed.database else None


def open_documents(url: str | None = None, *, data_dir: Path | None = None) -> Documents:
    """What a gateway keeps, in the store at `url`: as `open_store`."""
    if url in _MEMORY:
        return MemoryDocuments()
    from agentrt.store.sql_documents import SQLDocuments  # noqa: PLC0415  as above

    return SQLDocuments(_durable(url, data_dir))


def _durable(url: str | None, data_dir: Path | None) -> str:
    if url is None:
        return str(_default_path(data_dir))
    if not url.strip():
        raise StoreError("The store's name is empty. Name a file, a URL, or memory:")
    return url


def _default_path(data_dir: Path | None) -> Path:
    if data_dir is None:
        from platformdirs import user_data_path  # noqa: PLC0415

        data_dir = user_data_path("agentrt", appauthor=False)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The directory {data_dir} cannot be made ({error.strerror}). "
            "Name another place with --store."
        ) from error
    return data_dir / FILE_NAME
