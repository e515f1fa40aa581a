from __future__ import annotations

import json
from typing import Any

import pytest

from agentrt.gateway.asked import Asked
from agentrt.gateway.reading import read_request
from agentrt.ir.request import Message, ToolCall
from agentrt.ir.tool import ToolSpec


def asked(**body: Any) -> Asked:
    return read_request("chat/completions", {}, json.dumps({"model": "m", **body}).encode())


def message(**fields: Any) -> Message:
    (read,) = asked(messages=[fields]).request.messages
    return read


@pytest.mark.parametrize(
    ("given", "role"),
    [
        ("system", "system"),
        ("developer", "system"),
        ("user", "user"),
        ("assistant", "assistant"),
        ("tool", "tool"),
        ("function", "tool"),
        ("critic", "user"),
        ("", "user"),
        (None, "user"),
        (["system"], "user"),
        ({}, "user"),
    ],
)
def test_every_role_is_one_of_four(given: Any, role: str) -> None:
    assert message(role=given, content="x") == Message(role, "x")  # type: ignore[arg-type]  # a table of roles


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"text": "no type"}], "no type"),
        (["bare", {"type": "text", "text": "!"}], "bare!"),
        ([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}], "x"),
        ([{"type": "refusal", "refusal": "no"}], "no"),
        ([{"type": "text", "text": 5}], '{"text":5,"type":"text"}'),
        ([{"type": ["odd"]}], '{"type":["odd"]}'),
        ([None, 5, True], "5true"),
        (5, "5"),
        ({"type": "text", "text": "alone"}, "alone"),
        (
            [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}],
            '{"image_url":{"url":"http://x/y.png"},"type":"image_url"}',
        ),
    ],
)
def test_content_of_any_kind_is_text(content: Any, text: str) -> None:
    assert message(role="user", content=content) == Message("user", text)


def test_text_in_parts_is_the_same_as_text() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    assert message(role="user", content=parts) == message(role="user", content="one two")


def test_a_picture_is_as_long_as_it_costs_and_only_the_same_one_is_the_same() -> None:
    def picture(data: str) -> str:
        url = {"url": f"data:image/png;base64,{data}"}
        return message(role="user", content=[{"type": "image_url", "image_url": url}]).content

    assert len(picture("A" * 1_000_000)) == len(picture("A" * 3_000)) == 4_096
    assert picture("A" * 5_000) == picture("A" * 5_000)
    assert picture("A" * 5_000) != picture("A" * 4_999 + "B")
    assert picture("A" * 5_000)[:80] != picture("A" * 4_999 + "B")[:80]


def test_a_mark_for_caching_that_moves_on_changes_no_text() -> None:
    part = {"type": "file", "file": {"file_id": "f"}}
    marked = part | {"cache_control": {"type": "ephemeral"}}
    assert message(role="user", content=[part]) == message(role="user", content=[marked])


def test_where_the_keys_of_a_part_stand_makes_no_difference() -> None:
    one = [{"type": "file", "file": {"file_id": "f", "a": 1}}]
    other = [{"file": {"a": 1, "file_id": "f"}, "type": "file"}]
    assert message(role="user", content=one) == message(role="user", content=other)


def test_an_answer_with_calls_of_tools() -> None:
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": {"b": 2}}},
        {"id": "c3", "type": "custom", "custom": {"name": "h", "input": "free text"}},
        {"function": {"name": "no id"}},
        {"id": "c5"},
        "odd",
    ]
    assert message(role="assistant", content=None, tool_calls=calls) == Message(
        "assistant",
        "",
        (
            ToolCall("c1", "f", '{"a": 1}'),
            ToolCall("c2", "g", '{"b":2}'),
            ToolCall("c3", "h", "free text"),
            ToolCall("call_3", "no id", ""),
            ToolCall("c5", "", ""),
            ToolCall("call_5", "", "odd"),
        ),
    )


@pytest.mark.parametrize("nothing", [None, [], {}, "", 0])
def test_no_calls_are_none_however_it_is_written(nothing: Any) -> None:
    read = message(role="assistant", content="x", tool_calls=nothing, function_call=nothing)
    assert read == Message("assistant", "x")


def test_a_legacy_call_has_the_id_that_its_answer_was_read_with() -> None:
    call = {"name": "f", "arguments": "{}"}
    assert message(role="assistant", content=None, function_call=call) == Message(
        "assistant", "", (ToolCall("call_0", "f", "{}"),)
    )


def test_a_tools_result_has_the_call_it_answers() -> None:
    read = message(role="tool", tool_call_id="c1", name="f", content="42")
    assert read == Message("tool", "42", (), "c1")
    assert message(role="function", name="f", content="42") == Message("tool", "42")
    assert message(role="tool", tool_call_id=5, content="42") == Message("tool", "42", (), "")


def test_a_speaker_is_part_of_what_is_said() -> None:
    assert message(role="user", name="Ada", content="hi") == Message("user", "Ada\nhi")
    assert message(role="assistant", name="bot", content="hi") == Message("assistant", "hi")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_that_is_sent_back_is_part_of_the_answer(field: str) -> None:
    given = {"role": "assistant", "content": "4", field: "2+2"}
    read = asked(messages=[given])
    assert read.request.messages == (Message("assistant", "<think>\n2+2\n</think>\n\n4"),)
    assert read.has_reasoning


def test_no_reasoning_is_none_however_it_is_written() -> None:
    given = {"role": "assistant", "content": "4", "reasoning_content": None, "reasoning": ""}
    read = asked(messages=[given, {"role": "user", "reasoning": "mine", "content": "x"}])
    assert read.request.messages == (Message("assistant", "4"), Message("user", "x"))
    assert not read.has_reasoning


def test_a_refusal_is_part_of_the_answer() -> None:
    read = message(role="assistant", content=None, refusal="I cannot")
    assert read == Message("assistant", "I cannot")


@pytest.mark.parametrize(
    ("messages", "read"),
    [
        (None, ()),
        ([], ()),
        ("just text", (Message("user", "just text"),)),
        ({"role": "user"}, (Message("user", '{"role":"user"}'),)),
        (["text", None, 5], (Message("user", "text"), Message("user", ""), Message("user", "5"))),
        ([{}], (Message("user", ""),)),
    ],
)
def test_what_are_no_messages_is_text(messages: Any, read: tuple[Message, ...]) -> None:
    assert asked(messages=messages).request.messages == read


SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
SEARCH = {"name": "search", "description": "Finds.", "parameters": SCHEMA}
SPEC = ToolSpec(name="search", description="Finds.", parameters=SCHEMA)


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"type": "function", "function": SEARCH}]},
        {"tools": [{"type": "function", **SEARCH}]},
        {"tools": [{"function": SEARCH}]},
        {"functions": [SEARCH]},
        {"tools": [], "functions": [SEARCH]},
        {"tools": {"type": "function", "function": SEARCH}},
    ],
)
def test_tools_are_the_same_in_every_format(body: dict[str, Any]) -> None:
    assert asked(messages=[], **body).request.tools == (SPEC,)


@pytest.mark.parametrize(
    ("entry", "spec"),
    [
        ({"type": "web_search"}, ToolSpec(name="web_search", description='{"type":"web_search"}')),
        ("odd", ToolSpec(name="", description="odd")),
        (None, ToolSpec(name="", description="")),
        ({"type": 5}, ToolSpec(name="", description='{"type":5}')),
        (
            {"type": "function", "function": {"name": "now"}},
            ToolSpec(name="now", description='{"function":{"name":"now"},"type":"function"}'),
        ),
    ],
)
def test_a_tool_of_an_unknown_kind_is_described_by_its_json(entry: Any, spec: ToolSpec) -> None:
    assert asked(messages=[], tools=[entry]).request.tools == (spec,)


@pytest.mark.parametrize("tools", ["search", 5, True])
def test_tools_that_are_no_list_are_taken_as_one(tools: Any) -> None:
    assert len(asked(messages=[], tools=tools).request.tools) == 1


def test_the_same_tools_are_the_same_objects_in_every_request() -> None:
    tools = [{"type": "function", "function": SEARCH}]
    first, second = asked(messages=[], tools=tools), asked(messages=[], tools=tools)
    assert first.request.tools is second.request.tools
