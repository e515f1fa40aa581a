"""The HTTP backend against a server that misbehaves in every way servers do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from agentrt.backends import http_connection
from agentrt.backends.http_connection import HttpSettings
from agentrt.backends.limits import RateLimits
from agentrt.backends.openai_http import OpenAIBackend
from agentrt.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ContextOverflow,
    InvalidAnswer,
    RateLimited,
    RequestRejected,
)
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Chunk, Completion, Message, Request, ToolCall, Usage
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

REQUEST = Request(messages=(Message("user", "hi"),))
HELLO = Completion(text="hello", usage=Usage(7, 0, 2), model="m")


@asynccontextmanager
async def backend_of(
    server: MisbehavingServer, *, timeout_s: float = 20.0, stall_timeout_s: float = 10.0
) -> AsyncIterator[OpenAIBackend]:
    settings = HttpSettings(timeout_s=timeout_s, stall_timeout_s=stall_timeout_s)
    backend = OpenAIBackend(server.url, model="m", settings=settings)
    try:
        yield backend
    finally:
        await backend.aclose()


async def ask(backend: OpenAIBackend, *, is_streamed: bool) -> Completion:
    chunks: list[Chunk] = []
    given = await backend.complete(REQUEST, on_chunk=chunks.append if is_streamed else None)
    if is_streamed:
        assert "".join(chunk.text for chunk in chunks) == given.text
    return given


async def failure(
    *behaviours: Behaviour, is_streamed: bool = False, **settings: float
) -> BackendError:
    async with MisbehavingServer(*behaviours) as server, backend_of(server, **settings) as backend:
        with pytest.raises(BackendError) as caught:
            await ask(backend, is_streamed=is_streamed)
    return caught.value


def kind(error: BackendError) -> tuple[type[BackendError], bool, int | None]:
    return type(error), error.retryable, error.status


both = pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])


async def test_a_completion_comes_whole_and_streamed() -> None:
    async with (
        MisbehavingServer(answer(200, completion()), stream(*whole_stream())) as server,
        backend_of(server) as backend,
    ):
        assert await ask(backend, is_streamed=False) == HELLO
        streamed = await ask(backend, is_streamed=True)
        assert streamed.ttft_s is not None
        assert streamed == Completion(
            text="hello", usage=Usage(7, 0, 2), model="m", ttft_s=streamed.ttft_s
        )
        assert [call.path for call in server.calls] == ["/v1/chat/completions"] * 2
        assert server.connections == 1


@both
async def test_nobody_listening_is_unavailable(is_streamed: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        backend = OpenAIBackend(f"http://127.0.0.1:{taken.getsockname()[1]}", model="m")
        with pytest.raises(BackendUnavailable, match=r"nobody answers at http://127\.0") as caught:
            await ask(backend, is_streamed=is_streamed)
        await backend.aclose()
    assert caught.value.retryable


async def test_an_unknown_host_is_unavailable() -> None:
    backend = OpenAIBackend("http://no-such-host.invalid", model="m")
    with pytest.raises(BackendUnavailable, match=r"nobody answers at http://no-such-host.invalid"):
        await backend.complete(REQUEST)
    await backend.aclose()


@both
async def test_a_server_that_hangs_before_its_headers_times_out(is_streamed: bool) -> None:
    async with MisbehavingServer() as server, backend_of(server, timeout_s=0.1) as backend:
        server.behaviours = [server.hang]
        with pytest.raises(BackendTimeout, match=r"no whole answer within 0.1 s"):
            await ask(backend, is_streamed=is_streamed)
        async with asyncio.timeout(5):
            await server.disconnected.wait()


async def test_a_request_may_set_its_own_time_limit() -> None:
    async with MisbehavingServer() as server, backend_of(server) as backend:
        server.behaviours = [server.hang]
        hurried = Request(messages=REQUEST.messages, options=LLMOptions(timeout_s=0.05))
        with pytest.raises(BackendTimeout, match=r"within 0.05 s"):
            await backend.complete(hurried)


async def test_a_server_that_hangs_after_its_headers_times_out() -> None:
    async def behave(call: Call) -> None:
        await call.start_stream()
        await call.reader.read()

    error = await failure(behave, is_streamed=True, timeout_s=0.15, stall_timeout_s=0.05)

    assert kind(error) == (BackendTimeout, True, None)
    assert "no whole answer within 0.15 s" in str(error)


async def test_a_stream_that_stalls_times_out_long_before_the_whole_attempt() -> None:
    async def behave(call: Call) -> None:
        await call.start_stream()
        await call.send_chunk(event(delta("he")))
        await call.reader.read()

    error = await failure(behave, is_streamed=True, stall_timeout_s=0.1)

    assert kind(error) == (BackendTimeout, True, None)
    assert "stopped in the middle of its answer: nothing came for 0.1 s" in str(error)


async def test_comments_keep_a_slow_stream_alive() -> None:
    async def behave(call: Call) -> None:
        await call.start_stream()
        for _ in range(8):
            await call.send_chunk(b": ping\n\n")
            await asyncio.sleep(0.03)
        await stream_rest(call)

    async def stream_rest(call: Call) -> None:
        for piece in map(event, whole_stream()):
            await call.send_chunk(piece)
        await call.end_stream()

    async with MisbehavingServer(behave) as server, backend_of(server, stall_timeout_s=0.15) as b:
        assert (await ask(b, is_streamed=True)).text == "hello"


async def test_a_slow_drip_of_single_bytes_is_put_together() -> None:
    async def behave(call: Call) -> None:
        await call.start_stream()
        for byte in b"".join(map(event, whole_stream("héllo"))):
            await call.send_chunk(bytes([byte]))
            await asyncio.sleep(0)
        await call.end_stream()

    async with MisbehavingServer(behave) as server, backend_of(server) as backend:
        assert (await ask(backend, is_streamed=True)).text == "héllo"


@both
@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"Retry-After": "99999999"}, 600.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}, 600.0),
        ({"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"}, 0.0),
    ],
)
async def test_429_is_rate_limited_and_keeps_how_long_to_wait(
    headers: dict[str, str], wait_s: float | None, is_streamed: bool
) -> None:
    error = await failure(
        answer(429, {"error": {"message": "slow down"}}, headers), is_streamed=is_streamed
    )

    assert kind(error) == (RateLimited, True, 429)
    assert error.retry_after_s == wait_s
    assert "answered 429: slow down" in str(error)


@pytest.mark.parametrize(
    ("status", "kind_of_error", "is_retryable"),
    [
        (300, RequestRejected, False),
        (302, RequestRejected, False),
        (400, RequestRejected, False),
        (401, RequestRejected, False),
        (403, RequestRejected, False),
        (404, RequestRejected, False),
        (408, BackendTimeout, True),
        (409, BackendUnavailable, True),
        (418, RequestRejected, False),
        (422, RequestRejected, False),
        (500, BackendUnavailable, True),
        (501, RequestRejected, False),
        (502, BackendUnavailable, True),
        (503, BackendUnavailable, True),
        (504, BackendUnavailable, True),
        (529, BackendUnavailable, True),
        (599, BackendUnavailable, True),
    ],
)
async def test_every_status_has_its_error(
    status: int, kind_of_error: type[BackendError], is_retryable: bool
) -> None:
    error = await failure(answer(status, {"detail": "the reason"}, {"Retry-After": "2"}))

    assert kind(error) == (kind_of_error, is_retryable, status)
    assert error.retry_after_s == 2.0
    assert "the reason" in str(error)


@pytest.mark.parametrize(
    "said",
    [
        # OpenAI, vLLM
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "max_tokens must be at least 1, got -186.",
        # llama.cpp
        "input (9000 tokens) is larger than the max context size (4096 tokens). skipping",
        "the request exceeds the available context size, try increasing it",
        "request (6153 tokens) exceeds the available context size (4096 tokens), try increasing it",
        # SGLang
        "The input (5120 tokens) is longer than the model's context length (4096 tokens).",
        "Requested token count exceeds the model's maximum context length of 4096 tokens.",
    ],
)
async def test_a_prompt_too_long_is_told_in_every_servers_words(said: str) -> None:
    error = await failure(answer(400, {"error": {"message": said, "code": 400}}))

    assert kind(error) == (ContextOverflow, False, 400)
    assert said in str(error)


async def test_an_html_error_page_is_shown_as_text_and_cut() -> None:
    page = "<html><head><style>b{}</style></head><body><h1>Bad gateway</h1>" + "x" * 5000
    error = await failure(answer(502, page))

    assert "answered 502: Bad gateway xxx" in str(error)
    assert len(str(error)) < 600


@both
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b"<html>Welcome to nginx</html>",
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
    ids=lambda body: body[:20].decode(errors="replace"),
)
async def test_an_answer_that_is_no_completion_is_invalid(body: bytes, is_streamed: bool) -> None:
    error = await failure(answer(200, body), is_streamed=is_streamed)

    assert kind(error) == (InvalidAnswer, True, None)
    assert len(str(error)) < 700


async def test_a_stream_that_ends_early_is_invalid() -> None:
    for cut in (False, True):
        error = await failure(stream(delta("he"), delta("l"), cut=cut), is_streamed=True)
        assert kind(error) == (InvalidAnswer, True, None)


async def test_a_chunked_body_cut_inside_a_chunk_is_invalid() -> None:
    async def behave(call: Call) -> None:
        await call.start_stream()
        await call.send(b"ffff\r\n" + event(delta("he")))
        call.close()

    error = await failure(behave, is_streamed=True)

    assert kind(error) == (InvalidAnswer, True, None)


async def test_a_body_shorter_than_its_length_is_invalid() -> None:
    async def behave(call: Call) -> None:
        await call.respond(200, '{"choices"', {"Content-Length": "1000"})
        call.close()

    assert kind(await failure(behave)) == (InvalidAnswer, True, None)


@both
async def test_a_connection_reset_in_the_middle_is_unavailable(is_streamed: bool) -> None:
    async def behave(call: Call) -> None:
        await call.start_stream()
        await call.send_chunk(event(delta("he")))
        await asyncio.sleep(0.02)
        call.reset()

    assert kind(await failure(behave, is_streamed=is_streamed)) == (BackendUnavailable, True, None)


async def test_a_server_that_hangs_up_without_a_word_is_unavailable() -> None:
    async def behave(call: Call) -> None:
        call.close()

    error = await failure(behave)

    assert kind(error) == (BackendUnavailable, True, None)


async def test_what_is_not_http_is_invalid() -> None:
    async def behave(call: Call) -> None:
        await call.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        call.close()

    assert kind(await failure(behave)) == (InvalidAnswer, True, None)


async def test_an_answer_whose_end_is_lost_is_still_an_answer() -> None:
    *chunks, _usage, _done = whole_stream()
    async with (
        MisbehavingServer(stream(*chunks, cut=True)) as server,
        backend_of(server) as backend,
    ):
        assert (await ask(backend, is_streamed=True)).text == "hello"


async def test_a_server_that_never_closes_after_done_does_not_hold_us() -> None:
    async def behave(call: Call) -> None:
        await call.start_stream()
        for piece in map(event, whole_stream()):
            await call.send_chunk(piece)
        await call.reader.read()

    async with MisbehavingServer(behave) as server, backend_of(server, stall_timeout_s=0.1) as b:
        assert (await ask(b, is_streamed=True)).text == "hello"


async def test_a_stream_refused_in_one_piece_is_read_in_one_piece() -> None:
    async with MisbehavingServer(answer(200, completion())) as server, backend_of(server) as b:
        assert await ask(b, is_streamed=True) == HELLO


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            {"message": "boom", "type": "server_error", "code": None},
            (BackendUnavailable, True, 500),
        ),
        (
            {"message": "too long: maximum context length", "code": 400},
            (ContextOverflow, False, 400),
        ),
        ({"message": "quota", "code": "429"}, (RateLimited, True, 429)),
        ("just text", (BackendUnavailable, True, 500)),
    ],
)
async def test_an_error_inside_a_stream_is_told(error: object, expected: object) -> None:
    caught = await failure(stream(delta("he"), {"error": error}, "[DONE]"), is_streamed=True)

    assert kind(caught) == expected


async def test_a_line_of_a_megabyte_is_read_and_one_without_end_is_not() -> None:
    text = "x" * 1_200_000
    async with (
        MisbehavingServer(stream(delta(text), delta(finish="stop"))) as server,
        backend_of(server) as backend,
    ):
        assert (await ask(backend, is_streamed=True)).text == text

    error = await failure(stream(delta("x" * (17 * 2**20))), is_streamed=True)
    assert kind(error) == (InvalidAnswer, True, None)


async def test_tool_calls_stream_in_pieces() -> None:
    def part(index: int, **fields: object) -> object:
        return delta(tool_calls=[{"index": index, **fields}])

    behaviour = stream(
        part(0, id="a", function={"name": "search", "arguments": ""}),
        part(0, function={"arguments": '{"q": '}),
        part(1, id="b", function={"name": "read", "arguments": "{}"}),
        part(0, function={"arguments": '"x"}'}),
        delta(finish="tool_calls"),
        "[DONE]",
    )
    async with MisbehavingServer(behaviour) as server, backend_of(server) as backend:
        given = await ask(backend, is_streamed=True)

    assert given.tool_calls == (
        ToolCall("a", "search", '{"q": "x"}'),
        ToolCall("b", "read", "{}"),
    )
    assert given.finish_reason == "tool_calls"


async def test_a_pooled_connection_that_the_server_closed_is_no_error() -> None:
    async def hello_then_close(call: Call) -> None:
        await call.respond(200, completion())
        call.close()

    async with MisbehavingServer(hello_then_close) as server, backend_of(server) as backend:
        for _ in range(3):
            assert await ask(backend, is_streamed=False) == HELLO
            await asyncio.sleep(0.01)
        assert server.connections == 3


@pytest.mark.parametrize("ending", [Call.close, Call.reset])
async def test_a_pooled_connection_closed_just_as_we_write_is_replaced(
    ending: Callable[[Call], None],
) -> None:
    async def close_without_a_word(call: Call) -> None:
        ending(call)

    hello = answer(200, completion())
    async with (
        MisbehavingServer(hello, close_without_a_word, hello) as server,
        backend_of(server) as backend,
    ):
        assert await ask(backend, is_streamed=False) == HELLO
        assert await ask(backend, is_streamed=False) == HELLO
        assert [call.connection for call in server.calls] == [1, 1, 2]


@both
async def test_cancelling_closes_the_connection(is_streamed: bool) -> None:
    asked = asyncio.Event()
    async with MisbehavingServer() as server, backend_of(server) as backend:

        async def behave(call: Call) -> None:
            if is_streamed:
                await call.start_stream()
                await call.send_chunk(event(delta("he")))
            asked.set()
            await server.hang(call)

        server.behaviours = [behave, answer(200, completion())]
        task = asyncio.create_task(ask(backend, is_streamed=is_streamed))
        await asked.wait()
        await asyncio.sleep(0.02)
        task.cancel()
        async with asyncio.timeout(5):
            await server.disconnected.wait()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await ask(backend, is_streamed=False) == HELLO


async def test_an_observer_that_fails_ends_the_request() -> None:
    def observe(_chunk: Chunk) -> None:
        raise ZeroDivisionError

    async with MisbehavingServer() as server, backend_of(server) as backend:

        async def behave(call: Call) -> None:
            await call.start_stream()
            await call.send_chunk(event(delta("he")))
            await server.hang(call)

        server.behaviours = [behave]
        with pytest.raises(ZeroDivisionError):
            await backend.complete(REQUEST, on_chunk=observe)
        async with asyncio.timeout(5):
            await server.disconnected.wait()


async def test_an_error_whose_body_is_lost_is_told_by_its_status() -> None:
    async def behave(call: Call) -> None:
        await call.respond(503, "{", {"Content-Length": "1000"})
        call.close()

    error = await failure(behave)

    assert kind(error) == (BackendUnavailable, True, 503)


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "_MAX_BODY_BYTES", 1000)

    error = await failure(answer(200, completion("x" * 2000)))

    assert kind(error) == (InvalidAnswer, True, None)
    assert "longer than 1000 bytes" in str(error)


async def test_text_that_no_encoding_can_hold_is_sent_repaired() -> None:
    broken = Request(messages=(Message("user", "caf\udce9 \ud83d\ude00"),))
    async with (
        MisbehavingServer(answer(200, completion())) as server,
        backend_of(server) as backend,
    ):
        await backend.complete(broken)

        assert server.calls[0].json["messages"][0]["content"] == "caf\ufffd 😀"


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}], ids=["nan", "object", "set"])
async def test_a_request_that_is_no_json_is_refused_before_it_is_sent(value: object) -> None:
    async with MisbehavingServer() as server, backend_of(server) as backend:
        with pytest.raises(RequestRejected, match="cannot be written as JSON"):
            await backend.complete(Request(messages=REQUEST.messages, extra={"top_p": value}))
        assert server.connections == 0


async def test_rate_limits_hold_back_what_would_break_them() -> None:
    async with MisbehavingServer(answer(200, completion())) as server:
        limits = RateLimits(requests_per_minute=1, tokens_per_minute=100)
        backend = OpenAIBackend(server.url, model="m", settings=HttpSettings(limits=limits))
        large = Request(messages=REQUEST.messages, options=LLMOptions(max_tokens=101))
        with pytest.raises(RateLimited, match="can never fit") as caught:
            await backend.complete(large)
        assert (caught.value.retryable, caught.value.url) == (False, backend.name)

        await backend.complete(REQUEST)
        waiting = asyncio.create_task(backend.complete(REQUEST))
        await asyncio.sleep(0.05)
        assert len(server.calls) == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await backend.aclose()
