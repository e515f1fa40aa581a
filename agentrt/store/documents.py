"""`Documents`: the seam to what a gateway keeps over a restart: a few texts, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Documents(Protocol):
    """Texts, by name. All that is saved at once is there afterwards, or none of it."""

    async def load(self) -> dict[str, str]:
        """All of them.

        Raises:
            StoreError: they cannot be read.
        """
        ...

    async def save(self, documents: Mapping[str, str]) -> None:
        """Keep each under its name, instead of what was there. Others stay.

        Raises:
            StoreError: they cannot be kept; what was there still is.
        """
        ...

    async def aclose(self) -> None:
        """Let go of files and threads. Idempotent."""
        ...


class MemoryDocuments:
    """Keeps them until the process ends."""

    def __init__(self) -> None:
        self._documents: dict[str, str] = {}

    async def load(self) -> dict[str, str]:
        return dict(self._documents)

    async def save(self, documents: Mapping[str, str]) -> None:
        self._documents.update(documents)

    async def aclose(self) -> None:
        return
