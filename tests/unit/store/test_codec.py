"""What the codec refuses, and what only looks as if it should be."""

from __future__ import annotations

import pytest

from agentrt.errors import StoreError
from agentrt.ir.schema import Json
from agentrt.store import codec
from agentrt.store.codec import decode_json, encode_json, encode_text


def test_a_wide_value_is_not_a_deep_one() -> None:
    value: Json = [{"a": [], "b": ({},)} for _ in range(1_000)]
    assert decode_json(encode_json(value, what="It")) == [{"a": [], "b": [{}]}] * 1_000


def test_brackets_within_text_are_no_depth() -> None:
    assert decode_json(encode_json("[" * 10_000, what="It")) == "[" * 10_000


def test_a_value_too_large_for_a_database_is_refused_with_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(codec, "MAX_VALUE_CHARS", 1_000)
    assert encode_json("x" * 998, what="It") == f'"{"x" * 998}"'
    with pytest.raises(StoreError, match=r"It cannot be stored: 1,001 characters.*1,000 at most"):
        encode_json("x" * 999, what="It")


def test_plain_text_stays_as_people_read_it() -> None:
    for text in ("", "fix[3].bash[0]", "caf\u00e9", "a 'quoted' \"word\"", "line\nline\ttab"):
        assert encode_text(text) == text
    assert encode_text('"') == '"\\""'


def test_what_is_refused_is_named() -> None:
    with pytest.raises(StoreError, match=r"The cat cannot be stored.*not JSON.*object is not"):
        encode_json(object(), what="The cat")
