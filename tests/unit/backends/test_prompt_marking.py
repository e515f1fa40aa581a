"""What of a request is the same in every run, and how markers follow how often it comes."""

from __future__ import annotations

from typing import Any

import pytest

from agentrt.backends.prompt_marking import PromptMarking, shared_key, stable_beginning
from agentrt.backends.wire import request_body
from agentrt.ir.hints import Hints
from agentrt.ir.request import Message, Request, ToolCall

RULES = "r" * 6000


def _request(*, stable_chars: int, hold_s: float | None = 0.0, question: str = "q") -> Request:
    return Request(
        messages=(Message("system", RULES), Message("user", question)),
        hints=Hints(stable_chars=stable_chars, hold_s=hold_s),
    )


@pytest.mark.parametrize(
    ("stable_chars", "place"),
    [
        (0, None),
        (1, (0, 1)),
        (len(RULES) - 1, (0, len(RULES) - 1)),
        (len(RULES), (0, None)),
        (len(RULES) + 1, (1, None)),
        (len(RULES) + 99, (1, None)),
    ],
)
def test_it_ends_where_the_plan_says(stable_chars: int, place: object) -> None:
    found = stable_beginning(_request(stable_chars=stable_chars))
    assert (None if found is None else (found.message, found.chars)) == place


def _ttl(marking: PromptMarking, at: float) -> str | None:
    request = _request(stable_chars=len(RULES))
    body = marking.marked(request_body(request, model="m"), request, now=at)
    content: Any = body["messages"][0]["content"]
    return None if isinstance(content, str) else content[0]["cache_control"]["ttl"]


def test_a_beginning_that_comes_back_slowly_lives_longer_and_one_that_does_not_is_not_marked() -> (
    None
):
    quick = PromptMarking()
    assert [_ttl(quick, at * 60.0) for at in range(4)] == ["5m"] * 4
    slow = PromptMarking()
    assert [_ttl(slow, at * 900.0) for at in range(4)] == ["5m", None, "1h", "1h"]
    rare = PromptMarking()
    assert [_ttl(rare, at * 9000.0) for at in range(4)] == ["5m", None, None, None]


def test_beginnings_seen_longest_ago_are_forgotten() -> None:
    marking = PromptMarking()
    _ttl(marking, 0.0)
    for number in range(1024):
        request = Request(
            messages=(Message("user", f"{number}"),), hints=Hints(stable_chars=1 << 20)
        )
        marking.marked(request_body(request, model="m"), request, now=0.0)
    assert _ttl(marking, 9000.0) == "5m"  # as of one that was never seen


def test_the_key_is_of_what_is_stable_alone() -> None:
    keys = {shared_key(_request(stable_chars=len(RULES), question=question)) for question in "abc"}
    assert len(keys) == 1
    assert shared_key(_request(stable_chars=len(RULES) - 1)) not in keys
    assert shared_key(_request(stable_chars=100)) == ""


def test_a_turn_that_ends_with_an_empty_result_is_marked_at_what_says_something() -> None:
    said = (Message("user", RULES), Message("assistant", "I look."), Message("tool", ""))
    request = Request(messages=said, hints=Hints(hold_s=5.0))
    body = PromptMarking().marked(request_body(request, model="m"), request, now=0.0)
    assert ["cache_control" in str(each) for each in body["messages"]] == [False, True, False]


@pytest.mark.parametrize(("calls", "marked"), [(3, [5]), (9, [11]), (10, [1, 12]), (40, [1, 42])])
def test_where_much_was_called_at_once_the_turn_before_is_marked_again(
    calls: int, marked: list[int]
) -> None:
    made = tuple(ToolCall(str(number), "look", "{}") for number in range(calls))
    results = [Message("tool", f"result {number}", (), str(number)) for number in range(calls)]
    said = [Message("system", "s"), Message("user", RULES), Message("assistant", "So.", made)]
    request = Request(messages=(*said, *results), hints=Hints(hold_s=5.0))
    body = PromptMarking().marked(request_body(request, model="m"), request, now=0.0)
    found = [at for at, each in enumerate(body["messages"]) if "cache_control" in str(each)]
    assert found == marked
