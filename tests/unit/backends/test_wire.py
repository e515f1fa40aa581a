"""OpenAI's chat format, in the dialects that servers speak."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentrt.backends.http_errors import message_in
from agentrt.backends.strict_schema import strict_form
from agentrt.backends.wire import parse_completion, request_body
from agentrt.backends.wire_stream import StreamedCompletion
from agentrt.errors import BackendError, InvalidAnswer
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Completion, Message, Request, ToolCall, Usage
from agentrt.ir.tool import ToolSpec

USER = (Message("user", "hi"),)


def body(message: object, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]} | fields


def test_a_plain_request_says_no_more_than_it_must() -> None:
    assert request_body(Request(messages=USER), model="m") == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_calls_that_a_model_wrote_wrongly_are_told_as_text_in_an_object() -> None:
    calls = (ToolCall("a", "look", '{"path": "x'), ToolCall("b", "look", '{"path":  "y"}'))
    sent = request_body(Request(messages=(Message("assistant", "", tool_calls=calls),)), model="m")
    (message,) = sent["messages"]
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == [
        r'{"arguments": "{\"path\": \"x"}',
        '{"path":  "y"}',
    ]


def test_a_full_request() -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "integer", "default": 3}},
        "required": ["answer"],
    }
    request = Request(
        messages=(
            Message("system", "s"),
            *USER,
            Message("assistant", "", (ToolCall("c", "t", '{"a":1}'),)),
            Message("assistant", "thinking", (ToolCall("d", "t", "{}"),)),
            Message("tool", "out", tool_call_id="c"),
        ),
        tools=(
            ToolSpec(name="t", description="does", parameters={"type": "object"}),
            ToolSpec(name="u"),
        ),
        output_schema=schema,
        options=LLMOptions(
            tier="large", model="ignored", max_tokens=5, temperature=0.0, stop=("a", "b"), seed=0
        ),
        program_id="p",
        node_id="n",
        extra={"top_p": 0.5, "model": "evil", "stream": True, "stream_options": {}},
    )

    assert request_body(request, model="m", is_streamed=True) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "t", "arguments": '{"a":1}'},
                    }
                ],
            },
            {
                "role": "assistant",
                "content": "thinking",
                "tool_calls": [
                    {"id": "d", "type": "function", "function": {"name": "t", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "content": "out", "tool_call_id": "c"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "t", "description": "does", "parameters": {"type": "object"}},
            },
            {
                "type": "function",
                "function": {"name": "u", "parameters": {"type": "object", "properties": {}}},
            },
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {"answer": {"type": "integer"}},
                    "required": ["answer"],
                    "additionalProperties": False,
                },
            },
        },
        "max_tokens": 5,
        "temperature": 0.0,
        "stop": ["a", "b"],
        "seed": 0,
        "top_p": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_schema_can_be_left_out_and_the_limit_renamed() -> None:
    request = Request(messages=USER, output_schema={}, options=LLMOptions(max_tokens=5))

    sent = request_body(request, model="m", has_schema=False, limit_field="max_completion_tokens")

    assert "response_format" not in sent
    assert sent["max_completion_tokens"] == 5
    assert "max_tokens" not in sent


def test_strict_forms_close_every_object_and_keep_names_apart_from_keywords() -> None:
    schema = {
        "type": "object",
        "properties": {
            "default": {"type": "string", "default": "x"},
            "kind": {"enum": [{"default": 1}], "const": {"default": 2}},
            "inner": {"anyOf": [{"$ref": "#/$defs/default"}, {"type": "null"}]},
        },
        "$defs": {"default": {"type": "object", "properties": {"a": {"type": "integer"}}}},
    }

    assert strict_form(schema) == {
        "type": "object",
        "properties": {
            "default": {"type": "string"},
            "kind": {"enum": [{"default": 1}], "const": {"default": 2}},
            "inner": {"anyOf": [{"$ref": "#/$defs/default"}, {"type": "null"}]},
        },
        "$defs": {
            "default": {
                "type": "object",
                "properties": {"a": {"type": "integer"}},
                "additionalProperties": False,
                "required": ["a"],
            }
        },
        "additionalProperties": False,
        "required": ["default", "kind", "inner"],
    }


@pytest.mark.parametrize(
    "free",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "array", "items": {"type": "object"}},
    ],
)
def test_free_form_objects_have_no_strict_form_and_are_sent_as_they_are(free: Any) -> None:
    assert strict_form(free) is None
    sent = request_body(Request(messages=USER, output_schema=free), model="m")
    assert sent["response_format"]["json_schema"] == {
        "name": "answer",
        "schema": free,
        "strict": False,
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (body({"content": "hi"}), Completion(text="hi")),
        (body({"content": None}), Completion()),
        (body({}), Completion()),
        (
            body({"content": [{"type": "text", "text": "a"}, "b", {"type": "x"}]}),
            Completion(text="ab"),
        ),
        (body({"content": "x", "reasoning_content": "hmm", "audio": 3}), Completion(text="x")),
        (body({"content": "\ud83d\ude00 \ud800"}), Completion(text="😀 \ufffd")),
        (
            body({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": "é"}}}]}),
            Completion(tool_calls=(ToolCall("a", "f", '{"x": "é"}'),)),
        ),
        (
            body({"tool_calls": [{"function": {"name": "f"}}, {"function": {"arguments": "{"}}]}),
            Completion(tool_calls=(ToolCall("call_0", "f", ""), ToolCall("call_1", "", "{"))),
        ),
        (
            {
                "choices": [
                    {
                        "message": {"function_call": {"name": "f", "arguments": "{}"}},
                        "finish_reason": "function_call",
                    }
                ]
            },
            Completion(tool_calls=(ToolCall("call_0", "f", "{}"),), finish_reason="tool_calls"),
        ),
        (
            {
                "choices": [
                    {"index": 1, "message": {"content": "no"}},
                    {"message": {"content": "y"}},
                ]
            },
            Completion(text="y"),
        ),
        (body({"content": ""}, model="m", error=None), Completion(model="m")),
    ],
)
def test_completions_in_all_dialects(answer: Any, expected: Completion) -> None:
    assert parse_completion(json.loads(json.dumps(answer))) == expected


@pytest.mark.parametrize(
    ("fields", "usage"),
    [
        ({}, Usage()),
        ({"usage": None}, Usage()),
        ({"usage": {"prompt_tokens": 9, "completion_tokens": 2}}, Usage(9, 0, 2)),
        (
            {"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}},
            Usage(9, 4, 0),
        ),
        ({"usage": {"prompt_tokens": 9, "prompt_tokens_details": None}}, Usage(9, 0, 0)),
        (
            {"usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}},
            Usage(3, 3, 0),
        ),
        ({"timings": {"cache_n": 5, "prompt_n": 2, "predicted_n": 3}}, Usage(7, 5, 3)),
        (
            {
                "usage": {"prompt_tokens": 7, "completion_tokens": 3},
                "timings": {"cache_n": 5, "prompt_n": 2},
            },
            Usage(7, 5, 3),
        ),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": "5"}}, Usage()),
        ({"usage": {"prompt_tokens": True, "completion_tokens": 1e400}}, Usage()),
        ({"usage": {"prompt_tokens": float("nan"), "completion_tokens": 2.0}}, Usage(0, 0, 2)),
    ],
)
def test_usage_in_all_dialects(fields: dict[str, Any], usage: Usage) -> None:
    assert parse_completion(body({"content": "x"}, **fields)).usage == usage


def fed(*events: Any) -> StreamedCompletion:
    stream = StreamedCompletion()
    for event in events:
        stream.feed(event if isinstance(event, str) else json.dumps(event))
    return stream


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def call(index: int | None, call_id: str | None = None, **function: Any) -> dict[str, Any]:
    fields = {"index": index, "id": call_id, "function": function}
    return delta(tool_calls=[{k: v for k, v in fields.items() if v is not None}])


@pytest.mark.parametrize(
    ("events", "calls"),
    [
        (
            [call(0, "a", name="f"), call(0, arguments="{"), call(0, arguments="}")],
            [("a", "f", "{}")],
        ),
        (
            [call(1, "b", name="g"), call(0, "a", name="f"), call(1, arguments="1")],
            [("b", "g", "1"), ("a", "f", "")],
        ),
        # No index: a new id begins a new call.
        (
            [call(None, "a", name="f"), call(None, arguments="1"), call(None, "b", name="g")],
            [("a", "f", "1"), ("b", "g", "")],
        ),
        # Index 0 for every call.
        (
            [call(0, "a", name="f", arguments="1"), call(0, "b", name="g", arguments="2")],
            [("a", "f", "1"), ("b", "g", "2")],
        ),
        # The id and the name again with every piece.
        (
            [call(0, "a", name="f", arguments="1"), call(0, "a", name="f", arguments="2")],
            [("a", "f", "12")],
        ),
        ([call(0, name="f"), call(0, "late", arguments="1")], [("late", "f", "1")]),
        ([call(0, name="f", arguments={"x": 1})], [("call_0", "f", '{"x": 1}')]),
        (
            [delta(function_call={"name": "f"}), delta(function_call={"arguments": "{}"})],
            [("call_0", "f", "{}")],
        ),
    ],
)
def test_tool_calls_come_in_pieces(events: list[Any], calls: list[tuple[str, str, str]]) -> None:
    completion = fed(*events, delta(finish="tool_calls")).completion()

    assert completion.tool_calls == tuple(ToolCall(*each) for each in calls)


def test_a_stream_of_all_kinds_of_events() -> None:
    stream = fed(
        {"choices": [], "prompt_filter_results": []},
        delta(role="assistant", content=""),
        "",
        delta(content="he", reasoning_content="hm"),
        {"choices": [{"index": 1, "delta": {"content": "other"}}]},
        {"choices": [{"index": 0, "message": {"content": "l"}}], "model": "m"},
        {"choices": [{"index": 0, "delta": None, "finish_reason": "length"}]},
        {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}},
        "[DONE]",
        "what comes after is not read",
    )

    assert stream.completion() == Completion(
        text="hel", finish_reason="length", usage=Usage(4, 0, 2), model="m"
    )


def test_the_first_token_is_timed() -> None:
    now = [10.0]
    stream = StreamedCompletion(clock=lambda: now[0])
    for at, event in enumerate([delta(role="assistant"), delta(content="x"), delta(finish="stop")]):
        now[0] = 11.0 + at
        stream.feed(json.dumps(event))

    assert stream.completion().ttft_s == 2.0


@pytest.mark.parametrize("events", [[], [delta(content="x")], [delta(content="x"), ""]])
def test_a_stream_without_an_end_is_no_completion(events: list[Any]) -> None:
    with pytest.raises(InvalidAnswer, match="ended before the answer did"):
        fed(*events).completion()


@pytest.mark.parametrize("event", ["x", "1", "[]", "null", '{"choices": [1]}', "{" * 9999])
def test_an_event_that_is_no_chunk_is_refused(event: str) -> None:
    with pytest.raises(InvalidAnswer):
        fed(event)


def test_an_error_object_instead_of_an_answer_is_raised() -> None:
    with pytest.raises(BackendError, match="500: overloaded"):
        parse_completion({"error": {"message": "overloaded"}})


@pytest.mark.parametrize(
    ("body_text", "said"),
    [
        ('{"error": {"message": "a\\n b"}}', "a b"),
        ('{"error": "text"}', "text"),
        ('{"message": "m"}', "m"),
        ('{"detail": [{"loc": ["body"], "msg": "bad"}]}', '[{"loc": ["body"], "msg": "bad"}]'),
        ('{"object": "error", "message": "vllm says", "code": 400}', "vllm says"),
        ("<html><style>x</style><p>Bad\n<b>gateway</b></p></html>", "Bad gateway"),
        ("plain", "plain"),
        ("", ""),
        ("[1, 2]", "[1, 2]"),
        ("y" * 600, "y" * 497 + "..."),
    ],
)
def test_error_bodies_are_told_on_one_line(body_text: str, said: str) -> None:
    assert message_in(body_text) == said
