from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from agentrt.errors import BackendUnavailable, RequestRejected
from agentrt.gateway import answers
from agentrt.gateway.answers import AnswerReader
from agentrt.gateway.asked import Asked, Endpoint
from agentrt.ir.request import Completion, Request, ToolCall, Usage

CHAT = Asked(endpoint="chat/completions", body={}, model="m", request=Request(messages=()))
OUR_WISH = replace(CHAT, is_streamed=True, has_usage=False)


def sse(*events: Any, end: str = "\n") -> bytes:
    """As servers write them; text is passed as it is."""
    lines = [e if isinstance(e, str) else json.dumps(e, ensure_ascii=False) for e in events]
    return "".join(f"data: {line}{end}{end}" for line in lines).encode()


def chunk(delta: dict[str, Any] | None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": choices, **more}  # fmt: skip


def usage_chunk(prompt: int = 9, completion: int = 2) -> dict[str, Any]:
    return chunk(None, usage={"prompt_tokens": prompt, "completion_tokens": completion})


def read(asked: Asked, *pieces: bytes) -> tuple[AnswerReader, bytes]:
    reader = AnswerReader(asked)
    passed = b"".join([reader.feed(piece) for piece in pieces])
    return reader, passed + reader.end()


OPENAI = [
    chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
    chunk({"content": "Hel"}, usage=None),
    chunk({"content": "lo"}, usage=None),
    chunk({}, "stop", usage=None),
    chunk(None, usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11,
                       "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0}}),
    "[DONE]",
]  # fmt: skip
VLLM = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hel", "reasoning_content": None}),
    chunk({"content": "lo"}),
    chunk({"content": ""}, "stop"),
    chunk(None, usage={"prompt_tokens": 9, "total_tokens": 11, "completion_tokens": 2,
                       "prompt_tokens_details": {"cached_tokens": 4}}),
    "[DONE]",
]  # fmt: skip
SGLANG = [
    chunk({"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None}),
    chunk({"role": None, "content": "Hello", "tool_calls": None}),
    chunk({"role": None, "content": None, "tool_calls": None}, "stop"),
    chunk(None, usage={"prompt_tokens": 9, "completion_tokens": 2,
                       "prompt_tokens_details": {"cached_tokens": 4}}),
    "[DONE]",
]  # fmt: skip
LLAMA_CPP = [
    chunk({"role": "assistant", "content": None}),
    chunk({"content": "Hello"}),
    chunk({}, "stop"),
    chunk(None, usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
          timings={"cache_n": 4, "prompt_n": 5, "predicted_n": 2}),
    "[DONE]",
]  # fmt: skip
HELLO = Completion(text="Hello", usage=Usage(9, 4, 2), model="m")


@pytest.mark.parametrize("events", [OPENAI, VLLM, SGLANG, LLAMA_CPP])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1_000_000])
def test_a_stream_is_read_and_passed_on_however_it_is_cut(
    events: list[Any], end: str, size: int
) -> None:
    stream = sse(*events, end=end)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    for asked, expected in (
        (replace(OUR_WISH, has_usage=True), stream),
        (OUR_WISH, sse(*events[:-2], events[-1], end=end)),
    ):
        reader, passed = read(asked, *pieces)
        assert passed == expected
        assert (reader.is_whole, reader.is_understood) == (True, True)
        assert reader.completion() == HELLO


def test_everything_but_the_usage_goes_on_at_once() -> None:
    reader = AnswerReader(OUR_WISH)
    for event in (VLLM[0], VLLM[1], VLLM[2], VLLM[3]):
        assert reader.feed(sse(event)) == sse(event)
    assert reader.feed(sse(VLLM[4])) == b""
    assert reader.feed(sse("[DONE]")) == sse("[DONE]")
    assert reader.end() == b""


def test_of_several_events_in_a_piece_only_the_usage_is_withheld() -> None:
    first, last = sse(chunk({"content": "Hello"}, "stop")), sse("[DONE]")
    _, passed = read(OUR_WISH, first + sse(usage_chunk()) + last)
    assert passed == first + last


def test_usage_at_the_end_without_a_blank_line_is_withheld_and_other_text_is_not() -> None:
    text = sse(chunk({"content": "Hello"}, "stop"))
    reader, passed = read(OUR_WISH, text, sse(usage_chunk()).rstrip())
    assert passed == text
    assert reader.completion().usage == Usage(9, 0, 2)
    _, passed = read(OUR_WISH, text, b"data: [DONE]")
    assert passed == text + b"data: [DONE]"


@pytest.mark.parametrize(
    "event",
    [
        chunk(None, prompt_filter_results=[{"prompt_index": 0}]),
        chunk(None, usage=None),
        chunk({"content": ' "choices": [] '}, usage={"prompt_tokens": 1}),
        chunk({}, "stop", usage={"prompt_tokens": 1}),
        {"choices": None, "usage": {"prompt_tokens": 1}},
        '{"choices": [] broken "usage": 1',
        '["choices"]',
        '[{"choices": [], "usage": {"prompt_tokens": 1}}]',
    ],
)
def test_nothing_else_is_withheld(event: Any) -> None:
    stream = sse(event, "[DONE]")
    for pieces in ([stream], [bytes([byte]) for byte in stream]):
        _, passed = read(OUR_WISH, *pieces)
        assert passed == stream


@pytest.mark.parametrize("ends", ["\n\n\n", "\n\n\r\n", "\r\r\n", "\n\n\n\n\n"])
def test_more_blank_lines_than_needed_are_passed_on_however_they_are_cut(ends: str) -> None:
    text, usage = json.dumps(chunk({"content": "Hello"})), json.dumps(usage_chunk())
    stream = f"data: {text}{ends}data: {usage}{ends}data: [DONE]\n\n".encode()
    _, in_one = read(OUR_WISH, stream)
    assert (b"prompt_tokens" in in_one, b"Hello" in in_one) == (False, True)
    for at in range(len(stream)):
        assert read(OUR_WISH, stream[:at], stream[at:])[1] == in_one


def test_a_comment_that_looks_like_usage_is_none() -> None:
    stream = b': "choices": [], "usage": {"prompt_tokens": 1}\n\n' + sse("[DONE]")
    assert read(OUR_WISH, stream)[1] == stream


def test_comments_and_other_lines_are_passed_on() -> None:
    stream = b": ping\n\nevent: message\nid: 7\n" + sse(chunk({"content": "Hello"}, "stop"))
    stream += b": ping\r\n\r\nretry: 5\n\n" + sse("[DONE]")
    reader, passed = read(OUR_WISH, stream)
    assert passed == stream
    assert (reader.is_whole, reader.is_understood) == (True, True)
    assert reader.completion().text == "Hello"


def test_an_event_may_have_its_data_on_several_lines() -> None:
    stream = b'data:{"choices": [{"index": 0,\ndata: "delta": {"content": "Hello"},\n'
    stream += b'data:"finish_reason": "stop"}]}\n\ndata:[DONE]\n\n'
    reader, passed = read(OUR_WISH, stream)
    assert passed == stream
    assert reader.completion().text == "Hello"


def test_an_event_without_end_is_passed_on_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_LONGEST_READ", 100_000)
    reader = AnswerReader(replace(CHAT, is_streamed=True))
    piece = b"x" * 50_000
    assert (
        reader.feed(b'data: {"choices": [{"delta": {"content": "')
        == b'data: {"choices": [{"delta": {"content": "'
    )
    for _ in range(40):
        assert reader.feed(piece) == piece
        assert reader._kept_bytes <= 300_000
    assert (reader.is_understood, reader.error) == (False, None)
    reader.feed(b'"}}]}\n\n' + sse(*OPENAI))
    assert reader.end() == b""
    assert (reader.completion().text, reader.is_whole) == ("Hello", True)


def test_an_event_longer_than_any_usage_is_not_held_back() -> None:
    long = sse(chunk({"content": "x" * 200_000}))
    reader = AnswerReader(OUR_WISH)
    passed = reader.feed(long[:100_000])
    assert passed == long[:100_000]
    passed += reader.feed(long[100_000:-1])
    passed += reader.feed(long[-1:] + sse(chunk({}, "stop"), usage_chunk(), "[DONE]"))
    assert passed == long + sse(chunk({}, "stop"), "[DONE]")
    assert reader.end() == b""
    assert reader.completion().text == "x" * 200_000


@pytest.mark.parametrize(
    "first",
    [
        chunk({"content": "Hel"}),
        chunk({"reasoning_content": "so"}),
        chunk({"reasoning": "so"}),
        chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]}),
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        {"choices": [{"index": 0, "text": "Hel", "finish_reason": None}]},
    ],
)
def test_an_answer_begins_with_its_first_content(first: dict[str, Any]) -> None:
    reader = AnswerReader(OUR_WISH)
    for event in (b": ping\n\n", sse(VLLM[0]), sse(chunk({})), sse(first)[:-10]):
        reader.feed(event)
        assert not reader.has_begun
    reader.feed(sse(first)[-10:])
    assert reader.has_begun


def test_reasoning_is_read_and_is_text_only_for_a_client_that_sends_it_back() -> None:
    stream = sse(chunk({"reasoning_content": "2"}), chunk({"reasoning_content": "+2"}),
                 chunk({"content": "4"}, "stop"), "[DONE]")  # fmt: skip
    reader, _ = read(CHAT, stream)
    assert (reader.reasoning, reader.completion().text) == ("2+2", "4")
    reader, _ = read(replace(CHAT, has_reasoning=True), stream)
    assert reader.completion().text == "<think>\n2+2\n</think>\n\n4"


def test_reasoning_and_text_may_come_together() -> None:
    both = chunk({"reasoning_content": "so", "content": "4"})
    reader, _ = read(CHAT, sse(both, chunk({"reasoning_content": "!", "content": "2"}, "stop")))
    assert (reader.reasoning, reader.completion().text) == ("so!", "42")


def test_of_counts_in_every_chunk_the_last_hold() -> None:
    def counted(text: str, completion: int) -> dict[str, Any]:
        usage = {"prompt_tokens": 9, "completion_tokens": completion}
        return chunk({"content": text}, usage=usage)

    stream = sse(
        counted("Hel", 1), counted("lo", 2), chunk({}, "stop"), usage_chunk(9, 3), "[DONE]"
    )
    reader, passed = read(CHAT, stream)
    assert passed == stream
    assert reader.completion() == Completion(text="Hello", usage=Usage(9, 0, 3), model="m")
    reader, _ = read(CHAT, sse(counted("Hel", 1), counted("lo", 2)))
    assert reader.completion().usage == Usage(9, 0, 2)


def test_calls_of_tools_are_put_together() -> None:
    def call(index: int, **fields: Any) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": index, **fields}]})

    reader, _ = read(
        CHAT,
        sse(
            chunk({"role": "assistant", "content": None}),
            chunk({"content": "Looking."}),
            call(0, id="c1", type="function", function={"name": "f", "arguments": ""}),
            call(0, function={"arguments": '{"a"'}),
            call(0, function={"arguments": ":1}"}),
            call(1, id="c2", type="function", function={"name": "g", "arguments": "{}"}),
            chunk({}, "tool_calls"),
            "[DONE]",
        ),
    )
    assert reader.completion() == Completion(
        text="Looking.",
        tool_calls=(ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", "{}")),
        finish_reason="tool_calls",
        model="m",
    )


def test_of_several_choices_the_first_is_read() -> None:
    def both(one: str, other: str, reason: str | None = None) -> dict[str, Any]:
        texts = enumerate([one, other])
        return {"choices": [
            {"index": at, "delta": {"content": text}, "finish_reason": reason} for at, text in texts
        ]}  # fmt: skip

    second = {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": None}]}
    reader, _ = read(CHAT, sse(both("a", "x"), second, both("b", "y", "stop"), "[DONE]"))
    assert reader.completion().text == "ab"


def test_a_legacy_completion_is_streamed_as_text() -> None:
    def text(text: str, reason: str | None = None) -> dict[str, Any]:
        return {"id": "cmpl-1", "object": "text_completion", "model": "m",
                "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": reason}]}  # fmt: skip

    asked = replace(OUR_WISH, endpoint="completions")
    events = [text("Hel"), text("lo"), text("", "length")]
    reader, passed = read(asked, sse(*events, usage_chunk(), "[DONE]"))
    assert passed == sse(*events, "[DONE]")
    assert reader.completion() == Completion(
        text="Hello", finish_reason="length", usage=Usage(9, 0, 2), model="m"
    )


def test_halves_of_a_pair_in_two_chunks_are_one_character() -> None:
    events = ['{"choices":[{"delta":{"content":"\\ud83d"}}]}',
              '{"choices":[{"delta":{"content":"\\ude00"}}]}', "[DONE]"]  # fmt: skip
    reader, passed = read(OUR_WISH, sse(*events))
    assert (passed, reader.completion().text) == (sse(*events), "\U0001f600")


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_stream_that_stops_is_not_whole_and_what_came_is_kept(lost: int) -> None:
    events = [chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({"content": "!"})]
    reader, passed = read(OUR_WISH, sse(*events)[: -40 * lost])
    assert passed == sse(*events)[: -40 * lost]
    assert (reader.is_whole, reader.is_understood) == (False, True)
    assert "Hello!".startswith(reader.completion().text)
    assert reader.completion().finish_reason == ""
    assert not reader.is_whole


@pytest.mark.parametrize("end", [[chunk({}, "stop")], ["[DONE]"], [chunk({}, "stop"), "[DONE]"]])
def test_a_reason_or_the_last_word_makes_it_whole(end: list[Any]) -> None:
    reader, _ = read(CHAT, sse(chunk({"content": "Hello"}), *end))
    assert reader.is_whole
    assert reader.completion() == Completion(text="Hello", model="m")


def test_an_event_without_its_blank_line_counts() -> None:
    reader, passed = read(CHAT, sse(chunk({"content": "Hello"}), "[DONE]").rstrip())
    assert passed == sse(chunk({"content": "Hello"}), "[DONE]").rstrip()
    assert reader.is_whole


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"error": {"message": "engine died", "type": "InternalServerError", "code": 500}},
         BackendUnavailable),
        ({"error": {"message": "bad", "code": 400}}, RequestRejected),
        ({"error": "engine died"}, BackendUnavailable),
        ({"object": "error", "message": "bad", "code": 400}, RequestRejected),
        (chunk({"content": "x"}, error={"message": "died"}), BackendUnavailable),
    ],
)  # fmt: skip
def test_an_error_in_the_stream_is_passed_on_and_told(event: Any, kind: type[Exception]) -> None:
    stream = sse(chunk({"content": "Hel"}), event, "[DONE]")
    reader, passed = read(OUR_WISH, stream)
    assert passed == stream
    assert type(reader.error) is kind
    assert not reader.is_whole
    assert reader.completion().text.startswith("Hel")


@pytest.mark.parametrize(
    "odd",
    ["not json", "[]", "5", "null", "{}", '{"choices": 5}', '{"choices": [5]}', "[" * 100_000,
     '{"choices": [{"delta": 5}]}', '{"choices": [{"delta": {"content": {"a": 1}}}]}',
     '{"choices": [{"delta": {"tool_calls": [5]}}]}', '{"choices": [{"index": "x"}]}',
     '{"choices": [{"delta": {"reasoning": [1, {"a": 2}]}}]}', '{"model": 5, "choices": []}'],
)  # fmt: skip
def test_what_makes_no_sense_is_passed_on_and_the_rest_is_read(odd: str) -> None:
    stream = sse(odd, chunk({"content": "Hello"}), odd, chunk({}, "stop"), "[DONE]")
    reader, passed = read(OUR_WISH, stream)
    assert passed == stream
    assert reader.is_whole
    assert reader.completion().text == "Hello"


@pytest.mark.parametrize("body", [b"data: what\n\n", b"event: x\ndata: 5\n\n"])
def test_a_stream_of_something_else_does_not_look_cut_off(body: bytes) -> None:
    reader, passed = read(OUR_WISH, body)
    assert (passed, reader.is_whole, reader.is_understood) == (body, True, False)
    assert reader.completion() == Completion(finish_reason="")


@pytest.mark.parametrize("body", [b"", b"  \n", b": ping\n\n: ping\n\n"])
@pytest.mark.parametrize("endpoint", ["chat/completions", "completions", "responses", "embeddings"])
def test_nothing_is_no_whole_answer(endpoint: Endpoint, body: bytes) -> None:
    reader, passed = read(replace(CHAT, endpoint=endpoint), body)
    assert (passed, reader.is_whole) == (body, False)
    assert reader.completion().text == ""
