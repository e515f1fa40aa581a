from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from agentrt.errors import BackendUnavailable
from agentrt.gateway.answers import AnswerReader
from agentrt.gateway.asked import Asked, Endpoint
from agentrt.ir.request import Completion, Request, ToolCall, Usage

CHAT = Asked(endpoint="chat/completions", body={}, model="m", request=Request(messages=()))
ENDPOINTS: list[Endpoint] = ["chat/completions", "completions", "responses", "embeddings"]


def read(asked: Asked, *pieces: bytes) -> tuple[AnswerReader, bytes]:
    reader = AnswerReader(asked)
    passed = b"".join([reader.feed(piece) for piece in pieces])
    return reader, passed + reader.end()


def read_json(body: Any, asked: Asked = CHAT) -> AnswerReader:
    content = json.dumps(body).encode()
    reader, passed = read(asked, content[:7], content[7:])
    assert passed == content
    return reader


USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11,
         "prompt_tokens_details": {"cached_tokens": 4}}  # fmt: skip


def chat(message: Any, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice],
            "usage": USAGE, **more}  # fmt: skip


def test_a_chat_answer() -> None:
    reader = read_json(chat({"role": "assistant", "content": "Hello", "tool_calls": []}))
    assert (reader.has_begun, reader.is_whole, reader.is_understood) == (True, True, True)
    assert reader.completion() == Completion(text="Hello", usage=Usage(9, 4, 2), model="m")


def test_a_chat_answer_with_reasoning_and_calls() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = chat({"content": None, "reasoning_content": "hm", "tool_calls": [call]})
    reader = read_json(body)
    assert reader.reasoning == "hm"
    assert reader.completion().tool_calls == (ToolCall("c1", "f", "{}"),)
    assert reader.completion().text == ""
    reader = read_json(body, replace(CHAT, has_reasoning=True))
    assert reader.completion().text == "<think>\nhm\n</think>\n\n"


def test_of_several_choices_the_first_is_read() -> None:
    choices = [
        {"index": at, "message": {"content": text, "reasoning": text}, "finish_reason": "stop"}
        for at, text in ((1, "other"), (0, "first"))
    ]
    reader = read_json({"choices": choices})
    assert (reader.completion().text, reader.reasoning) == ("first", "first")


def test_a_legacy_completion() -> None:
    choice = {"index": 0, "text": "Hello", "finish_reason": "length"}
    reader = read_json({"choices": [choice], "usage": USAGE}, replace(CHAT, endpoint="completions"))
    assert reader.completion() == Completion(
        text="Hello", finish_reason="length", usage=Usage(9, 4, 2)
    )


def test_an_answer_in_one_piece_to_a_request_for_a_stream_is_passed_on() -> None:
    asked = replace(CHAT, is_streamed=True, has_usage=False)
    reader = read_json(chat({"content": "Hello"}), asked)
    assert (reader.is_whole, reader.completion().text) == (True, "Hello")


@pytest.mark.parametrize(
    "body",
    [{}, {"choices": []}, {"choices": None}, {"choices": 5}, {"choices": [None]}, [], 5, "text",
     {"choices": [{"message": "text"}]}, {"choices": [{"text": 5, "message": None}]}],
)  # fmt: skip
@pytest.mark.parametrize("endpoint", ["chat/completions", "completions"])
def test_json_of_another_kind_is_passed_on_and_its_usage_is_read(
    endpoint: Endpoint, body: Any
) -> None:
    if isinstance(body, dict):
        body = body | {"usage": USAGE, "model": "m"}
    reader = read_json(body, replace(CHAT, endpoint=endpoint))
    assert (reader.is_whole, reader.is_understood) == (True, False)
    known = Completion(finish_reason="", usage=Usage(9, 4, 2), model="m")
    assert reader.completion() == (
        known if isinstance(body, dict) else Completion(finish_reason="")
    )


@pytest.mark.parametrize(
    ("body", "is_whole"),
    [
        (b"<html>no</html>", True),
        (b"\x1f\x8b packed", True),
        (b"\xff\xfe", True),
        (b"[" * 100_000, True),  # too deep to be looked at
        (b'{"choices": [{"mess', False),
        (b'{"choices"', False),
        (b"[1, 2", False),
    ],
)
@pytest.mark.parametrize("endpoint", ["chat/completions", "completions", "responses"])
def test_what_is_no_json_is_passed_on_and_only_what_lost_its_end_is_not_whole(
    endpoint: Endpoint, body: bytes, is_whole: bool
) -> None:
    asked = replace(CHAT, endpoint=endpoint)
    for pieces in ([body], [bytes([byte]) for byte in body[:500]] + [body[500:]]):
        reader, passed = read(asked, *pieces)
        assert (passed, reader.is_whole, reader.is_understood) == (body, is_whole, False)
        assert reader.completion() == Completion(finish_reason="")


def test_an_error_with_the_status_of_a_success_is_no_answer() -> None:
    reader = read_json({"error": {"message": "died", "code": 500}, "usage": USAGE})
    assert isinstance(reader.error, BackendUnavailable)
    assert (reader.is_whole, reader.is_understood) == (False, False)


def test_an_empty_error_is_none() -> None:
    assert read_json(chat({"content": "x"}, error=None)).is_whole


def test_control_characters_in_an_answer_do_not_make_it_unreadable() -> None:
    body = b'{"choices": [{"message": {"content": "a\tb"}, "finish_reason": "stop"}]}'
    reader, _ = read(CHAT, body)
    assert reader.completion().text == "a\tb"


def test_of_embeddings_only_the_end_is_read() -> None:
    numbers = [[0.5] * 1_000 for _ in range(60)]
    body = {"object": "list", "data": [{"embedding": n} for n in numbers], "model": "e",
            "usage": {"prompt_tokens": 7, "total_tokens": 7}}  # fmt: skip
    asked = replace(CHAT, endpoint="embeddings")
    content = json.dumps(body).encode()
    pieces = [content[at : at + 1_000] for at in range(0, len(content), 1_000)]
    reader, passed = read(asked, *pieces)
    assert passed == content
    assert (reader.is_whole, reader.is_understood) == (True, True)
    assert reader.completion() == Completion(usage=Usage(7, 0, 0))


@pytest.mark.parametrize(
    ("body", "is_whole"),
    [
        (b'{"usage": {"prompt_tokens": 7}, "data": []}', True),
        (b'{"data": []}', True),
        (b'{"data": [], "usage": 5}', True),
        (b'{"data": [], "usage"}', True),
        (b'{"data": [], "usage": {"prompt', False),
        (b'{"data": [0.1, 0.', False),
    ],
)
def test_embeddings_of_any_shape_are_passed_on(body: bytes, is_whole: bool) -> None:
    reader, passed = read(replace(CHAT, endpoint="embeddings"), body)
    assert (passed, reader.is_whole) == (body, is_whole)
    assert reader.completion().usage.prompt_tokens in {0, 7}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_reading_on_the_way_changes_nothing(endpoint: Endpoint) -> None:
    content = json.dumps(chat({"content": "Hello"})).encode()
    once, _ = read(replace(CHAT, endpoint=endpoint), content)
    asked_often = AnswerReader(replace(CHAT, endpoint=endpoint))
    for byte in content:
        asked_often.feed(bytes([byte]))
        _ = (asked_often.is_whole, asked_often.is_understood, asked_often.error)
        _ = (asked_often.response_id, asked_often.reasoning)
    asked_often.end()
    assert asked_often.end() == b""
    assert asked_often.completion() == once.completion()
    assert asked_often.is_whole == once.is_whole
