import pytest

from agentrt.backends.embedded_drafting import DRAFT_TOKENS, Drafting
from agentrt.backends.embedded_settings import DraftingWish
from agentrt.estimates.drafting import DraftCounts, VerifyCost
from agentrt.ir.request import Completion, Message, Request, ToolCall, Usage

TEXT = " ".join(f"word{number}" for number in range(100))
REQUEST = Request(messages=(Message("user", TEXT),), node_id="edit[3].llm")
CHEAP = VerifyCost([(2, 1.1)])


def _copy(*, drafted: int = 0, accepted: int = 0) -> Completion:
    return Completion(
        text=TEXT,
        usage=Usage(300, 0, 300),
        drafted_tokens=drafted,
        accepted_tokens=accepted,
    )


def test_drafts_that_would_have_been_right_are_worth_measuring_and_free_text_is_not() -> None:
    drafting = Drafting("measured")
    for _ in range(50):
        drafting.answered(REQUEST, Completion(text="Yes, " * 3, usage=Usage(300, 0, 20)))
    assert not drafting.wants_measuring
    drafting.answered(REQUEST, _copy())
    assert drafting.wants_measuring


def test_arguments_of_tool_calls_are_copies_too() -> None:
    drafting = Drafting("measured")
    call = ToolCall("1", "write_file", TEXT)
    drafting.answered(REQUEST, Completion(tool_calls=(call,), usage=Usage(300, 0, 300)))
    assert drafting.wants_measuring


def test_answers_from_before_the_measurement_count_and_turn_it_on() -> None:
    drafting = Drafting("measured")
    drafting.started(took_s=0.5)
    drafting.answered(REQUEST, _copy())
    drafting.judge_by(CHEAP, token_s=0.02)
    assert (drafting.wants_measuring, drafting.wants_turn, drafting.draft_tokens) == (
        False,
        True,
        0,
    )
    drafting.turn()
    assert (drafting.is_on, drafting.wants_turn) == (True, False)
    assert drafting.draft_tokens == DRAFT_TOKENS


@pytest.mark.parametrize(("twice", "tokens"), [(1.02, 2 * DRAFT_TOKENS), (1.2, DRAFT_TOKENS)])
def test_drafts_are_long_only_where_verifying_them_costs_next_to_nothing(
    twice: float, tokens: int
) -> None:
    drafting = Drafting("measured")
    drafting.judge_by(VerifyCost([(2, twice)]), token_s=0.02)
    assert drafting.length == tokens


def test_a_turn_of_phrase_that_comes_again_is_no_draft() -> None:
    drafting = Drafting("measured")
    drafting.judge_by(CHEAP, token_s=0.02)
    phrase = "as far as I can tell"  # six tokens
    text = " ".join(f"{phrase} {word} was so." for word in ("bread", "milk", "the sea", "iron"))
    asked = Request(messages=(Message("user", text),), node_id="edit")
    answer = " ".join(f"{phrase} {word}" for word in ("all", "none", "some", "few", "most", "any"))
    drafting.answered(asked, Completion(text=answer, usage=Usage(300, 0, 60)))
    (kind,) = drafting.kinds()
    assert kind.counts == DraftCounts(60, 0, 0)


def test_it_goes_off_when_drafts_are_wrong_by_the_engine_s_own_count() -> None:
    drafting = Drafting("measured")
    drafting.started(took_s=0.5)
    drafting.answered(REQUEST, _copy())
    drafting.judge_by(CHEAP, token_s=0.02)
    drafting.turn()
    drafting.answered(REQUEST, _copy(drafted=400, accepted=0))
    assert drafting.wants_turn
    drafting.turn()
    assert drafting.draft_tokens == 0
    (kind,) = drafting.kinds()
    assert kind.kind == "edit"
    assert kind.counts.drafted > 400


def test_where_no_draft_can_pay_nothing_is_looked_up_any_more() -> None:
    drafting = Drafting("measured")
    drafting.answered(REQUEST, _copy())
    drafting.judge_by(VerifyCost([(2, 2.0)]), token_s=0.02)
    for _ in range(50):
        drafting.answered(REQUEST, _copy())
    assert (drafting.wants_measuring, drafting.wants_turn, drafting.kinds()) == (False, False, ())


@pytest.mark.parametrize(("wish", "tokens"), [("on", DRAFT_TOKENS), ("off", 0)])
def test_who_asks_for_one_or_the_other_gets_it_and_nothing_is_measured(
    wish: DraftingWish, tokens: int
) -> None:
    drafting = Drafting(wish)
    for _ in range(20):
        drafting.answered(REQUEST, _copy(drafted=900))
    assert (drafting.draft_tokens, drafting.wants_measuring, drafting.wants_turn) == (
        tokens,
        False,
        False,
    )


def test_an_empty_answer_that_took_tokens_counts_as_not_drafted() -> None:
    drafting = Drafting("measured")
    drafting.answered(REQUEST, Completion(usage=Usage(10, 0, 100)))
    drafting.judge_by(CHEAP, token_s=0.02)
    (kind,) = drafting.kinds()
    assert kind.counts == DraftCounts(100, 0, 0)
