"""Which store a name opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentrt.store import MemoryStore, RunStore, open_store
from agentrt.store.engines import parse_url
from agentrt.store.sql import SQLStore


async def place_of(store: RunStore) -> str:
    assert isinstance(store, SQLStore)
    await store.aclose()
    return store.url


async def test_without_a_name_it_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "platformdirs.user_data_path", lambda *_, **__: tmp_path / "share" / "agentrt"
    )
    own = tmp_path / "share" / "agentrt" / "runs.db"
    assert await place_of(open_store()) == str(own)
    assert own.exists()


async def test_the_users_own_can_be_elsewhere(tmp_path: Path) -> None:
    place = tmp_path / "new" / "data"
    assert await place_of(open_store(data_dir=place)) == str(place / "runs.db")


async def test_a_path_and_an_sqlite_url_name_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    file = str(tmp_path / "x.db")
    for name in ("x.db", "./x.db", file, f"sqlite:///{file}", "sqlite:///x.db", "~/x.db"):
        assert await place_of(open_store(name)) == file


async def test_a_file_name_with_odd_characters_is_that_file(tmp_path: Path) -> None:
    file = tmp_path / "r\u00fcns #1 100%?x=1;.db"
    assert await place_of(open_store(str(file))) == str(file)
    assert file.exists()


@pytest.mark.parametrize("name", ["memory:", "memory://"])
def test_memory_names_a_store_that_forgets(name: str) -> None:
    assert isinstance(open_store(name), MemoryStore)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_takes_psycopg_3(scheme: str) -> None:
    url = parse_url(f"{scheme}://me:secret@host:5433/runs?sslmode=require")
    assert url.render_as_string(hide_password=False) == (
        "postgresql+psycopg://me:secret@host:5433/runs?sslmode=require"
    )


async def test_its_address_does_not_tell_the_password(postgres_url: str) -> None:
    store = open_store(postgres_url.replace("postgres@", "postgres:s3cret@"))
    place = await place_of(store)
    assert place.startswith("postgresql://postgres:***@/postgres?")
