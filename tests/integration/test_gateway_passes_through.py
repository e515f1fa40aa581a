"""What goes through the gateway comes out as it went in, in both directions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from agentrt.backends.hints import HintFields
from tests.integration.misbehaving_server import (
    Call,
    MisbehavingServer,
    answer,
    completion,
    delta,
    event,
    stream,
    whole_stream,
)
from tests.integration.running_gateway import running_gateway

CHAT = "/v1/chat/completions"
ODD = b'{ "model":"m",\n "messages":[{"role":"user","content":"h\\u00e9"}],  "mine":{"a":[1e400,0.10]} }'


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields


async def test_a_request_reaches_the_server_byte_for_byte() -> None:
    async with (
        MisbehavingServer(answer(200, completion())) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, content=ODD, headers={"X-Mine": "kept"})
    assert response.status_code == 200
    assert server.calls[0].body == ODD
    assert server.calls[0].headers["x-mine"] == "kept"


async def test_an_answer_reaches_the_client_byte_for_byte() -> None:
    said = (
        b'{"choices" : [{"message":{"content":"x","odd":1.50},"finish_reason":"stop"}],\n"new":{}}'
    )
    headers = {"X-Request-Id": "theirs", "X-Engine": "e", "Server": "secret"}
    async with (
        MisbehavingServer(answer(200, said, headers)) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked())
    assert response.content == said
    assert response.headers["x-request-id"] == "theirs"
    assert response.headers["x-engine"] == "e"
    assert "server" not in response.headers


async def test_a_stream_reaches_the_client_byte_for_byte() -> None:
    events = [b": comment\n\n", delta("", role="assistant", odd=1), *whole_stream("words")]
    async with (
        MisbehavingServer(stream(*events)) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        body = asked(stream=True, stream_options={"include_usage": True})
        response = await client.post(CHAT, json=body)
    assert response.content == b"".join(map(event, events))
    assert response.headers["content-type"] == "text/event-stream"
    (done,) = gateway.turns.completions
    assert (done.text, done.usage.prompt_tokens) == ("words", 7)


@pytest.mark.parametrize("options", [None, {"include_usage": True}], ids=["no usage", "usage"])
async def test_the_last_event_may_come_in_pieces(options: Any) -> None:
    events = [*whole_stream("words")[:-2], b"data: [DONE]", b"\n", b"\n"]

    async def slowly(call: Call) -> None:
        await call.start_stream()
        for told in events:
            await call.send_chunk(event(told))
            await asyncio.sleep(0.02)
        await call.end_stream()

    async with (
        MisbehavingServer(slowly) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked(stream=True, stream_options=options))
    assert response.content == b"".join(map(event, events))
    assert [done.text for done in gateway.turns.completions] == ["words"]


async def test_usage_is_asked_for_and_kept_where_the_client_wants_none() -> None:
    events = whole_stream("words")
    async with (
        MisbehavingServer(stream(*events)) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked(stream=True))
    assert server.calls[0].json == asked(stream=True, stream_options={"include_usage": True})
    assert response.content == b"".join(map(event, [*events[:-2], "[DONE]"]))
    assert gateway.turns.completions[0].usage.completion_tokens == 2


async def test_a_server_that_does_not_know_that_wish_is_asked_without() -> None:
    async def strict(call: Call) -> None:
        if "stream_options" in call.json:
            told = [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]
            await call.respond(422, {"detail": told})
        else:
            await stream(*whole_stream("words"))(call)

    async with (
        MisbehavingServer(strict) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked(stream=True))
        body = asked(stream=True, stream_options={"include_usage": True})
        own_mistake = await client.post(CHAT, json=body)
    assert response.content == b"".join(map(event, whole_stream("words")))
    assert gateway.turns.completions[0].text == "words"
    assert (own_mistake.status_code, len(server.calls)) == (422, 3)


@pytest.mark.parametrize("value", [b"caf\xc3\xa9", b"plain"])
async def test_a_header_reaches_the_server_byte_for_byte(value: bytes) -> None:
    async with (
        MisbehavingServer(answer(200, completion())) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        await client.post(CHAT, json=asked(), headers=[(b"X-Title", value)])
    assert server.calls[0].headers["x-title"].encode() == value


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503])
async def test_a_refusal_of_the_server_reaches_the_client_as_it_is(status: int) -> None:
    said = {"error": {"message": "no", "type": "odd", "code": status, "more": [1]}}
    async with (
        MisbehavingServer(answer(status, said, {"Retry-After": "7"})) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked())
    assert (response.status_code, response.json()) == (status, said)
    assert response.headers["retry-after"] == "7"


async def test_where_a_server_redirects_to_is_told_to_nobody() -> None:
    async def elsewhere(call: Call) -> None:
        await call.respond(
            307, {"see": "http://gpu0.internal/"}, {"Location": "http://gpu0.internal/"}
        )

    async with (
        MisbehavingServer(elsewhere) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        response = await client.post(CHAT, json=asked())
    assert (response.status_code, "location" in response.headers) == (502, False)
    assert "gpu0" not in response.text


async def test_the_models_of_all_servers_are_listed_once() -> None:
    def listed(*names: str) -> Any:
        data = [{"id": name, "object": "model", "odd": name * 2} for name in names]
        return answer(200, {"object": "list", "data": data})

    async with (
        MisbehavingServer(answer(200, {}), models=listed("m", "a")) as one,
        MisbehavingServer(answer(200, {}), models=listed("b", "m")) as other,
        running_gateway(one.url, other.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        models = (await client.get("/v1/models")).json()
        model = (await client.get("/v1/models/b")).json()
        missing = await client.get("/v1/models/c")
    assert [(entry["id"], entry["odd"]) for entry in models["data"]] == [
        ("m", "mm"),
        ("a", "aa"),
        ("b", "bb"),
    ]
    assert model == {"id": "b", "object": "model", "odd": "bb"}
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_keys_stay_on_their_side() -> None:
    async def behave(call: Call) -> None:
        await call.respond(400, {"error": {"message": f"bad key {call.headers['authorization']}"}})

    async with (
        MisbehavingServer(behave) as server,
        running_gateway(server.url, api_key="engine-secret") as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        headers = {"Authorization": "Bearer mine", "X-Api-Key": "mine", "Cookie": "mine"}
        response = await client.post(CHAT, json=asked(), headers=headers)
    assert server.calls[0].headers["authorization"] == "Bearer engine-secret"
    assert not [name for name, value in server.calls[0].headers.items() if "mine" in value]
    assert response.json() == {"error": {"message": "bad key Bearer [API key]"}}


async def test_hints_are_added_to_what_the_client_wrote() -> None:
    added = HintFields({"priority": 3}, {"X-Session": "s"})
    async with (
        MisbehavingServer(answer(200, completion())) as server,
        running_gateway(server.url, added=added) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        await client.post(CHAT, content=ODD)
    assert server.calls[0].body == ODD[:-2] + b' ,"priority":3}'
    assert server.calls[0].headers["x-session"] == "s"
    assert json.loads(server.calls[0].body)["priority"] == 3


async def test_health_is_told_without_a_key() -> None:
    async with (
        MisbehavingServer(answer(200, {})) as server,
        running_gateway(server.url) as gateway,
        httpx2.AsyncClient(base_url=gateway.url) as client,
    ):
        pages = [await client.get(path) for path in ("/health", "/ready", "/metrics")]
    assert [page.status_code for page in pages] == [200, 200, 200]
