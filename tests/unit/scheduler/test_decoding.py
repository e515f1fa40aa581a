"""What goes on beside an answer, as far as first tokens tell."""

from __future__ import annotations

from agentrt.scheduler.decoding import DecodeSpan, Decoding
from agentrt.scheduler.recent_mean import RecentMean


def test_an_answer_alone_has_one_call() -> None:
    decoding = Decoding()
    decoding.begin("a", 7, 1.0)
    assert decoding.end("a", 3.0) == DecodeSpan(2.0, 1.0, 0.0)


def test_calls_beside_it_count_for_the_time_they_were_there() -> None:
    decoding = Decoding()
    decoding.begin("a", 7, 0.0)
    decoding.begin("b", 5, 2.0)
    assert decoding.end("b", 3.0) == DecodeSpan(1.0, 2.0, 0.0)
    decoding.begin("c", 3, 4.0)
    # One for two seconds, two for one, one for one; the prompts of b and c were computed meanwhile.
    assert decoding.end("a", 4.0) == DecodeSpan(4.0, 5.0 / 4.0, 8.0)


def test_a_call_without_a_first_token_tells_nothing() -> None:
    decoding = Decoding()
    assert decoding.end("a", 3.0) is None
    decoding.begin("b", 5, 4.0)
    assert decoding.end("b", 4.0) is None  # first and last token at once
    assert decoding.end("b", 5.0) is None  # over already


def test_a_mean_is_that_of_all_values_while_they_are_few() -> None:
    mean = RecentMean(4)
    assert mean.mean == 0.0
    seen = []
    for value in (8.0, 4.0, 0.0, 4.0, 8.0):
        mean.add(value)
        seen.append(mean.mean)
    # The fifth counts for a quarter: (3 * 4 + 8) / 4.
    assert seen == [8.0, 6.0, 4.0, 4.0, 5.0]
