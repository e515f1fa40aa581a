"""Connections of clients that send several requests at once, or never read what they asked for."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any

import psutil
import pytest

from agentrt.gateway import http_limits
from agentrt.gateway.keys import hash_of
from agentrt.gateway.settings import TenantSettings
from tests.integration.misbehaving_server import (
    Call,
    MisbehavingServer,
    answer,
    completion,
    delta,
    event,
)
from tests.integration.running_gateway import running_gateway, until

UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\n"


def written(**fields: Any) -> bytes:
    message = {"role": "user", "content": "hi"}
    body = json.dumps({"model": "m", "messages": [message]} | fields).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def connections(port: int) -> list[Any]:
    """Those that the gateway still has."""
    found = psutil.Process().net_connections("tcp")
    return [one for one in found if one.laddr.port == port and one.status != psutil.CONN_LISTEN]


async def test_a_client_that_goes_with_a_second_request_in_line_stops_the_first() -> None:
    server = MisbehavingServer()

    async def begin(call: Call) -> None:
        await call.start_stream()
        await call.send_chunk(event(delta("he")))
        await server.hang(call)

    server.behaviours.append(begin)
    async with server, running_gateway(server.url) as gateway, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(written(stream=True) + written(stream=True))
        await reader.readuntil(b"he")
        writer.close()
        await server.disconnected.wait()
        await until(lambda: not gateway.app.under_way)
    assert len(server.calls) == 1
    assert [done.code for done in gateway.answered] == ["client_gone"]


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_a_client_that_never_reads_its_whole_answer_is_dropped(
    monkeypatch: pytest.MonkeyPatch, connection: str
) -> None:
    monkeypatch.setattr(http_limits, "TAKEN_WITHIN_S", 0.05)
    async with (
        MisbehavingServer(answer(200, completion("x" * 12_000_000))) as server,
        running_gateway(server.url) as gateway,
        asyncio.timeout(20),
    ):
        client = socket.create_connection(("127.0.0.1", gateway.port))
        with client:
            client.setblocking(False)
            asked = written().replace(b"Host: x", f"Host: x\r\nConnection: {connection}".encode())
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, asked)
            await until(lambda: gateway.answered and not connections(gateway.port))
            got = 0
            with suppress(ConnectionResetError):
                while piece := await loop.sock_recv(client, 1 << 20):
                    got += len(piece)
    assert got < 12_000_000
    assert [done.status for done in gateway.answered] == [200]


async def test_a_client_that_reads_slowly_has_all_of_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_limits, "TAKEN_WITHIN_S", 0.25)
    async with (
        MisbehavingServer(answer(200, completion("x" * 12_000_000))) as server,
        running_gateway(server.url) as gateway,
        asyncio.timeout(20),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1)
        writer.write(written().replace(b"Host: x", b"Host: x\r\nConnection: close"))
        got = 0
        while piece := await reader.read(1 << 20):
            got += len(piece)
            await asyncio.sleep(0.02)
        writer.close()
    assert got > 12_000_000


@pytest.mark.parametrize("line", ["GET /health", "POST /v1/chat/completions"])
async def test_who_goes_on_writing_a_body_that_was_answered_long_ago_is_dropped(
    monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(http_limits, "UNREAD_WITHIN_S", 0.1)
    tenant = TenantSettings(name="acme", keys=(hash_of("k"),))
    async with (
        MisbehavingServer(answer(200, completion())) as server,
        running_gateway(server.url, tenants=[tenant]) as gateway,
        asyncio.timeout(10),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode())
        assert await reader.readuntil(b"\r\n") in {b"HTTP/1.1 200 OK\r\n", UNAUTHORIZED}
        for _ in range(60):
            writer.write(b" ")
            await asyncio.sleep(0.02)
            if not connections(gateway.port):
                break
        assert connections(gateway.port) == []
        writer.close()


async def test_a_body_that_comes_slowly_after_another_request_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_limits, "UNREAD_WITHIN_S", 0.05)
    async with (
        MisbehavingServer(answer(200, completion())) as server,
        running_gateway(server.url) as gateway,
        asyncio.timeout(10),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        both = b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{" + written()
        writer.write(both[:-1])
        await reader.readuntil(b"ok")
        await asyncio.sleep(0.2)
        writer.write(both[-1:])
        assert b"200 OK" in await reader.readuntil(b"hello")
        writer.close()
