from __future__ import annotations

import json
from typing import Any

import pytest

from agentrt.errors import RequestRejected
from agentrt.gateway.asked import Asked, Claim, Endpoint
from agentrt.gateway.content import MOST_PARTS, json_text
from agentrt.gateway.reading import read_request
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Message, Request
from agentrt.ir.tool import ToolSpec

CHAT: Endpoint = "chat/completions"
HELLO = [{"role": "user", "content": "hello"}]
ENDPOINTS: list[Endpoint] = ["chat/completions", "completions", "responses", "embeddings"]


def read(body: Any, endpoint: Endpoint = CHAT, headers: dict[str, str] | None = None) -> Asked:
    return read_request(endpoint, headers or {}, json.dumps(body).encode())


def test_a_chat_request_is_read_whole() -> None:
    body = {"model": "m", "messages": HELLO, "max_tokens": 7, "session_id": "s", "strange": [1]}
    assert read(body) == Asked(
        endpoint=CHAT,
        body=body,
        model="m",
        request=Request(messages=(Message("user", "hello"),), options=LLMOptions(max_tokens=7)),
        claim=Claim(program="s", source="body.session_id"),
        raw=json.dumps(body).encode(),
    )


def test_the_bytes_are_kept_as_they_were_written() -> None:
    raw = (
        b' { "model" : "m\\u00e9", "model": "last", "big": 123456789012345678901234567890,'
        b' "small": 1e400, "not": NaN, "zero": -0.0, "half": "\\ud83d", "messages": [] } \n'
    )
    asked = read_request(CHAT, {}, raw)
    assert asked.raw == raw
    assert asked.model == "last"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "not JSON"),
        (b"not json", "not JSON"),
        (b'{"model": "m"', "not JSON"),
        (b'{"model": "m"} {}', "not JSON"),
        (b"\xff\xfe\xff", "not JSON"),
        (b'{"model": "\xff"}', "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"9" * 5000, "not a JSON object"),
        (b'{"model": 5}', "model"),
        (b'{"model": ["m"]}', "model"),
        (b'{"model": "m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deeply"),
        (b'{"model":"m","a":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, "too deeply"),
        (b"[" * 1_000_000, "too deeply"),
        (b'{"model": "m", "seed": ' + b"7" * 5000 + b', "n": }', "not JSON"),
    ],
)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_what_cannot_be_routed_is_refused_with_its_reason(
    endpoint: Endpoint, raw: bytes, said: str
) -> None:
    with pytest.raises(RequestRejected, match=said) as caught:
        read_request(endpoint, {}, raw)
    assert caught.value.status == 400
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_missing_model_is_left_to_be_filled_in(endpoint: Endpoint) -> None:
    assert read({}, endpoint).model == ""
    assert read({"model": None}, endpoint).model == ""


def test_a_number_longer_than_python_reads_is_no_reason_to_refuse() -> None:
    raw = b'{"model": "m", "messages": [], "seed": ' + b"7" * 5000 + b', "n": 2}'
    asked = read_request(CHAT, {}, raw)
    assert (asked.raw, asked.body["n"]) == (raw, 2)


@pytest.mark.parametrize(
    ("endpoint", "field"), [(CHAT, "messages"), ("responses", "input")], ids=["chat", "responses"]
)
@pytest.mark.parametrize("entry", [0, {"role": "user", "content": ["a"] * 99}], ids=str)
def test_more_parts_than_any_conversation_has_are_one_text(
    endpoint: Endpoint, field: str, entry: Any
) -> None:
    few = MOST_PARTS if entry == 0 else MOST_PARTS // 100
    assert len(read({field: [entry] * few}, endpoint).request.messages) == few
    (message,) = read({field: [entry] * (few + 1)}, endpoint).request.messages
    assert (message.role, message.content) == ("user", json_text([entry] * (few + 1)))


def test_more_tools_than_any_model_is_shown_are_one() -> None:
    few, many = (read({"tools": [{"type": "t"}] * n}).request.tools for n in (2_000, 2_001))
    assert len(few) == 2_000
    assert many == (ToolSpec(name="", description=json_text([{"type": "t"}] * 2_001)),)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_encodings_that_json_allows_are_read(encoding: str) -> None:
    raw = json.dumps({"model": "m", "messages": HELLO}).encode(encoding)
    assert read_request(CHAT, {}, raw).request.messages == (Message("user", "hello"),)


def test_half_a_surrogate_pair_does_not_stop_anything() -> None:
    asked = read_request(
        CHAT,
        {},
        b'{"model": "m\\ud800", "messages": [{"role": "user", "content": "a\\udfff"},'
        b'{"role": "user", "content": [{"type":"text","text":"\\ud83d"},{"type":"text",'
        b'"text":"\\ude00"}]}], "tools": [{"type": "function", "function": {"name": "\\ud800",'
        b' "parameters": {"\\ud800": 1}}}], "user": "\\ud800"}',
    )
    assert asked.model == "m\ufffd"
    assert asked.request.messages == (Message("user", "a\ufffd"), Message("user", "\U0001f600"))
    assert asked.request.tools[0].name == "\ufffd"
    asked.claim.program.encode()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6, "max_tokens": 5}, 6),
        ({"max_completion_tokens": None, "max_tokens": 5}, 5),
        ({"max_output_tokens": 9}, 9),
        ({"max_tokens": 12.0}, 12),
        ({"max_tokens": 0}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": True}, None),
        ({"max_tokens": "5"}, None),
        ({"max_tokens": 10**30}, None),
        ({"max_tokens": float("inf")}, None),
        ({"max_tokens": float("nan")}, None),
    ],
)
def test_the_most_tokens_come_from_whichever_field_says_so(
    fields: dict[str, Any], expected: int | None
) -> None:
    assert read({"messages": [], **fields}).request.options.max_tokens == expected


@pytest.mark.parametrize(
    ("fields", "is_streamed", "has_usage"),
    [
        ({}, False, True),
        ({"stream": False}, False, True),
        ({"stream": None}, False, True),
        ({"stream": True}, True, False),
        ({"stream": 1}, True, False),
        ({"stream": "true"}, True, False),
        ({"stream": "no"}, False, True),
        ({"stream": [True]}, False, True),
        ({"stream": True, "stream_options": None}, True, False),
        ({"stream": True, "stream_options": {}}, True, False),
        ({"stream": True, "stream_options": {"include_usage": False}}, True, False),
        ({"stream": True, "stream_options": {"include_usage": True}}, True, True),
        ({"stream": True, "stream_options": "odd"}, True, True),
        ({"stream": False, "stream_options": {"include_usage": True}}, False, True),
    ],
)
@pytest.mark.parametrize("endpoint", ["chat/completions", "completions"])
def test_usage_is_the_gateways_own_wish_where_a_stream_does_not_ask_for_it(
    endpoint: Endpoint, fields: dict[str, Any], is_streamed: bool, has_usage: bool
) -> None:
    asked = read(fields, endpoint)
    assert (asked.is_streamed, asked.has_usage) == (is_streamed, has_usage)


def test_a_stream_of_responses_has_its_usage_always_and_embeddings_never_stream() -> None:
    assert read({"stream": True, "input": "x"}, "responses").has_usage
    assert read({"stream": True, "input": "x"}, "responses").is_streamed
    assert not read({"stream": True, "input": "x"}, "embeddings").is_streamed


def test_embeddings_have_no_conversation() -> None:
    asked = read({"model": "e", "input": ["a", "b"]}, "embeddings")
    assert asked.request == Request(messages=())


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"prompt": "once"}, "once"),
        ({"prompt": ["once"]}, "once"),
        ({"prompt": ["once", "twice"]}, "once\n\x1dtwice"),
        ({"prompt": [1, 22, 333]}, "1,22,333"),
        ({"prompt": [[1, 22], [4]]}, "1,22\n\x1d4"),
        ({"prompt": "def f(", "suffix": "): pass"}, "def f(): pass"),
        ({"prompt": 5}, "5"),
        ({"prompt": {"a": 1}}, '{"a":1}'),
        ({"prompt": [1, "a", None]}, '1,"a",null'),
        ({"prompt": [True, False]}, "true,false"),
    ],
)
def test_a_prompt_of_any_kind_is_one_text(body: dict[str, Any], text: str) -> None:
    assert read(body, "completions").request.messages == (Message("user", text),)


@pytest.mark.parametrize("body", [{}, {"prompt": None}, {"prompt": ""}, {"prompt": []}])
def test_no_prompt_is_no_message(body: dict[str, Any]) -> None:
    assert read(body, "completions").request.messages == ()


def test_a_longer_list_of_tokens_begins_as_the_shorter_one_does() -> None:
    (short,) = read({"prompt": [1, 2, 3]}, "completions").request.messages
    (long,) = read({"prompt": [1, 2, 3, 4]}, "completions").request.messages
    assert long.content.startswith(short.content)
