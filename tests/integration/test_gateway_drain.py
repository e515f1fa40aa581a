"""How a gateway goes: answers under way may end, new work is refused, and a second signal is final."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from agentrt.errors import InputError
from agentrt.gateway.server import serve
from tests.integration.misbehaving_server import (
    Call,
    MisbehavingServer,
    answer,
    delta,
    event,
    whole_stream,
)
from tests.integration.running_gateway import running_gateway, until

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
}


class Held:
    """Begins an answer, and goes on with it when it is let."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.began = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        if b'"hi"' not in call.body:  # somebody asks what this server is
            await call.respond(200 if call.path == "/health" else 404, {})
            return
        await call.start_stream()
        await call.send_chunk(event(delta("hel")))
        self.began.set()
        await self.go_on.wait()
        for piece in whole_stream("lo")[1:]:
            await call.send_chunk(event(piece))
        await call.end_stream()


async def test_an_answer_that_has_begun_may_end_while_new_work_is_refused() -> None:
    held = Held()
    async with (
        MisbehavingServer(held) as server,
        running_gateway(server.url, drain_s=30) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        first = asyncio.create_task(client.post(CHAT, json=ASKED))
        await held.began.wait()
        gateway.stop.set()
        await until(lambda: gateway.app.is_draining)
        pages = [await client.get(path) for path in ("/ready", "/health")]
        refused = await client.post(CHAT, json=ASKED)
        held.go_on.set()
        response = await first
    assert [page.status_code for page in pages] == [503, 200]
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["error"]["code"] == "stopping"
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert [done.status for done in gateway.answered] == [503, 200]


async def test_an_answer_that_takes_too_long_is_broken_off_honestly() -> None:
    held = Held()
    async with (
        MisbehavingServer(held) as server,
        running_gateway(server.url, drain_s=0.01) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        first = asyncio.create_task(client.post(CHAT, json=ASKED))
        await held.began.wait()
        gateway.stop.set()
        response = await first
    first_event, last = response.content.removesuffix(b"\n\n").split(b"\n\n")
    assert first_event + b"\n\n" == event(delta("hel"))
    assert json.loads(last[6:])["error"]["type"] == "server_error"
    assert [done.code for done in gateway.answered] == ["upstream_unavailable"]


async def test_what_still_waits_when_the_time_is_over_is_told_so() -> None:
    server = MisbehavingServer()
    server.behaviours.append(server.hang)
    async with (
        server,
        running_gateway(server.url, drain_s=0.01) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        first = asyncio.create_task(client.post(CHAT, json=ASKED))
        await until(lambda: server.calls)
        gateway.stop.set()
        response = await first
    assert response.status_code == 503
    assert "127.0.0.1" not in response.text


async def test_a_request_that_is_stopped_before_its_turn_has_begun_is_told() -> None:
    sent: list[Any] = []
    unread = [{"type": "http.request", "body": json.dumps(ASKED).encode()}]
    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url) as gateway,
        asyncio.timeout(5),
    ):

        def stop() -> None:
            for post in gateway.app._posts:
                post.stop()

        async def receive() -> Any:
            if not unread:
                await asyncio.Event().wait()
            asyncio.get_running_loop().call_soon(stop)
            return unread.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": []}
        await gateway.app(scope, receive, send)
    assert [message.get("status") for message in sent] == [503, None]


async def test_a_port_that_is_taken_is_told() -> None:
    async with MisbehavingServer(answer(200, {})) as server, running_gateway(server.url) as gateway:
        with pytest.raises(InputError, match=f"port {gateway.port}"):
            await serve(
                gateway.app,
                host="127.0.0.1",
                port=gateway.port,
                drain_s=0,
                on_bound=lambda _: None,
            )


@asynccontextmanager
async def gateway_process(url: str) -> AsyncGenerator[tuple[asyncio.subprocess.Process, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "agentrt", "serve", "--replica", url, "--port", "0", "--store", "none", "--json"),
        *("--drain-s", "60"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        yield process, json.loads(await process.stdout.readline())["port"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def is_refused(port: int) -> bool:
    def connects() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) != 0

    return await asyncio.to_thread(connects)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_drains_and_the_second_ends_at_once(number: signal.Signals) -> None:
    held = Held()
    async with (
        asyncio.timeout(20),
        MisbehavingServer(held) as server,
        gateway_process(server.url) as (process, port),
    ):
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            first = asyncio.create_task(client.post(CHAT, json=ASKED))
            await held.began.wait()
            process.send_signal(number)
            while (await client.get("/ready")).status_code == 200:
                pass
            process.send_signal(number)
            with pytest.raises(httpx2.HTTPError):
                await first
        code = await process.wait()
        assert await is_refused(port)
    assert code in {0, 130}  # as a shell says of a program that Ctrl-C ended


async def test_a_gateway_with_nothing_to_do_is_gone_after_the_first_signal() -> None:
    async with (
        asyncio.timeout(20),
        MisbehavingServer(answer(200, {})) as server,
        gateway_process(server.url) as (process, port),
    ):
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert await is_refused(port)
