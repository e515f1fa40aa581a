"""Tool calls in a stream are told of when they are complete, before the message is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.backends.json_extent import JsonExtent
from agentrt.backends.wire_stream import StreamedCompletion
from agentrt.ir.request import ToolCall


def _delta(*calls: dict[str, Any], reason: str | None = None) -> str:
    return json.dumps(
        {"choices": [{"delta": {"tool_calls": list(calls)}, "finish_reason": reason}]}
    )


def _call(index: int | None = None, arguments: str = "", **named: str) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": named["name"]} if "name" in named else {})
    where = {} if index is None else {"index": index}
    return where | ({"id": named["id"]} if "id" in named else {}) | {"function": function}


def _told(*events: str) -> list[list[tuple[str, str, str]]]:
    stream = StreamedCompletion()
    told: list[list[tuple[str, str, str]]] = []
    for event in events:
        stream.feed(event)
        told.append([(c.id, c.name, c.arguments) for c in stream.take_finished_calls()])
    return told


def test_a_call_is_complete_with_the_last_brace_of_its_arguments() -> None:
    assert _told(
        _delta(_call(0, id="a", name="search")),
        _delta(_call(0, '{"query": "}')),
        _delta(_call(0, '"')),
        _delta(_call(0, "}")),
        _delta(_call(1, id="b", name="read")),
    ) == [[], [], [], [("a", "search", '{"query": "}"}')], []]


def test_a_call_is_complete_when_the_next_one_begins() -> None:
    assert _told(
        _delta(_call(0, id="a", name="search")),
        _delta(_call(1, "{", id="b", name="read")),
        _delta(_call(1, "}")),
    ) == [[], [("a", "search", "")], [("b", "read", "{}")]]


def test_calls_in_one_piece_are_told_in_their_order() -> None:
    both = _delta(
        _call(0, '{"x": 1}', id="a", name="one"), _call(1, '{"y": [2]}', id="b", name="two")
    )
    assert _told(both) == [[("a", "one", '{"x": 1}'), ("b", "two", '{"y": [2]}')]]


def test_calls_without_ids_have_those_of_the_completion() -> None:
    stream = StreamedCompletion()
    stream.feed(_delta(_call(0, "{}", name="one"), _call(1, "{}", name="one")))
    early = stream.take_finished_calls()
    stream.feed("[DONE]")
    assert early == stream.completion().tool_calls
    assert [call.id for call in early] == ["call_0", "call_1"]


def test_what_is_no_object_is_told_of_only_when_the_next_call_begins() -> None:
    assert _told(
        _delta(_call(0, "[1]", id="a", name="one")),
        _delta(_call(0, "{}")),
        _delta(_call(1, "", id="b", name="two")),
    ) == [[], [], [("a", "one", "[1]{}")]]


def test_more_that_is_written_to_a_call_that_seemed_complete_is_in_the_completion() -> None:
    stream = StreamedCompletion()
    stream.feed(_delta(_call(0, "{}", id="a", name="one")))
    assert stream.take_finished_calls() == (ToolCall("a", "one", "{}"),)
    stream.feed(_delta(_call(0, '{"x": 1}')))
    assert stream.take_finished_calls() == ()
    stream.feed("[DONE]")
    assert stream.completion().tool_calls == (ToolCall("a", "one", '{}{"x": 1}'),)


_values = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.text(max_size=8) | st.integers(),
        lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
    ),
    max_size=4,
)


@settings(max_examples=200)
@given(value=_values, is_ascii=st.booleans(), data=st.data())
def test_an_object_in_pieces_is_complete_exactly_at_its_end(
    value: dict[str, Any], is_ascii: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=data.draw(st.sampled_from([None, 1])))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=6)))
    ends = [*[cut for cut in cuts if cut < len(text)], len(text)]
    pieces = [text[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    extent = JsonExtent()
    assert [extent.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@settings(max_examples=200)
@given(pieces=st.lists(st.text('{}[]"\\ 1,:a', max_size=6), max_size=8))
def test_what_is_called_complete_parses(pieces: list[str]) -> None:
    extent = JsonExtent()
    for number, piece in enumerate(pieces, start=1):
        if extent.feed(piece):
            assert isinstance(json.loads("".join(pieces[:number])), dict)
