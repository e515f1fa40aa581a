"""A store that fails at a chosen moment."""

from __future__ import annotations

import asyncio

from agentrt.errors import StoreError
from agentrt.store.base import Record
from agentrt.store.memory import MemoryStore


class FailingStore(MemoryStore):
    """Takes so many records, then no more, as a disk that is full."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, record: Record) -> None:
        if self.room <= 0:
            raise StoreError("The disk is full. Make room.")
        self.room -= 1
        super().write(record)

    def flushed(self) -> asyncio.Future[None]:
        if self.room > 0:
            return super().flushed()
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(StoreError("The disk is full. Make room."))
        return failed
