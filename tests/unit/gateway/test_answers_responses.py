from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from agentrt.errors import BackendUnavailable
from agentrt.gateway.answers import AnswerReader
from agentrt.gateway.asked import Asked
from agentrt.gateway.responses_reading import read_items
from agentrt.ir.request import Completion, Message, Request, ToolCall, Usage

ASKED = Asked(
    endpoint="responses", body={}, model="m", request=Request(messages=()), is_streamed=True
)


def sse(*events: dict[str, Any]) -> bytes:
    """As servers write them, with the kind on a line of its own."""
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


def read(*pieces: bytes, asked: Asked = ASKED) -> AnswerReader:
    reader = AnswerReader(asked)
    passed = b"".join([reader.feed(piece) for piece in pieces]) + reader.end()
    assert passed == b"".join(pieces)
    return reader


THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
SAID = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}  # fmt: skip
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"}


def response(**fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "m",
            "error": None, "incomplete_details": None, "output": [THOUGHT, SAID, CALL],
            "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4},
                      "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1},
                      "total_tokens": 11}, **fields}  # fmt: skip


ANSWER = Completion(
    text="Hello",
    tool_calls=(ToolCall("c1", "f", "{}"),),
    finish_reason="tool_calls",
    usage=Usage(9, 4, 2),
    model="m",
)
BEFORE: list[dict[str, Any]] = [
    {"type": "response.created", "response": response(status="in_progress", output=[], usage=None)},
    {"type": "response.in_progress", "response": response(status="in_progress", output=[])},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning"}},
]
DELTAS: list[dict[str, Any]] = [
    {"type": "response.reasoning_summary_text.delta", "delta": "hm"},
    {"type": "response.output_item.done", "item": THOUGHT},
    {"type": "response.output_item.added", "item": {"type": "message", "content": []}},
    {"type": "response.content_part.added", "part": {"type": "output_text", "text": ""}},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "Hel"},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "lo"},
    {"type": "response.output_text.done", "text": "Hello"},
    {"type": "response.output_item.done", "item": SAID},
    {"type": "response.function_call_arguments.delta", "delta": "{}"},
    {"type": "response.output_item.done", "item": CALL},
]
LAST: dict[str, Any] = {"type": "response.completed", "response": response()}


@pytest.mark.parametrize("size", [1, 5, 100, 1_000_000])
def test_a_stream_is_read_however_it_is_cut(size: int) -> None:
    stream = sse(*BEFORE, *DELTAS, LAST)
    reader = read(*[stream[at : at + size] for at in range(0, len(stream), size)])
    assert (reader.is_whole, reader.is_understood) == (True, True)
    assert reader.completion() == ANSWER
    assert (reader.response_id, reader.reasoning) == ("resp_1", "hm")


def test_in_one_piece() -> None:
    reader = read(json.dumps(response()).encode())
    assert (reader.is_whole, reader.is_understood) == (True, True)
    assert reader.completion() == ANSWER
    assert (reader.response_id, reader.reasoning) == ("resp_1", "hm")


@pytest.mark.parametrize("body", [sse(*BEFORE, *DELTAS, LAST), json.dumps(response()).encode()])
@pytest.mark.parametrize("has_reasoning", [True, False])
def test_the_answer_is_the_message_that_its_items_are_in_the_next_request(
    body: bytes, has_reasoning: bool
) -> None:
    completion = read(body, asked=replace(ASKED, has_reasoning=has_reasoning)).completion()
    items = [THOUGHT, SAID, CALL] if has_reasoning else [SAID, CALL]
    assert read_items(items) == (Message("assistant", completion.text, completion.tool_calls),)


def test_it_begins_with_the_first_content() -> None:
    reader = AnswerReader(ASKED)
    reader.feed(sse(*BEFORE))
    assert not reader.has_begun
    assert reader.response_id == "resp_1"
    reader.feed(sse(DELTAS[0]))
    assert reader.has_begun


@pytest.mark.parametrize("came", range(len(DELTAS)))
def test_a_stream_that_stops_is_not_whole_and_what_came_is_kept(came: int) -> None:
    reader = read(sse(*BEFORE, *DELTAS[:came]) + b'event: response.output_text.delta\ndata: {"ty')
    assert (reader.is_whole, reader.is_understood) == (False, True)
    completion = reader.completion()
    assert "Hello".startswith(completion.text)
    assert (completion.finish_reason, completion.model) == ("", "m")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"type": "response.incomplete", "response": response(
            status="incomplete", output=[SAID],
            incomplete_details={"reason": "max_output_tokens"})}, "length"),
        ({"type": "response.incomplete", "response": response(
            status="incomplete", output=[SAID],
            incomplete_details={"reason": "content_filter"})}, "content_filter"),
        ({"type": "response.completed", "response": response(output=[SAID])}, "stop"),
        ({"type": "response.completed", "response": response(output=[])}, "tool_calls"),
    ],
)  # fmt: skip
def test_the_reason_it_ended_for(event: dict[str, Any], reason: str) -> None:
    reader = read(sse(*BEFORE, *DELTAS, event))
    assert reader.is_whole
    assert reader.completion().finish_reason == reason
    assert reader.completion().text == "Hello"


def test_a_response_that_failed_is_whole_and_says_so() -> None:
    failed = response(status="failed", output=[], error={"code": "server_error", "message": "died"})
    for body in (
        sse(*BEFORE, {"type": "response.failed", "response": failed}),
        json.dumps(failed).encode(),
    ):
        reader = read(body)
        assert reader.is_whole
        assert isinstance(reader.error, BackendUnavailable)
        assert reader.completion().finish_reason == "failed"


def test_one_that_runs_in_the_background_has_only_its_name_yet() -> None:
    reader = read(json.dumps(response(status="queued", output=[], usage=None)).encode())
    assert (reader.is_whole, reader.response_id) == (True, "resp_1")
    assert reader.completion() == Completion(finish_reason="queued", model="m")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "server_error", "message": "died", "param": None},
        {"type": "error", "error": {"message": "died"}},
    ],
)
def test_an_error_in_the_stream_is_passed_on_and_told(event: dict[str, Any]) -> None:
    reader = read(sse(*BEFORE, *DELTAS[:5], event))
    assert isinstance(reader.error, BackendUnavailable)
    assert not reader.is_whole
    assert reader.completion().text == "Hel"


def test_an_error_object_is_no_response() -> None:
    reader = read(json.dumps({"error": {"message": "died"}}).encode())
    assert isinstance(reader.error, BackendUnavailable)
    assert (reader.is_whole, reader.is_understood) == (False, False)


@pytest.mark.parametrize(
    "odd", ["not json", "5", "null", "[]", "{}", '{"type": 5}', '{"type": "x.delta"}',
            '{"type": "response.output_text.delta", "delta": 5}', "[" * 100_000,
            '{"type": "response.output_item.done"}', '{"type": "response.completed"}',
            '{"type": "response.created", "response": {"id": 5, "model": []}}', "[DONE]"],
)  # fmt: skip
def test_what_makes_no_sense_is_passed_on_and_the_rest_is_read(odd: str) -> None:
    line = f"data: {odd}\n\n".encode()
    reader = read(sse(*BEFORE) + line + sse(*DELTAS) + line + sse(LAST) + line)
    assert reader.is_whole
    assert reader.completion() == ANSWER


@pytest.mark.parametrize(
    "body", [{}, {"output": None}, {"output": [5, None, {}, {"type": []}]}, {"usage": 5}, []]
)
def test_json_of_another_kind_is_passed_on(body: Any) -> None:
    reader = read(json.dumps(body).encode())
    assert reader.is_whole
    assert reader.completion().text == ""
