"""Whatever clients and servers send, reading it changes nothing of it and raises nothing unforeseen."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.wire import message_json
from agentrt.backends.wire_serving import Stamp, completion_json, last_chunks, sse, text_chunk
from agentrt.backends.written_calls import with_readable_calls
from agentrt.errors import RequestRejected
from agentrt.gateway.answers import AnswerReader
from agentrt.gateway.asked import Asked, Endpoint
from agentrt.gateway.claims import FIELDS, HEADERS, read_claim
from agentrt.gateway.reading import read_request
from agentrt.ir.request import Completion, Message, Request, ToolCall, Usage

ENDPOINTS: list[Endpoint] = ["chat/completions", "completions", "responses", "embeddings"]
NAMES = [
    "model", "messages", "role", "content", "type", "text", "tool_calls", "function_call", "id",
    "function", "name", "arguments", "tool_call_id", "reasoning_content", "reasoning", "refusal",
    "tools", "functions", "parameters", "prompt", "suffix", "input", "instructions", "output",
    "call_id", "summary", "encrypted_content", "previous_response_id", "stream", "stream_options",
    "include_usage", "max_tokens", "metadata", "nvext", "agent_context", "session_id", "user",
    "choices", "delta", "message", "index", "usage", "finish_reason", "error", "response", "item",
    "prompt_tokens", "input_tokens", "timings", "status", "incomplete_details", "object",
]  # fmt: skip
WORDS = [
    "system", "assistant", "tool", "function", "message", "reasoning", "function_call", "stop",
    "function_call_output", "custom", "input_text", "image_url", "response.completed", "error",
    "response.output_text.delta", "response.output_item.done", "web_search_call",
]  # fmt: skip
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(alphabet=st.characters(), max_size=8),
    st.text(alphabet=st.characters(categories=["Cs"]), max_size=2),
    st.sampled_from(WORDS),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=25,
)


def objects(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have these fields often, with anything in them."""
    fields = {name: JSON | st.lists(JSON, max_size=4) for name in names}
    return st.fixed_dictionaries({}, optional=fields)


BODIES = st.one_of(
    objects("model", "messages", "tools", "functions", "stream", "stream_options", "max_tokens"),
    objects("model", "prompt", "suffix", "input", "instructions", "previous_response_id", "user"),
    objects("session_id", "nvext", "metadata", "vllm_xargs", "conversation", "extra_body"),
    JSON,
)


@given(endpoint=st.sampled_from(ENDPOINTS), body=BODIES)
def test_any_json_is_read_or_refused(endpoint: Endpoint, body: Any) -> None:
    raw = json.dumps(body).encode()
    try:
        asked = read_request(endpoint, {}, raw)
    except RequestRejected as refusal:
        assert refusal.status == 400  # noqa: PT017  either outcome is right
        model = body.get("model") if isinstance(body, dict) else None
        assert not isinstance(body, dict) or not isinstance(model, str | None)
        return
    assert asked.raw == raw
    for message in asked.request.messages:  # what cannot be encoded cannot be hashed
        message.content.encode()
        for call in message.tool_calls:
            f"{call.id}{call.name}{call.arguments}".encode()
    assert hash(asked.request.messages) == hash(read_request(endpoint, {}, raw).request.messages)
    assert asked.request == read_request(endpoint, {}, raw).request


@given(endpoint=st.sampled_from(ENDPOINTS), raw=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(endpoint: Endpoint, raw: bytes) -> None:
    try:
        read_request(endpoint, {}, raw)
    except RequestRejected as refusal:
        assert refusal.status == 400  # noqa: PT017  either outcome is right


@given(
    headers=st.dictionaries(st.sampled_from([h.name for h in HEADERS]), st.text(max_size=300)),
    body=st.dictionaries(st.sampled_from([f.path.split(".")[0] for f in FIELDS]), JSON),
)
def test_a_claim_can_always_be_kept_and_shown(
    headers: dict[str, str], body: dict[str, Any]
) -> None:
    claim = read_claim(headers, body)
    for name in (claim.program, claim.parent):
        assert len(name) <= 256
        assert name.isprintable()
        name.encode()
    assert bool(claim.program) == bool(claim.source)


def asked_for(endpoint: Endpoint, *, has_usage: bool) -> Asked:
    return Asked(
        endpoint=endpoint,
        body={},
        model="",
        request=Request(messages=()),
        is_streamed=True,
        has_usage=has_usage,
    )


def answer_to(asked: Asked, pieces: list[bytes]) -> tuple[bytes, Completion, bool, bool, bool]:
    reader = AnswerReader(asked)
    passed = b"".join([reader.feed(piece) for piece in pieces]) + reader.end()
    return passed, reader.completion(), reader.is_whole, reader.is_understood, reader.has_begun


CHUNKS = st.one_of(
    st.fixed_dictionaries(
        {"choices": st.lists(objects("index", "delta", "text", "finish_reason"), max_size=2)},
        optional={"usage": JSON, "error": JSON, "model": JSON},
    ),
    st.just({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
    st.text(max_size=5).map(lambda text: {"choices": [{"index": 0, "delta": {"content": text}}]}),
    st.just({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    objects("type", "response", "item", "delta"),
    JSON,
)
LINES = st.one_of(
    CHUNKS.map(lambda body: "data: " + json.dumps(body, ensure_ascii=False)),
    st.sampled_from(
        ["data: [DONE]", ": ping", "event: x", "data:", "id: 5", "", "data", "nonsense"]
    ),
)
STREAMS = st.lists(
    st.tuples(LINES, st.sampled_from(["\n", "\n\n", "\n\n", "\r\n\r\n", "\r\n", "\r\r"])),
    max_size=12,
).map(lambda lines: "".join(line + end for line, end in lines).encode(errors="surrogatepass"))
BYTES = st.one_of(
    STREAMS, STREAMS, JSON.map(lambda body: json.dumps(body).encode()), st.binary(max_size=100)
)


@st.composite
def cut(draw: st.DrawFn) -> list[bytes]:
    """An answer in pieces; some of them may be empty."""
    answer = draw(BYTES)
    places = draw(st.lists(st.integers(0, len(answer)), max_size=8).map(sorted))
    return [answer[a:b] for a, b in zip([0, *places], [*places, len(answer)], strict=True)]


@given(endpoint=st.sampled_from(ENDPOINTS), pieces=cut())
def test_an_answer_is_passed_on_as_it_is_and_reads_the_same_however_it_is_cut(
    endpoint: Endpoint, pieces: list[bytes]
) -> None:
    asked = asked_for(endpoint, has_usage=True)
    answer = b"".join(pieces)
    assert answer_to(asked, pieces) == answer_to(asked, [answer])
    assert answer_to(asked, pieces)[0] == answer


@given(endpoint=st.sampled_from(ENDPOINTS[:2]), pieces=cut())
def test_withholding_usage_takes_whole_events_out_and_the_same_however_it_is_cut(
    endpoint: Endpoint, pieces: list[bytes]
) -> None:
    asked = asked_for(endpoint, has_usage=False)
    answer = b"".join(pieces)
    in_one = answer_to(asked, [answer])
    assert answer_to(asked, pieces) == in_one
    assert in_one[1:] == answer_to(asked_for(endpoint, has_usage=True), [answer])[1:]
    if b"usage" not in answer:
        assert in_one[0] == answer


TEXTS = st.text(max_size=20)
CALLS = st.builds(ToolCall, TEXTS.filter(bool), TEXTS, TEXTS)
COMPLETIONS = st.builds(
    Completion,
    text=TEXTS,
    tool_calls=st.lists(CALLS, max_size=3, unique_by=lambda call: call.id).map(tuple),
    finish_reason=st.sampled_from(["stop", "length", "tool_calls"]),
    usage=st.builds(
        lambda cached, more, out: Usage(cached + more, cached, out), *[st.integers(0, 10**6)] * 3
    ),
    model=TEXTS,
)
STAMP = Stamp("id", 0)


@given(
    completion=COMPLETIONS,
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    has_usage=st.booleans(),
    data=st.data(),
)
def test_an_answer_is_the_message_that_it_is_in_the_next_request(
    completion: Completion, line_end: bytes, has_usage: bool, data: st.DataObject
) -> None:
    asked = asked_for("chat/completions", has_usage=has_usage)
    events = [text_chunk("", STAMP, is_first=True)]
    events += [text_chunk(letter, STAMP, model=completion.model) for letter in completion.text]
    events += last_chunks(completion, STAMP, has_usage_chunk=True)
    stream = b": hello\n\n" + b"".join(map(sse, [*events, "[DONE]"]))
    stream = stream.replace(b"\n", line_end)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20).map(sorted))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    passed, streamed, is_whole, is_understood, _ = answer_to(asked, pieces)
    _, whole, *_ = answer_to(asked, [json.dumps(completion_json(completion, STAMP)).encode()])

    assert (is_whole, is_understood) == (True, True)
    assert streamed == whole == completion
    assert (passed == stream) == has_usage
    message = Message("assistant", completion.text, completion.tool_calls)
    raw = json.dumps({"model": "m", "messages": [message_json(message)]}).encode()
    told = with_readable_calls(message)  # no server is told of arguments that it cannot read
    assert read_request("chat/completions", {}, raw).request.messages == (told,)
