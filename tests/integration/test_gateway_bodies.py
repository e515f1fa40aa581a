"""All requests together hold no more bytes than they may, and none are lost count of."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import pytest

from agentrt.errors import RateLimited
from agentrt.gateway.held_bodies import HeldBodies, HeldBody
from agentrt.gateway.post import GatewayLimits
from agentrt.gateway.settings import GatewaySettings
from tests.integration.misbehaving_server import (
    Behaviour,
    Call,
    MisbehavingServer,
    answer,
    completion,
    stream,
    whole_stream,
)
from tests.integration.running_gateway import RunningGateway, running_gateway, until

CHAT = "/v1/chat/completions"
MOST = 50_000


def body_of(size: int, *, stream: bool = False) -> bytes:
    """A request of exactly so many bytes."""
    asked = {"model": "m", "messages": [{"role": "user", "content": ""}], "stream": stream}
    filler = "x" * (size - len(json.dumps(asked)))
    asked["messages"] = [{"role": "user", "content": filler}]
    return json.dumps(asked).encode()


def limits(most: int = MOST) -> GatewayLimits:
    return GatewayLimits(max_bodies_bytes=most)


async def idle(gateway: RunningGateway) -> None:
    await until(lambda: not gateway.app.under_way)
    assert gateway.app.bodies.held_bytes == 0


def assert_refused(response: httpx2.Response) -> None:
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"
    assert "max_bodies_bytes" in response.json()["error"]["message"]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_exactly_as_many_as_may_be_are_taken_and_one_more_is_not(is_chunked: bool) -> None:
    go_on = asyncio.Event()

    async def wait(call: Call) -> None:
        await go_on.wait()
        await call.respond(200, completion())

    def sent(size: int) -> bytes | AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            body = body_of(size)
            for at in range(0, size, 1_000):
                yield body[at : at + 1_000]

        return pieces() if is_chunked else body_of(size)

    async with (
        MisbehavingServer(wait) as server,
        running_gateway(server.url, limits=limits()) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        first = asyncio.create_task(client.post(CHAT, content=sent(MOST - 10_000)))
        await until(lambda: server.calls)
        assert gateway.app.bodies.held_bytes == MOST - 10_000
        assert_refused(await client.post(CHAT, content=sent(10_001)))
        second = asyncio.create_task(client.post(CHAT, content=sent(10_000)))
        await until(lambda: len(server.calls) == 2)
        assert gateway.app.bodies.held_bytes == MOST
        assert_refused(await client.post(CHAT, content=sent(1_000)))
        go_on.set()
        assert ((await first).status_code, (await second).status_code) == (200, 200)
        assert (await client.post(CHAT, content=sent(MOST))).status_code == 200
        await idle(gateway)


async def test_many_chunked_bodies_at_once_never_hold_more() -> None:
    come_on = asyncio.Event()
    sizes = [4_000 + 150 * number for number in range(40)]
    most_seen = 0

    async def pieces(size: int) -> AsyncIterator[bytes]:
        body = body_of(size)
        for at in range(0, size, 500):
            if at >= size // 2:
                await come_on.wait()
            yield body[at : at + 500]

    async with (
        MisbehavingServer(answer(200, completion())) as server,
        running_gateway(server.url, limits=limits()) as gateway,
        httpx2.AsyncClient(base_url=gateway.url, timeout=30) as client,
    ):

        async def ask(size: int) -> int:
            response = await client.post(CHAT, content=pieces(size))
            if response.status_code == 429:
                assert_refused(response)
            return response.status_code

        async def watch() -> None:
            nonlocal most_seen
            while True:
                most_seen = max(most_seen, gateway.app.bodies.held_bytes)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask(size)) for size in sizes]
            await until(lambda: gateway.app.bodies.held_bytes > MOST * 0.9)
            come_on.set()
        watching.cancel()
        await asyncio.wait([watching])
        came = Counter(task.result() for task in asked)
        assert came.keys() == {200, 429}
        assert MOST * 0.9 < most_seen <= MOST
        await idle(gateway)


@pytest.mark.parametrize("head", [b"Content-Length: 40000", b"Transfer-Encoding: chunked"])
async def test_who_goes_in_the_middle_of_a_body_holds_nothing_any_more(head: bytes) -> None:
    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url, limits=limits()) as gateway,
    ):
        writers: list[asyncio.StreamWriter] = []
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\n".encode() + head + b"\r\n\r\n")
            piece = b"x" * 10_000
            is_chunked = b"chunked" in head
            writer.write(b"2710\r\n" + piece + b"\r\n" if is_chunked else piece)
            writers.append(writer)
        await until(lambda: gateway.app.bodies.held_bytes == 30_000)
        for writer in writers:
            writer.transport.abort()
        await idle(gateway)
    assert server.calls == []


@pytest.mark.parametrize("has_length", [True, False])
async def test_a_body_that_could_never_be_taken_is_too_long(has_length: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1_000

    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url, limits=limits()) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        content = body_of(MOST + 1) if has_length else pieces()
        response = await client.post(CHAT, content=content)
        assert response.status_code == 413
        assert f"longer than {MOST} bytes" in response.json()["error"]["message"]
        await idle(gateway)


async def reset(call: Call) -> None:
    call.reset()


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (answer(200, completion()), 200),
        (stream(*whole_stream()), 200),
        (answer(400, {"error": {"message": "no"}}), 400),
        (reset, 503),
    ],
)
async def test_nothing_is_held_once_a_request_is_over(behaviour: Behaviour, status: int) -> None:
    async with (
        MisbehavingServer(behaviour) as server,
        running_gateway(server.url, limits=limits()) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        statuses = [
            (await client.post(CHAT, content=body)).status_code
            for body in (body_of(MOST, stream=status == 200), b"{" * MOST)
        ]
        assert statuses == [status, 400]
        await idle(gateway)


def test_a_part_that_does_not_fit_gives_back_what_it_had() -> None:
    bodies = HeldBodies(10)
    one, other = HeldBody(bodies), HeldBody(bodies)
    one.grow(4)
    other.grow(6)
    with pytest.raises(RateLimited, match="max_bodies_bytes"):
        one.grow(1)
    assert bodies.held_bytes == 6
    for _ in range(2):
        other.give_back()
        one.give_back()
    assert bodies.held_bytes == 0


def test_it_is_a_setting() -> None:
    assert GatewaySettings.model_validate({"max_bodies_bytes": 5}).max_bodies_bytes == 5
    assert GatewaySettings().max_bodies_bytes == GatewayLimits().max_bodies_bytes
