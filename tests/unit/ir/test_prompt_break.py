"""Where prompts stop being alike, and what that is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.ir.prompt_break import Piece, common_length, first_break, text_of, volatile_kind


def _pieces(*texts: str) -> list[Piece]:
    return [Piece(text, f"piece {number}", number) for number, text in enumerate(texts)]


def test_a_prompt_that_goes_on_is_not_broken() -> None:
    assert first_break(_pieces("ab", "c"), _pieces("ab", "c", "d")) is None
    assert first_break(_pieces("ab"), _pieces("ab")) is None
    assert first_break([], _pieces("ab")) is None


def test_the_first_different_character_is_blamed_on_its_piece() -> None:
    broken = first_break(_pieces("same", "it is x", "rest"), _pieces("same", "it is y", "rest"))
    assert broken is not None
    assert (broken.origin, broken.message, broken.offset) == ("piece 1", 1, 6)
    assert (broken.shared_characters, broken.lost_characters) == (10, 5)
    assert (broken.before, broken.now) == ("sameit is xrest", "sameit is yrest")


def _greeting(name: str, rest: str = ", how are you?") -> list[Piece]:
    return [Piece("Hello ", "text", 0), Piece(name, "name", 0), Piece(rest, "text", 0)]


@pytest.mark.parametrize(
    ("before", "now"), [("Bob", "Bo"), ("Bo", "Bob"), ("Bob", ""), ("", "Bob"), ("Bob", "Ann")]
)
def test_a_value_that_the_other_begins_with_is_blamed_and_not_the_text_after_it(
    before: str, now: str
) -> None:
    broken = first_break(_greeting(before), _greeting(now))
    assert broken is not None
    assert broken.origin == "name"
    assert 0 <= broken.offset <= len(now)


def test_where_pieces_are_cut_is_not_to_blame() -> None:
    broken = first_break(_greeting("a", "bc"), _greeting("ab", "d"))
    assert broken is not None
    assert broken.origin == "name"  # ends there
    broken = first_break(_greeting("a", "bcd"), _greeting("ab", "ce"))
    assert broken is not None
    assert (broken.origin, broken.offset) == ("text", 1)


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        ("Now 2026-11-20 10:00:01.", "Now 2026-11-20 10:00:02.", "a timestamp"),
        ("at 9:59 am", "at 10:00 am", "a timestamp"),
        ("today is Mon 3 2026", "today is Tue 4 2026", "a timestamp"),
        ("since 1732100000.5", "since 1732100001.5", "a timestamp"),
        (
            "id 123e4567-e89b-12d3-a456-426614174000",
            "id 123e4567-e89b-12d3-a456-426614174001",
            "an id",
        ),
        ("in /home/a/work", "in /home/b/work", "a path"),
        ("turn 3 of 9", "turn 4 of 9", "a number"),
        ("apples", "pears", "other text"),
        ("a long text", "a long", "text was left out at the end"),
    ],
)
def test_what_differs_has_a_name(before: str, now: str, kind: str) -> None:
    broken = first_break(_pieces(before), _pieces(now))
    assert broken is not None
    assert broken.kind == kind


def test_tools_that_came_went_or_moved_are_told_apart() -> None:
    def tools(*names: str, note: str = "") -> list[Piece]:
        return [Piece(f"tool {name}{note}\n", name) for name in names]

    def kind(before: list[Piece], now: list[Piece]) -> str:
        broken = first_break([*before, Piece("hi", "user", 0)], [*now, Piece("hi", "user", 0)])
        assert broken is not None
        return broken.kind

    assert kind(tools("a", "b"), tools("b", "a")) == "the order of the tools"
    assert kind(tools("a", "b"), tools("a", "b", "c")) == "the tools: 1 added"
    assert kind(tools("a", "b"), tools("b")) == "the tools: 1 removed"
    assert kind(tools("a"), tools("a", note="!")) == "the schema of a tool"


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_the_common_beginning_is_the_longest_there_is(shared: str, a: str, b: str) -> None:
    left, right = shared + a, shared + b
    length = common_length(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]
    broken = first_break(_pieces(left), _pieces(right))
    assert (broken is None) == right.startswith(left)
    assert text_of(_pieces(left, right)) == left + right


def test_static_text_that_is_of_one_moment_is_seen() -> None:
    assert volatile_kind("Today is 2026-11-20.") == "a timestamp"
    assert volatile_kind("Be kind. There are 12 rules in /etc/rules.") == ""


def test_hostile_text_is_looked_at_in_no_time() -> None:
    long = "1" * 200_000 + "/" * 200_000 + "-a" * 100_000
    assert first_break(_pieces(long + "a"), _pieces(long + "b")) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Friday, 20 November 2026",
        "20 November 2026",
        "Today is 3. March",
        "It is Nov 20",
        "Sat 5",
        "Thurs. 7 May",
        "September 1",
    ],
)
def test_dates_in_words_look_as_if_they_were_of_one_moment(text: str) -> None:
    assert volatile_kind(f"It is {text}, be brief.") == "a timestamp"


@pytest.mark.parametrize(
    "text", ["Monitor 3 hosts", "Maybe 4 of them", "Decide 2 things", "Thus 3", "Separate 5 lines"]
)
def test_words_that_begin_like_a_day_or_month_do_not(text: str) -> None:
    assert volatile_kind(text) == ""
