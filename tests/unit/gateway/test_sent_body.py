"""What goes to a server is what the client wrote, and what is added to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.hints import HintFields
from agentrt.gateway.reading import read_request
from agentrt.gateway.sent_body import body_to_send

NOTHING = HintFields()


def sent(raw: bytes, added: HintFields = NOTHING) -> bytes:
    return body_to_send(read_request("chat/completions", {}, raw), added)


def test_nothing_is_touched_where_nothing_is_added() -> None:
    raw = b' {"n": 1.50, "big": 123456789012345678901234567890, "a":"\\u00e9"}\n'
    assert sent(raw) == raw


def test_fields_are_added_at_the_end() -> None:
    assert sent(b'{"a": 1.50 }\n', HintFields({"p": 1})) == b'{"a": 1.50 ,"p":1}'
    assert sent(b"{}", HintFields({"p": 1})) == b'{"p":1}'


def test_what_the_client_has_set_stays_as_it_was_set() -> None:
    raw = b'{"priority": 7}'
    assert sent(raw, HintFields({"priority": 1})) == raw


def test_a_field_that_both_have_is_joined_and_the_rest_stays_as_written() -> None:
    raw = b'{"n": 1e400, "x": {"mine": 1.0}, "m": [1.50]}'
    body = sent(raw, HintFields({"x": {"ours": 2}}))
    assert body == b'{"n": 1e400,"m": [1.50],"x":{"mine":1.0,"ours":2}}'


def test_the_salt_is_ours() -> None:
    body = sent(b'{"cache_salt": "theirs", "n": 1.0}', HintFields({"cache_salt": "ours"}))
    assert body == b'{"n": 1.0,"cache_salt":"ours"}'


@pytest.mark.parametrize("options", [b"null", b"{}", b'{"include_usage": false}'])
def test_usage_is_asked_for_once(options: bytes) -> None:
    body = sent(b'{"stream": true, "stream_options": ' + options + b', "n": 1.0}')
    assert body == b'{"stream": true,"n": 1.0,"stream_options":{"include_usage":true}}'


def test_other_encodings_of_json_are_sent_as_utf_8() -> None:
    body = sent('{"a": "é"}'.encode("utf-16"), HintFields({"p": 1}))
    assert json.loads(body) == {"a": "é", "p": 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    body=st.dictionaries(st.text(max_size=3), json_values, max_size=5),
    ours=st.dictionaries(st.text(max_size=3), st.integers() | st.text(), max_size=3),
    indent=st.none() | st.integers(0, 2),
    is_ascii=st.booleans(),
)
def test_any_body_comes_out_whole(
    body: dict[str, Any], ours: dict[str, Any], indent: int | None, *, is_ascii: bool
) -> None:
    body.pop("model", None)
    raw = json.dumps(body, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    told = json.loads(sent(raw, HintFields(ours)))
    assert told == body | {name: ours[name] for name in ours if body.get(name) is None}
