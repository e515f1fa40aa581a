"""Servers that fail, clients that go, and requests that make no sense: nobody hangs, all are told."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import httpx2
import pytest

from agentrt.backends.openai_http import HttpSettings
from agentrt.gateway.keys import hash_of
from agentrt.gateway.post import GatewayLimits
from agentrt.gateway.settings import TenantSettings
from tests.integration.misbehaving_server import (
    Behaviour,
    Call,
    MisbehavingServer,
    answer,
    completion,
    delta,
    event,
    stream,
    whole_stream,
)
from tests.integration.running_gateway import RunningGateway, running_gateway, until

CHAT = "/v1/chat/completions"


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields


async def break_off(call: Call) -> None:
    call.close()


async def reset(call: Call) -> None:
    call.reset()


async def garble(call: Call) -> None:
    await call.send(b"\x00\x01 nonsense\r\n\r\n")
    call.close()


async def cut_json(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b'{"choices": [')
    call.close()


async def cut_head(call: Call) -> None:
    await call.start_stream()
    call.close()


FAILURES = [break_off, reset, garble, cut_json, cut_head, answer(200, b"<html>no</html>")]


@pytest.mark.parametrize("failure", [*FAILURES, answer(500, "x"), answer(502, "x")])
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_what_fails_before_the_client_has_anything_is_answered_by_another_replica(
    failure: Behaviour, is_streamed: bool
) -> None:
    good = stream(*whole_stream()) if is_streamed else answer(200, completion())
    async with (
        MisbehavingServer(failure) as bad,
        MisbehavingServer(good) as other,
        running_gateway(bad.url, other.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        responses = [await client.post(CHAT, json=asked(stream=is_streamed)) for _ in range(2)]
    assert [response.status_code for response in responses] == [200, 200]
    assert [done.text for done in gateway.turns.completions] == ["hello", "hello"]
    assert {done.status for done in gateway.answered} == {200}


@pytest.mark.parametrize("failure", FAILURES)
async def test_the_client_is_told_where_nobody_is_left(failure: Behaviour) -> None:
    async with (
        MisbehavingServer(failure) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked())
    assert response.status_code in {502, 503}
    error = response.json()["error"]
    assert (error["type"], set(error)) == ("server_error", {"message", "type", "param", "code"})
    assert "127.0.0.1" not in error["message"]


async def test_a_stream_with_nothing_in_it_is_no_answer() -> None:
    async with (
        MisbehavingServer(stream()) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked(stream=True))
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_invalid")


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/responses"])
async def test_a_stream_that_breaks_off_ends_with_an_error_event(path: str) -> None:
    first = [b'event: response.created\ndata: {"type":"response.created","response":{}}\n\n']
    events = first if path.endswith("responses") else [delta("hel"), delta("lo")]
    async with (
        MisbehavingServer(stream(*events, cut=True)) as server,
        MisbehavingServer(stream(*events, cut=True)) as other,
        running_gateway(server.url, other.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(path, json=asked(stream=True, prompt="x", input="x"))
    assert response.status_code == 200
    *passed, last = response.content.removesuffix(b"\n\n").split(b"\n\n")
    assert b"".join(piece + b"\n\n" for piece in passed) == b"".join(map(event, events))
    assert json.loads(last.partition(b"data: ")[2])["error"]["type"] == "server_error"
    assert len(server.calls) + len(other.calls) == 1
    assert [done.code for done in gateway.answered] == ["upstream_invalid"]


async def test_a_stream_that_breaks_off_within_an_event_ends_with_an_error_event_too() -> None:
    half = event(delta("lo"))[:-9]
    async with (
        MisbehavingServer(stream(delta("hel"), half, cut=True)) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        body = asked(stream=True, stream_options={"include_usage": True})
        response = await client.post(CHAT, json=body)
    passed, told = response.content[: len(event(delta("hel")) + half)], response.content
    assert passed == event(delta("hel")) + half
    last = told.removeprefix(passed).removeprefix(b"\n\n")
    assert json.loads(last.removeprefix(b"data: "))["error"]["type"] == "server_error"
    assert told.removeprefix(passed).startswith(b"\n\n")


async def test_an_answer_is_whole_once_it_has_said_so_however_its_connection_ends() -> None:
    async with (
        MisbehavingServer(stream(*whole_stream(), cut=True)) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked(stream=True))
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert [done.text for done in gateway.turns.completions] == ["hello"]
    assert [done.usage.prompt_tokens for done in gateway.answered] == [7]


async def test_an_error_in_the_servers_stream_is_passed_on_and_nothing_added() -> None:
    said = {"error": {"message": "out of memory", "code": 500}}
    async with (
        MisbehavingServer(stream(delta("he"), said, "[DONE]")) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked(stream=True))
    assert response.content == b"".join(map(event, [delta("he"), said, "[DONE]"]))
    assert gateway.turns.completions == []
    assert [(done.status, done.has_failed) for done in gateway.answered] == [(200, True)]


async def test_a_packed_answer_is_unpacked() -> None:
    packed = gzip.compress(json.dumps(completion()).encode())
    async with (
        MisbehavingServer(answer(200, packed, {"Content-Encoding": "gzip"})) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked())
    assert server.calls[0].headers["accept-encoding"] == "identity"
    assert response.json() == completion()
    assert "content-encoding" not in response.headers


async def test_a_huge_answer_is_whole() -> None:
    said = completion("x" * 5_000_000)
    async with (
        MisbehavingServer(answer(200, said)) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked())
    assert response.json() == said


async def test_a_server_that_stops_in_the_middle_is_given_up() -> None:
    async def stall(call: Call) -> None:
        await call.start_stream()
        await call.send_chunk(event(delta("he")))
        await asyncio.Event().wait()

    settings = HttpSettings(stall_timeout_s=0.05)
    async with (
        MisbehavingServer(stall) as server,
        running_gateway(server.url, settings=settings) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked(stream=True))
    last = response.content.removesuffix(b"\n\n").split(b"\n\n")[-1]
    assert json.loads(last[6:])["error"]["code"] == 504


async def test_a_pooled_connection_that_turns_out_to_be_closed_is_replaced() -> None:
    async with (
        MisbehavingServer(
            answer(200, completion()), break_off, answer(200, completion())
        ) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        statuses = [(await client.post(CHAT, json=asked())).status_code for _ in range(2)]
    assert statuses == [200, 200]
    assert server.calls[0].connection == server.calls[1].connection
    assert len(server.calls) == 3


# -- clients that go away --------------------------------------------------------------------


async def disconnect(gateway: RunningGateway, body: bytes, after: bytes = b"") -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    if after:
        await reader.readuntil(after)
    else:
        await writer.drain()
        await until(lambda: gateway.app.under_way)
    writer.close()
    await writer.wait_closed()


async def idle(gateway: RunningGateway) -> None:
    await until(lambda: not gateway.app.under_way)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_client_that_goes_before_the_answer_stops_the_server(is_streamed: bool) -> None:
    server = MisbehavingServer()
    server.behaviours.append(server.hang)
    async with server, running_gateway(server.url) as gateway:
        async with asyncio.timeout(5):
            leaving = asyncio.create_task(
                disconnect(gateway, json.dumps(asked(stream=is_streamed)).encode())
            )
            await leaving
            await idle(gateway)
            if server.calls:
                await server.disconnected.wait()
    assert [done.status for done in gateway.answered] == [499]


async def test_a_client_that_goes_in_the_middle_stops_the_server() -> None:
    server = MisbehavingServer()

    async def begin(call: Call) -> None:
        await call.start_stream()
        await call.send_chunk(event(delta("he")))
        await server.hang(call)

    server.behaviours.append(begin)
    async with server, running_gateway(server.url) as gateway, asyncio.timeout(5):
        await disconnect(gateway, json.dumps(asked(stream=True)).encode(), b"\n\n")
        await server.disconnected.wait()
        await idle(gateway)
    assert [done.code for done in gateway.answered] == ["client_gone"]


async def test_a_client_that_goes_when_it_is_told_that_this_is_all_has_its_answer() -> None:
    server = MisbehavingServer()

    async def say_all(call: Call) -> None:
        await call.start_stream()
        for told in whole_stream():
            await call.send_chunk(event(told))
        await server.hang(call)

    server.behaviours.append(say_all)
    async with server, running_gateway(server.url) as gateway, asyncio.timeout(5):
        await disconnect(gateway, json.dumps(asked(stream=True)).encode(), b"[DONE]\n\n")
        await idle(gateway)
        await server.disconnected.wait()
    assert [done.text for done in gateway.turns.completions] == ["hello"]
    assert [(done.status, done.code) for done in gateway.answered] == [(200, "")]


async def test_a_client_that_goes_before_its_body_is_whole_is_forgotten() -> None:
    async with MisbehavingServer(answer(200, {})) as server, running_gateway(server.url) as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode())
        await until(lambda: gateway.app.under_way)
        writer.close()
        await idle(gateway)
    assert [done.status for done in gateway.answered] == [499]
    assert server.calls == []


async def test_a_slow_reader_neither_holds_the_server_nor_others() -> None:
    piece = event(delta("x" * 50_000))

    async def much(call: Call) -> None:
        await call.start_stream()
        for _ in range(200):
            await call.send_chunk(piece)
        for last in whole_stream()[1:]:
            await call.send_chunk(event(last))
        await call.end_stream()

    async with (
        MisbehavingServer(much, answer(200, completion())) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
        asyncio.timeout(10),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1)
        body = json.dumps(asked(stream=True)).encode()
        head = (
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}"
        )
        writer.write(head.encode() + b"\r\n\r\n" + body)
        await reader.read(1)
        await until(
            lambda: gateway.turns.completions
        )  # its turn is over, and it has hardly read a thing
        other = await client.post(CHAT, json=asked())
        rest = bytearray()
        while got := await reader.read(65_536):
            rest += got
        writer.close()
    assert other.status_code == 200
    assert rest.count(b"x" * 50_000) == 200


async def test_a_client_that_reads_nothing_is_dropped() -> None:
    async def flood(call: Call) -> None:
        await call.start_stream()
        while True:
            await call.send_chunk(event(delta("x" * 50_000)))

    limits = GatewayLimits(client_stall_s=0.05, max_kept_bytes=100_000)
    async with (
        MisbehavingServer(flood) as server,
        running_gateway(server.url, limits=limits) as gateway,
        asyncio.timeout(10),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1)
        body = json.dumps(asked(stream=True)).encode()
        writer.write(
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await reader.read(1)
        await until(lambda: gateway.answered)
        writer.close()
    assert [done.code for done in gateway.answered] == ["client_gone"]


# -- requests that are refused ---------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"nonsense", b"\xff\xfe", b'{"model":1}', b"[" * 100_000]
)
async def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert server.calls == []


@pytest.mark.parametrize("has_length", [True, False])
async def test_a_body_that_is_too_long_is_refused(has_length: bool) -> None:
    async def pieces() -> Any:
        for _ in range(100):
            yield b"x" * 1000

    limits = GatewayLimits(max_body_bytes=1000)
    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url, limits=limits) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, content=b"x" * 1001 if has_length else pieces())
    assert response.status_code == 413


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    limits = GatewayLimits(body_timeout_s=0.05)
    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url, limits=limits) as gateway,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode())
        said = await reader.read()
        writer.close()
    assert said.startswith(b"HTTP/1.1 408")


async def test_a_head_that_has_no_end_is_refused() -> None:
    async with MisbehavingServer(answer(200, {})) as server, running_gateway(server.url) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /health HTTP/1.1\r\nX-Long: " + b"x" * 100_000)
        said = await reader.readuntil(b"\r\n")
        writer.close()
    assert said.startswith(b"HTTP/1.1 431")


async def test_a_packed_body_is_refused() -> None:
    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        packed = gzip.compress(json.dumps(asked()).encode())
        response = await client.post(CHAT, content=packed, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 404),
        ("PUT", "/v1/models", 405),
        ("OPTIONS", "/v1/models", 405),
        ("HEAD", "/v1/models", 200),
        ("POST", "/v1/unknown", 404),
        ("GET", "/", 404),
        ("POST", "/health", 405),
    ],
)
async def test_what_is_not_served_is_said_so(method: str, path: str, status: int) -> None:
    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.request(method, path)
    assert response.status_code == status
    if status != 200:
        assert response.json()["error"]["type"] == "invalid_request_error"
        assert ("allow" in response.headers) == (status == 405)


async def test_a_model_that_nobody_has_is_not_found() -> None:
    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked(model="other"))
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (404, "model_not_found")
    assert error["message"] == "no replica serves the model 'other'"


async def test_who_has_no_key_gets_nothing_but_health() -> None:
    tenants = [TenantSettings(name="acme", keys=(hash_of("right"),), requests_per_minute=1)]
    async with (
        MisbehavingServer(answer(200, completion())) as server,
        running_gateway(server.url, tenants=tenants) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        paths = ["/v1/models", "/programs", "/health", "/ready"]
        statuses = [(await client.get(path)).status_code for path in paths]
        ends = [
            await client.delete("/programs/one"),
            await client.post("/programs/release", json={"program_id": "one"}),
        ]
        refused = await client.post(CHAT, json=asked(), headers={"Authorization": "Bearer wrong"})
        right = {"Authorization": "Bearer right"}
        taken = await client.post(CHAT, json=asked(), headers=right)
        limited = await client.post(CHAT, json=asked(), headers=right)
        programs = await client.get("/programs", headers=right)
    assert statuses == [401, 401, 200, 200]
    assert [end.status_code for end in ends] == [401, 401]
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert (taken.status_code, limited.status_code) == (200, 429)
    assert int(limited.headers["retry-after"]) >= 1
    assert programs.json()["tenant"] == "acme"
    assert [done.tenant for done in gateway.answered] == ["", "acme", "acme"]


async def test_a_picture_counts_for_what_it_costs_not_for_its_bytes() -> None:
    tenant = TenantSettings(name="acme", keys=(hash_of("k"),), tokens_per_minute=100_000)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 900_000}}
    many_words = [{"role": "user", "content": "word " * 180_000}]
    async with (
        MisbehavingServer(answer(200, completion())) as server,
        running_gateway(server.url, tenants=[tenant]) as gateway,
        httpx2.AsyncClient(base_url=gateway.url, headers={"x-api-key": "k"}) as client,
    ):
        messages = [{"role": "user", "content": [picture]}]
        seen = await client.post(CHAT, json=asked(messages=messages))
        refused = await client.post(CHAT, json=asked(messages=many_words))
    assert (seen.status_code, refused.status_code) == (200, 413)


async def test_a_program_is_ended_by_its_name() -> None:
    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        ended = [
            await client.post("/programs/one/of/end"),
            await client.delete("/programs/one%2Fof"),
            await client.post("/programs/release", json={"program_id": "one/of"}),
            await client.delete("/programs/none"),
            await client.post("/programs/release", content=b"[]"),
        ]
    assert [response.status_code for response in ended] == [200, 200, 200, 404, 400]
    assert gateway.ended == [("", "one/of")] * 3 + [("", "none")]


async def test_more_requests_than_there_may_be_are_told_to_come_again() -> None:
    server = MisbehavingServer()
    server.behaviours.append(server.hang)
    async with (
        server,
        running_gateway(server.url, limits=GatewayLimits(max_requests=1)) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        first = asyncio.create_task(client.post(CHAT, json=asked()))
        await until(lambda: gateway.app.under_way)
        second = await client.post(CHAT, json=asked())
        (refused,) = gateway.answered  # whoever counts them is told
        first.cancel()
        await asyncio.wait([first])
        await idle(gateway)
    assert (second.status_code, second.headers["retry-after"]) == (429, "1")
    assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
    assert second.headers["x-request-id"] == refused.request_id
