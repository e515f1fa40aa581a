from __future__ import annotations

import json
from typing import Any

import pytest

from agentrt.gateway.asked import Asked
from agentrt.gateway.reading import read_request
from agentrt.ir.request import Message, ToolCall


def asked(**body: Any) -> Asked:
    return read_request("responses", {}, json.dumps({"model": "m", **body}).encode())


CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "42"}


def test_instructions_and_text() -> None:
    read = asked(instructions="Be brief.", input="hello", max_output_tokens=9)
    assert read.request.messages == (Message("system", "Be brief."), Message("user", "hello"))
    assert read.request.options.max_tokens == 9


def test_what_the_model_did_between_two_messages_is_one_message() -> None:
    items = [
        {"role": "developer", "content": "rules"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Looking.", "annotations": []}],
        },
        CALL,
        CALL | {"call_id": "c2", "name": "g"},
        RESULT,
        {"type": "function_call_output", "call_id": "c2", "output": [{"text": "7"}]},
        {"role": "user", "content": "and?"},
    ]
    assert asked(input=items).request.messages == (
        Message("system", "rules"),
        Message("user", "go"),
        Message("assistant", "Looking.", (ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}"))),
        Message("tool", "42", (), "c1"),
        Message("tool", "7", (), "c2"),
        Message("user", "and?"),
    )


@pytest.mark.parametrize(
    ("fields", "thought"),
    [
        ({"summary": [{"type": "summary_text", "text": "hm"}]}, "hm"),
        ({"summary": [], "content": [{"type": "reasoning_text", "text": "so"}]}, "so"),
        ({"summary": []}, ""),
    ],
)
def test_reasoning_stands_before_what_it_led_to(fields: dict[str, Any], thought: str) -> None:
    read = asked(input=[{"type": "reasoning", "id": "rs_1", **fields}, CALL])
    text = f"<think>\n{thought}\n</think>\n\n" if thought else ""
    assert read.request.messages == (Message("assistant", text, (ToolCall("c1", "f", "{}"),)),)
    assert read.has_reasoning


def test_hidden_reasoning_is_told_apart() -> None:
    def read(data: str) -> Message:
        given = {"type": "reasoning", "summary": [], "encrypted_content": data}
        (message,) = asked(input=[given]).request.messages
        return message

    assert read("A" * 90_000) == read("A" * 90_000)
    assert read("A" * 90_000) != read("B" * 90_000)
    assert len(read("A" * 90_000).content) < 5_000


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "+1"},
            Message("assistant", "", (ToolCall("c", "patch", "+1"),)),
        ),
        (
            {"type": "local_shell_call", "id": "i", "call_id": "c", "action": {"command": ["ls"]}},
            Message(
                "assistant", "", (ToolCall("c", "local_shell", '{"action":{"command":["ls"]}}'),)
            ),
        ),
        (
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            Message("assistant", "", (ToolCall("call_0", "web_search", "{}"),)),
        ),
        (
            {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
            Message("tool", "done", (), "c"),
        ),
        (
            {"type": "item_reference", "id": "msg_1"},
            Message("user", '{"id":"msg_1","type":"item_reference"}'),
        ),
        ("bare", Message("user", "bare")),
        (None, Message("user", "")),
        ({"type": ["odd"]}, Message("user", '{"type":["odd"]}')),
        ({"type": "message", "role": "critic", "content": None}, Message("user", "")),
        ({"type": "other", "role": "system", "content": "x"}, Message("system", "x")),
    ],
)
def test_items_of_any_kind(item: Any, message: Message) -> None:
    assert asked(input=[item]).request.messages == (message,)


@pytest.mark.parametrize("given", [None, "", []])
def test_no_input_is_no_message(given: Any) -> None:
    assert asked(input=given).request.messages == ()
    assert asked(input=given, instructions=None).request.messages == ()


def test_input_of_an_odd_kind_is_text() -> None:
    assert asked(input={"a": 1}).request.messages == (Message("user", '{"a":1}'),)
    assert asked(input=5, instructions=["x"]).request.messages == (
        Message("system", '["x"]'),
        Message("user", "5"),
    )


def test_an_earlier_answer_is_named() -> None:
    assert asked(input="x", previous_response_id="resp_1").previous_response_id == "resp_1"
    assert asked(input="x", previous_response_id=None).previous_response_id == ""
    assert asked(input="x", previous_response_id=5).previous_response_id == ""
    assert asked(input="x").previous_response_id == ""


def test_tools_need_no_nesting() -> None:
    read = asked(input="x", tools=[{"type": "function", "name": "f", "parameters": {}}])
    assert [tool.name for tool in read.request.tools] == ["f"]
