import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.written_calls import HeldBackCalls, with_readable_calls, with_written_calls
from agentrt.ir.request import Chunk, Completion, Message, ToolCall

CALL = '{"name": "look", "arguments": {"at": "it"}}'
AS_CALLED = ToolCall(id="call_1_0", name="look", arguments='{"at": "it"}')


def _read(text: str) -> Completion:
    return with_written_calls(Completion(text=text), {"look"}, turn=1)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (CALL, ""),
        (f" {{{CALL}}}\n", ""),
        (f"```json\n{CALL}\n```", ""),
        (f"I will look.\n```\n{CALL}\n```", "I will look."),
        (f"<tool_call>\n{CALL}\n</tool_call>", ""),
        (f"<tool_call>{CALL}", ""),
        (f"```xml\n<tool_call>\n{CALL}\n</tool_call>\n```", ""),
        (f"```py\nx\n```\nSo:\n```json\n{CALL}\n```", "```py\nx\n```\nSo:"),
        (f"[{CALL}]", ""),
        ('{"name": "look", "arguments": "{\\"at\\": \\"it\\"}"}', ""),
    ],
)
def test_a_call_in_the_text_is_a_call(text: str, left: str) -> None:
    assert _read(text) == Completion(text=left, tool_calls=(AS_CALLED,), finish_reason="tool_calls")


def test_several_calls_keep_their_order_and_have_ids_of_their_own() -> None:
    other = CALL.replace("it", "us")
    calls = _read(f"{CALL}\n{other}").tool_calls
    assert [(call.id, call.arguments) for call in calls] == [
        ("call_1_0", '{"at": "it"}'),
        ("call_1_1", '{"at": "us"}'),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Plain words.",
        CALL.replace("look", "other"),
        CALL[:-1],
        f"{CALL} and more",
        '{"name": "look", "arguments": 3}',
        '{"name": "look", "arguments": {}, "why": "x"}',
        '```json\n{"name": ["look"], "arguments": {}}\n```',
        "[" * 100_000,
        "```" + "\n" * 300_000,
    ],
)
def test_what_is_no_call_stays_as_it_is(text: str) -> None:
    assert _read(text) == Completion(text=text)


def test_a_request_without_tools_and_an_answer_with_calls_are_left_alone() -> None:
    answer = Completion(text=CALL)
    assert with_written_calls(answer, (), turn=1) is answer
    called = Completion(text=CALL, tool_calls=(AS_CALLED,))
    assert with_written_calls(called, {"look"}, turn=1) is called


@given(st.text(alphabet='{}[]"`:,nameargutslookj<>_/\n '))
def test_any_text_is_read_without_an_error(text: str) -> None:
    read = _read(text)
    assert read.text == text or read.tool_calls


def _streamed(pieces: list[str], *, offered: str = "look") -> list[str]:
    sent: list[str] = []
    held = HeldBackCalls(lambda chunk: sent.append(chunk.text), {offered} - {""})
    for piece in pieces:
        held(Chunk(piece))
    completion = Completion(text="".join(pieces))
    held.finish(with_written_calls(completion, {offered} - {""}, turn=1))
    return sent


def test_text_streams_on_and_calls_in_it_do_not() -> None:
    pieces = ["I ", "will look.\n", "```js", f"on\n{CALL}", "\n```", "\n"]
    assert _streamed(pieces) == ["I", " will look.", "", "", "", ""]
    code = ["So:\n``", "`py\nx\n```\n", "Done."]
    assert _streamed(code) == ["So:", "\n```py\nx\n```", "\nDone."]
    assert _streamed([CALL], offered="") == [CALL]


PIECES = [
    "<tool_call>",
    "</tool_call>",
    "```",
    "```json\n",
    "\n",
    "``",
    "<tool",
    " ",
    "a",
    "{",
    "[",
]


@given(
    st.lists(st.sampled_from([*PIECES, CALL, f"{{{CALL}}}", ",", "]"]), max_size=12).map("".join),
    st.lists(st.integers(1, 9), max_size=60),
)
def test_what_streams_is_the_text_without_its_calls(text: str, sizes: list[int]) -> None:
    pieces: list[str] = []
    for size in [*sizes, len(text)]:
        pieces.append(text[:size])
        text = text[size:]
    assert "".join(_streamed(pieces)) == _read("".join(pieces)).text


def _told(arguments: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("1", "look", arguments),))


@pytest.mark.parametrize(
    ("arguments", "readable"),
    [
        ('{"at":  "it"}', '{"at":  "it"}'),
        ('{"at": "i', r'{"arguments": "{\"at\": \"i"}'),
        ("ls -la", '{"arguments": "ls -la"}'),
        ('{"at": NaN}', r'{"arguments": "{\"at\": NaN}"}'),
        (r'{"at": "\ud800"}', r'{"arguments": "{\"at\": \"\\ud800\"}"}'),
        ("[1]", '{"arguments": "[1]"}'),
        (" ", "{}"),
    ],
)
def test_arguments_that_are_no_json_object_are_told_as_text_in_one(
    arguments: str, readable: str
) -> None:
    assert with_readable_calls(_told(arguments)) == _told(readable)


@given(st.text() | st.text(alphabet='{}[]":,\\ud8aN01 '))
def test_arguments_are_readable_afterwards_and_stay_so(arguments: str) -> None:
    once = with_readable_calls(_told(arguments))
    assert isinstance(json.loads(once.tool_calls[0].arguments), dict)
    assert with_readable_calls(once) is once
