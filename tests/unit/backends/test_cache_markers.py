"""Where providers' cache markers pay, and how they are written."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.cache_markers import (
    Marker,
    Prefix,
    break_even_uses,
    cache_key,
    cost,
    markers,
    with_markers,
)


def _prefix(message: int | None, tokens: int = 5000, uses: float = 10, gap_s: float = 30) -> Prefix:
    return Prefix(message=message, tokens=tokens, stability="always", uses=uses, gap_s=gap_s)


def test_a_marker_pays_from_the_second_use_and_one_for_an_hour_from_the_third() -> None:
    assert (break_even_uses("5m"), break_even_uses("1h")) == pytest.approx(
        (1.2778, 2.1111), abs=1e-4
    )
    assert markers([_prefix(0, uses=1.2)]) == ()
    assert markers([_prefix(0, uses=1.4)]) == (Marker(0, "5m"),)
    assert markers([_prefix(0, uses=2.0, gap_s=600)]) == ()
    assert markers([_prefix(0, uses=2.2, gap_s=600)]) == (Marker(0, "1h"),)


def test_what_expires_before_it_is_used_again_is_not_marked() -> None:
    assert markers([_prefix(0, uses=100, gap_s=4000)]) == ()
    assert cost(_prefix(0, uses=100, gap_s=4000), "1h") == 200


def test_what_is_too_short_to_be_cached_is_not_marked() -> None:
    assert markers([_prefix(0, tokens=1023), _prefix(1, tokens=1024)]) == (Marker(1, "5m"),)


def test_there_are_four_at_most_and_they_stand_where_most_is_saved() -> None:
    many = [_prefix(None, 2000), *(_prefix(n, 3000 + 1000 * n) for n in range(9))]
    assert [marker.message for marker in markers(many)] == [5, 6, 7, 8]


def test_longer_lives_come_first() -> None:
    assert markers([_prefix(0, gap_s=900), _prefix(1, gap_s=10)]) == (
        Marker(0, "1h"),
        Marker(1, "5m"),
    )


def test_what_is_used_seldom_lives_long_only_where_all_before_it_may_too() -> None:
    often, seldom = _prefix(0, gap_s=10), _prefix(1, gap_s=900)
    assert markers([often, seldom]) == (Marker(0, "1h"), Marker(1, "1h"))
    # To let so much live for an hour costs more than the little after it can save.
    large, small = _prefix(0, 90_000, gap_s=10), _prefix(1, 1024, gap_s=900)
    assert markers([large, small]) == (Marker(0, "5m"),)


@given(st.lists(st.tuples(st.integers(0, 9000), st.floats(1, 50), st.floats(0, 9000)), max_size=9))
def test_no_marker_costs_more_than_none_and_none_outlives_one_before_it(
    drawn: list[tuple[int, float, float]],
) -> None:
    prefixes = [_prefix(n, *each) for n, each in enumerate(drawn)]
    found = markers(prefixes)
    assert len(found) <= 4
    assert [marker.ttl for marker in found] == sorted(marker.ttl for marker in found)
    for marker in found:
        assert marker.message is not None
        assert cost(prefixes[marker.message], marker.ttl) < prefixes[marker.message].uses


def test_a_key_is_of_what_runs_share_and_of_the_tenant() -> None:
    mine = Prefix(message=1, tokens=9, stability="run", uses=2, gap_s=1)
    key = cache_key([_prefix(0), mine], ["rules", "my question"])
    assert key == cache_key([_prefix(0), mine], ["rules", "your question"])
    assert key != cache_key([_prefix(0), mine], ["rules", "my question"], salt="tenant")
    assert cache_key([mine], ["my question"]) == ""
    assert len(key) == 32


def test_markers_are_written_into_a_copy_of_the_body() -> None:
    body: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "Rules."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "assistant", "content": None},
        ],
        "tools": [{"type": "function", "function": {"name": "a"}}, {"type": "function"}],
    }
    before = copy.deepcopy(body)
    wanted = [
        Marker(None, "1h"),
        Marker(0, "1h"),
        Marker(1, "5m"),
        Marker(2, "5m"),
        Marker(7, "5m"),
    ]
    made = with_markers(body, wanted)
    assert body == before
    hour, minutes = {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral", "ttl": "5m"}
    assert made["tools"][1]["cache_control"] == hour
    assert made["messages"][0]["content"] == [
        {"type": "text", "text": "Rules.", "cache_control": hour}
    ]
    assert made["messages"][1]["content"][1]["cache_control"] == minutes
    assert made["messages"][2] == before["messages"][2]
    assert with_markers(made, [Marker(0, "5m")]) == made  # the client has set its own
    assert with_markers({}, wanted) == {}
    assert with_markers({"messages": [1], "tools": "x"}, wanted) == {"messages": [1], "tools": "x"}


@pytest.mark.parametrize(
    ("content", "chars"),
    [
        ("", None),
        (" \n", None),
        ("Rules. \n\n", 6),  # the rest says nothing: as a part of its own it would be refused
        ("\n\nRules.", 2),
        ("Rules.", 0),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": " "}], None),
        ([{"type": "text", "text": "Rules."}], 3),
        (["a"], None),
        ([], None),
    ],
)
def test_no_part_is_marked_or_made_that_says_nothing(content: Any, chars: int | None) -> None:
    body = {"messages": [{"role": "user", "content": content}]}
    assert with_markers(body, [Marker(0, "5m", chars)]) == body


def test_two_markers_in_one_message_make_two_parts() -> None:
    body = {"messages": [{"role": "user", "content": "Rules. Question?"}]}
    made = with_markers(body, [Marker(0, "1h", 6), Marker(0, "5m")])
    assert made["messages"][0]["content"] == [
        {"type": "text", "text": "Rules.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": " Question?", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
    ]


def test_text_that_speaks_of_markers_is_marked_as_any_other() -> None:
    body = {"messages": [{"role": "user", "content": "What is cache_control?"}]}
    assert with_markers(body, [Marker(0, "5m")]) != body


_OWN = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    "own",
    [
        _OWN,
        {"tools": [{"type": "function", **_OWN}]},
        {"messages": [{"role": "user", "content": "a", **_OWN}, {"role": "user", "content": "b"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", **_OWN}]}]},
    ],
)
def test_where_the_client_has_marked_anything_nothing_is_added(own: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": "a"}], **own}
    assert with_markers(body, [Marker(None, "5m"), Marker(0, "5m")]) == body
