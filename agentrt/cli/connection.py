"""Which backends and which store a command works with: its options, then the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentrt.cli.failure import UsageError

if TYPE_CHECKING:
    from agentrt.runtime.settings import Settings
    from agentrt.store.base import RunStore

NO_STORE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user said; None leaves it to the environment, then to the defaults."""

    backend: str | None = None
    small: str | None = None
    model: str | None = None
    store: str | None = None
    record: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which store, before it is opened. `url` None: the user's own, below `data_dir`."""

    url: str | None
    data_dir: Path

    @property
    def is_kept(self) -> bool:
        """Whether there is a store at all."""
        return self.url != NO_STORE

    def open(self) -> RunStore:
        """Open it.

        Raises:
            UsageError: there is none.
            StoreError: it cannot be opened.
        """
        from agentrt.store.open import open_store  # noqa: PLC0415  loads SQLAlchemy

        if not self.is_kept:
            raise UsageError("the store is set to none, so no runs are kept")
        return open_store(self.url, data_dir=self.data_dir)

    def open_to_read(self) -> RunStore:
        """Open it for its runs: a file that was named and is not there is a slip, and is not made.

        Raises:
            UsageError: there is none.
            StoreError: it cannot be opened.
        """
        from agentrt.store.open import file_of  # noqa: PLC0415  as above

        file = None if self.url is None or not self.is_kept else file_of(self.url)
        if file is not None and not file.exists():
            raise UsageError(
                f"there is no store {file}", hint="--store names the file that the runs went to"
            )
        return self.open()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What was decided."""

    backend: str
    small: str | None
    model: str | None
    store: Place

    @property
    def is_embedded(self) -> bool:
        """Whether the model runs in this process."""
        return self.backend == "local" or self.backend.startswith("local:")


def settle(choices: Choices) -> Connection:
    """Fill in what the user left out.

    Raises:
        UsageError: the recording file cannot be written.
    """
    settings = environment_settings()
    backend = choices.backend or settings.backend
    if choices.record is not None:
        if not choices.record.absolute().parent.is_dir():
            raise UsageError(f"--record: there is no folder {choices.record.absolute().parent}")
        backend = f"record:{choices.record}={backend}"
    return Connection(
        backend=backend,
        small=choices.small or settings.small_backend,
        model=choices.model or settings.model,
        store=place(choices.store),
    )


def place(chosen: str | None) -> Place:
    """The store the user chose, or the environment's, or the user's own."""
    settings = environment_settings()
    return Place(url=chosen or settings.store, data_dir=settings.data_dir)


def environment_settings() -> Settings:
    """The settings, from this process's environment."""
    from agentrt.runtime.settings import Settings  # noqa: PLC0415  a command's, not help's

    return Settings.from_env(os.environ)
