"""An answer on its way to its client: in order, at once where the client has taken all there was."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from agentrt.gateway.client_answer import ClientAnswer


class _Client:
    """Takes what is sent, or lets it wait."""

    def __init__(self) -> None:
        self.got = b""
        self.is_behind = False
        self.may_take = asyncio.Event()
        self.may_take.set()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.may_take.wait()
        self.got += message.get("body", b"")

    def write(self, piece: bytes) -> bool:
        if not self.is_behind:
            self.got += b"<" + piece + b">"
        return not self.is_behind


async def _turns_of_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_pieces_after_the_first_are_written_at_once_and_all_stay_in_order() -> None:
    client = _Client()
    answer = ClientAnswer(max_bytes=100, write=client.write)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer.deliver(client.send))
        answer.begin(200, [])
        answer.add(b"a")  # the head has not been sent
        await _turns_of_loop()
        answer.add(b"b")
        assert client.got == b"a<b>"
        client.is_behind = True
        answer.add(b"c")
        client.is_behind = False
        answer.add(b"d")  # not before what waits
        await _turns_of_loop()
        answer.add(b"e")
        answer.end(b"f")
    assert client.got == b"a<b>cd<e>f"


async def test_nothing_is_written_while_something_is_being_sent() -> None:
    client = _Client()
    client.may_take.clear()
    answer = ClientAnswer(max_bytes=100, write=client.write)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer.deliver(client.send))
        answer.begin(200, [])
        answer.add(b"a")
        await _turns_of_loop()
        answer.add(b"b")
        client.may_take.set()
        await _turns_of_loop()
        assert client.got == b"ab"
        answer.end()


async def test_a_client_that_is_gone_gets_nothing() -> None:
    client = _Client()
    answer = ClientAnswer(max_bytes=100, write=client.write)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer.deliver(client.send))
        answer.begin(200, [])
        answer.add(b"a")
        await _turns_of_loop()
        answer.abandon()
        answer.add(b"b")
    assert client.got == b"a"
