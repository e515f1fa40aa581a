"""Chunks that differ in their text alone are read without parsing, and read the same."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from agentrt.gateway.answer_chat import ChatStream
from agentrt.gateway.chunk_shape import ChunkShape


def _chunk(text: str, *, is_wide: bool = False, **delta: object) -> str:
    body = {
        "id": "c",
        "choices": [{"index": 0, "delta": {"content": text} | delta, "finish_reason": None}],
    }
    return json.dumps(body) if is_wide else json.dumps(body, separators=(",", ":"))


def _learned(text: str = "first", *, is_wide: bool = False) -> ChunkShape:
    shape = ChunkShape()
    shape.learn(_chunk(text, is_wide=is_wide), {"content": text})
    return shape


def test_nothing_is_read_before_a_chunk_was_parsed() -> None:
    assert ChunkShape().text_of(_chunk("word")) == ""


def test_a_chunk_of_the_same_shape_is_read_however_it_is_spaced() -> None:
    assert _learned().text_of(_chunk(" word")) == " word"
    assert _learned(is_wide=True).text_of(_chunk(" word", is_wide=True)) == " word"


def test_chunks_that_have_more_or_other_fields_are_not_read() -> None:
    shape = _learned()
    assert shape.text_of(_chunk("word", reasoning="hm")) == ""
    assert shape.text_of(_chunk("word").replace('"c"', '"d"')) == ""
    assert shape.text_of(_chunk("word").replace("null", '"stop"')) == ""
    assert shape.text_of(_chunk("")) == ""


def test_a_chunk_with_reasoning_beside_its_text_teaches_nothing() -> None:
    shape = ChunkShape()
    delta = {"content": "a", "reasoning": "hm"}
    shape.learn(_chunk("a", reasoning="hm"), delta)
    assert shape.text_of(_chunk("b", reasoning="hm")) == ""


def test_text_that_stands_elsewhere_too_is_not_taken_for_the_answer() -> None:
    data = '{"note":{"content":"a"},"choices":[{"delta":{"content" : "a"}}]}'
    shape = ChunkShape()
    shape.learn(data, {"content": "a"})
    assert shape.text_of(data.replace('"note":{"content":"a"}', '"note":{"content":"b"}')) == ""


@given(st.text(), st.text(), st.booleans())
def test_what_is_read_is_what_parsing_gives(first: str, text: str, is_wide: bool) -> None:
    shape = _learned(first, is_wide=is_wide)
    for escaped in (True, False):
        data = _chunk(text, is_wide=is_wide)
        if not escaped:
            data = json.dumps(json.loads(data), ensure_ascii=False)
        found = shape.text_of(data)
        assert found in ("", json.loads(data)["choices"][0]["delta"]["content"])


@given(st.text(alphabet='ab"\\\n{},:', max_size=12))
def test_what_is_no_json_any_more_is_left_to_whoever_parses(text: str) -> None:
    before, after = _chunk("\0").split("\\u0000")
    found = _learned().text_of(before + text + after)
    try:
        parsed = json.loads(before + text + after)["choices"][0]["delta"]["content"]
    except ValueError:
        parsed = ""
    assert found in ("", parsed)


def _of(delta: dict[str, object], **beside: object) -> dict[str, object]:
    return {"model": "m", "choices": [{"index": 0, "delta": delta}]} | beside


_TOLD = {"prompt_tokens": 9, "completion_tokens": 2}
_CALL = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}
_KINDS: list[dict[str, object]] = [
    _of({"content": "a"}),
    _of({"content": "b"}),
    _of({"content": 'b"c\\'}),
    _of({"content": ""}),
    _of({"content": "a", "reasoning_content": "hm"}),
    _of({"content": "a", "tool_calls": [_CALL]}),
    _of({"content": "a", "tool_calls": []}),
    _of({"role": "assistant", "content": "a"}, usage=None),
    _of({"content": "a"}, usage=_TOLD),
    _of({"content": "a"}, error={"message": "no"}),
    _of({"content": "a"}, content="a"),
    {"model": "m", "choices": [{"index": 1, "delta": {"content": "a"}}]},
    {"model": "m", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]},
    {
        "model": "m",
        "choices": [{"delta": {"content": "a"}}, {"index": 1, "delta": {"content": "a"}}],
    },
    {"model": "m", "choices": [], "usage": _TOLD},
]


class _Parsed(ChunkShape):
    """Has every chunk parsed."""

    def text_of(self, data: str) -> str:
        return ""


@given(st.lists(st.sampled_from(_KINDS), max_size=6))
def test_a_stream_is_read_as_if_every_chunk_of_it_were_parsed(
    chunks: list[dict[str, object]],
) -> None:
    quick, parsed = ChatStream(), ChatStream()
    parsed._shape = _Parsed()
    for data in map(json.dumps, chunks):
        quick.feed(data)
        parsed.feed(data)
        assert _state(quick) == _state(parsed)
    assert quick.completion() == parsed.completion()


def _state(stream: ChatStream) -> tuple[object, ...]:
    error = None if stream.error is None else str(stream.error)
    told = stream.has_begun, stream.has_chunks, stream.is_understood, stream.is_whole
    return (*told, error, stream.reasoning)
