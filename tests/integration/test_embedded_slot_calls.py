"""Files that slots are saved to: none is left behind, and none removed that may yet be written."""

from __future__ import annotations

import asyncio

import pytest

from agentrt.backends.embedded_saves import FolderFiles
from agentrt.backends.embedded_slot_calls import SlotCalls
from agentrt.backends.http_connection import HttpConnection, HttpSettings
from agentrt.errors import BackendError
from tests.integration.misbehaving_server import Behaviour, Call, MisbehavingServer, answer

WRITTEN = answer(200, {"n_written": 7})


async def cut(call: Call) -> None:
    call.reset()


@pytest.mark.parametrize(
    ("engine", "left"), [(answer(500, {"error": "Unable to save slot"}), 0), (cut, 1)]
)
async def test_a_file_that_was_not_written_is_removed_once_the_engine_has_said_so(
    engine: Behaviour, left: int
) -> None:
    saves = _Counted()
    async with MisbehavingServer(engine) as server:
        connection = HttpConnection(server.url, api_key=None, settings=HttpSettings())
        with pytest.raises(BackendError):
            await SlotCalls(connection, saves).save(0)
        await asyncio.sleep(0)
        await connection.aclose()
    assert len(saves.files) == left
    saves.close()


async def test_a_save_that_is_broken_off_is_removed_when_it_is_written() -> None:
    asked, written = asyncio.Event(), asyncio.Event()

    async def slow(call: Call) -> None:
        asked.set()
        await written.wait()
        await WRITTEN(call)

    saves = _Counted()
    async with MisbehavingServer(slow) as server:
        connection = HttpConnection(server.url, api_key=None, settings=HttpSettings())
        saving = asyncio.create_task(SlotCalls(connection, saves).save(0))
        await asked.wait()
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        assert len(saves.files) == 1
        written.set()
        await asyncio.wait_for(saves.is_empty.wait(), 10)
        await connection.aclose()
    saves.close()


class _Counted(FolderFiles):
    def __init__(self) -> None:
        super().__init__()
        self.files: set[str] = set()
        self.is_empty = asyncio.Event()

    def create(self) -> str:
        file = super().create()
        self.files.add(file)
        return file

    def remove(self, name: str) -> None:
        super().remove(name)
        self.files.remove(name)
        self.is_empty.set()
