import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.estimates.drafting import DraftCounts
from agentrt.estimates.lookup import replay_lookup, text_tokens


def test_a_copy_is_drafted_right_after_the_first_ngram_and_one_token_a_pass_comes_of_itself() -> (
    None
):
    file = list("abcdefghijklmnopqrst")
    # "abc" one by one, then passes of 8 + 1 and, for what is left, of 7 + 1 tokens.
    assert replay_lookup(file, file, ngram=3, length=8) == DraftCounts(20, 15, 15)


def test_text_without_repetition_is_not_drafted() -> None:
    assert replay_lookup("abc", "defghij", ngram=2, length=4) == DraftCounts(7, 0, 0)


def test_a_draft_that_goes_wrong_counts_whole_and_its_right_beginning_is_taken() -> None:
    # After "ab", "cdef" is drafted; the answer goes on with "cdx".
    assert replay_lookup("abcdefg", "abcdxyz", ngram=2, length=4) == DraftCounts(7, 4, 2)


def test_the_latest_occurrence_is_drafted_from_that_has_a_whole_draft_after_it() -> None:
    prompt = "ab123 ab456 ab7"
    assert replay_lookup(prompt, "ab456.", ngram=2, length=4) == DraftCounts(6, 3, 3)
    # After "ab7ab" the last "ab" that three tokens follow is that of "ab7", and "7ab" is wrong.
    assert replay_lookup(prompt, "ab456.", ngram=2, length=3) == DraftCounts(6, 5, 2)


def test_an_answer_that_repeats_itself_is_drafted_from_itself() -> None:
    found = replay_lookup([], [1, 2, 3] * 20, ngram=2, length=4)
    assert found.tokens == 60
    assert found.share_taken == 1.0
    assert found.accepted > 40


@pytest.mark.parametrize(("ngram", "length"), [(0, 4), (3, 0), (-1, -1)])
def test_no_ngram_and_no_draft_are_refused(ngram: int, length: int) -> None:
    with pytest.raises(ValueError, match="one token or more"):
        replay_lookup("a", "b", ngram=ngram, length=length)


def test_the_worst_text_takes_time_in_proportion() -> None:
    tokens = [0] * 200_000
    found = replay_lookup(tokens, tokens, ngram=4, length=16)
    assert found.accepted > 180_000  # what is quadratic takes hours


short = st.text(alphabet="ab c", max_size=60)


@given(short, short, st.integers(1, 4), st.integers(1, 9))
def test_no_more_is_right_than_was_drafted_or_decoded(
    prompt: str, answer: str, ngram: int, length: int
) -> None:
    found = replay_lookup(prompt, answer, ngram=ngram, length=length)
    assert found.tokens == len(answer)
    assert 0 <= found.accepted <= found.drafted
    # Every pass gives one token itself, and at most `length` of a draft.
    passes = found.tokens - found.accepted
    assert found.drafted <= length * passes
    assert (passes > 0) == (len(answer) > 0)


@given(st.text())
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    assert "".join(text_tokens(text)) == text
