"""Whatever a server sends, we say what it is or that it is no completion; never anything else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.wire import parse_completion, parse_json, request_body
from agentrt.backends.wire_serving import (
    Stamp,
    completion_json,
    last_chunks,
    parse_call,
    sse,
    text_chunk,
)
from agentrt.backends.wire_stream import StreamedCompletion
from agentrt.backends.written_calls import with_readable_calls
from agentrt.errors import BackendError, RequestRejected
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Completion, Message, Request, ToolCall, Usage
from agentrt.ir.tool import ToolSpec

FIELDS = [
    "choices", "message", "delta", "content", "tool_calls", "function", "name", "arguments", "id",
    "index", "usage", "prompt_tokens", "completion_tokens", "prompt_tokens_details", "error",
    "cached_tokens", "timings", "cache_n", "finish_reason", "function_call", "model", "code",
    "messages", "role", "tools", "stop", "seed", "n", "response_format", "json_schema", "schema",
    "type", "text", "stream", "stream_options", "temperature", "max_tokens", "parameters",
]  # fmt: skip
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["user", "tool", "assistant", "function", "json_schema", "text", "stop"]),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=25,
)
TEXTS = st.text(max_size=30)
CALLS = st.builds(ToolCall, TEXTS.filter(bool), TEXTS, TEXTS)
COMPLETIONS = st.builds(
    Completion,
    text=TEXTS,
    tool_calls=st.lists(CALLS, max_size=3, unique_by=lambda call: call.id).map(tuple),
    finish_reason=st.sampled_from(["stop", "length", "tool_calls"]),
    usage=st.builds(
        lambda cached, more, out: Usage(cached + more, cached, out),
        *[st.integers(0, 10**6)] * 3,
    ),
    model=TEXTS,
)
STAMP = Stamp("id", 0)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_completion_or_a_backend_error(content: bytes) -> None:
    with contextlib.suppress(BackendError):
        completion = parse_completion(parse_json(content))
        json.dumps(completion.text, ensure_ascii=False).encode()
        assert completion.usage.cached_tokens <= completion.usage.prompt_tokens


@given(st.lists(st.text() | JSON.map(json.dumps)))
def test_any_events_are_a_completion_or_a_backend_error(events: list[str]) -> None:
    stream = StreamedCompletion()
    with contextlib.suppress(BackendError):
        for event in events:
            stream.feed(event)
        json.dumps(stream.completion().text, ensure_ascii=False).encode()


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_request_or_is_refused_with_400(content: bytes) -> None:
    try:
        call = parse_call(content)
    except RequestRejected as caught:
        refusal = caught
    else:
        json.dumps(request_body(call.request, model="m"))
        return
    assert (refusal.status, refusal.retryable) == (400, False)


@given(COMPLETIONS)
def test_a_completion_survives_the_wire(completion: Completion) -> None:
    sent = json.loads(json.dumps(completion_json(completion, STAMP)))

    assert parse_completion(sent) == completion


@given(COMPLETIONS, st.data())
def test_a_stream_survives_the_wire_however_it_is_cut(completion: Completion, data: Any) -> None:
    newline = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    events = [text_chunk("", STAMP, is_first=True)]
    events += [text_chunk(letter, STAMP, model=completion.model) for letter in completion.text]
    events += last_chunks(completion, STAMP, has_usage_chunk=True)
    content = b": hello\n\n" + b"".join(map(sse, [*events, "[DONE]"]))
    content = content.replace(b"\n", newline)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=20)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]

    received, text = asyncio.run(read(pieces))

    assert received == completion
    assert text == completion.text


async def read(pieces: list[bytes]) -> tuple[Completion, str]:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    response = httpx2.Response(
        200,
        headers={"Content-Type": "text/event-stream"},
        content=body(),
        request=httpx2.Request("POST", "http://host"),
    )
    stream = StreamedCompletion()
    text = ""
    async for event in httpx2.EventSource(response):
        text += stream.feed(event.data)
    return stream.completion(), text


@given(
    messages=st.lists(
        st.builds(Message, st.sampled_from(["system", "user"]), TEXTS)
        | st.builds(
            Message, st.just("assistant"), TEXTS, tool_calls=st.lists(CALLS, max_size=2).map(tuple)
        )
        | st.builds(Message, st.just("tool"), TEXTS, tool_call_id=TEXTS),
        max_size=5,
    ),
    tools=st.lists(st.builds(ToolSpec, name=TEXTS, description=TEXTS), max_size=2),
    options=st.builds(
        LLMOptions,
        model=st.just("m"),
        max_tokens=st.none() | st.integers(0, 99),
        temperature=st.none() | st.floats(0, 2),
        stop=st.lists(TEXTS, max_size=2).map(tuple),
        seed=st.none() | st.integers(),
    ),
    extra=st.dictionaries(st.sampled_from(["top_p", "user", "guided_regex"]), TEXTS),
    is_streamed=st.booleans(),
)
def test_a_request_survives_the_wire(
    messages: list[Message],
    tools: list[ToolSpec],
    options: LLMOptions,
    extra: dict[str, str],
    is_streamed: bool,
) -> None:
    request = Request(messages=tuple(messages), tools=tuple(tools), options=options, extra=extra)
    sent = json.dumps(request_body(request, model="m", is_streamed=is_streamed)).encode()

    call = parse_call(sent)

    assert (call.is_streamed, call.has_usage_chunk) == (is_streamed, is_streamed)
    received = [ToolSpec(name=t.name, description=t.description) for t in call.request.tools]
    assert received == tools
    # Arguments that are no JSON object are told as text in one.
    assert call.request.messages == tuple(map(with_readable_calls, messages))
    assert call.request.options == request.options
    assert call.request.extra == request.extra
