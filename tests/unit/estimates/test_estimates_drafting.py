import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.estimates.drafting import (
    DraftCounts,
    DraftingSwitch,
    KindDrafting,
    VerifyCost,
    best_length,
    can_pay,
    expected_speedup,
    expected_tokens,
    observed_speedup,
)

CPU = VerifyCost([(2, 1.4), (9, 4.2), (17, 7.4)])
FREE = VerifyCost([(2, 1.0), (17, 1.0)])
LINEAR = VerifyCost([(2, 2.0)])

counted = st.builds(
    lambda tokens, accepted, wrong: DraftCounts(
        tokens, min(tokens, accepted) + wrong, min(tokens, accepted)
    ),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 100_000),
)
costs = st.builds(
    VerifyCost,
    st.lists(st.tuples(st.integers(2, 64), st.floats(0.01, 100)), min_size=1, max_size=6),
)


def test_between_what_was_measured_the_cost_goes_straight_and_beyond_it_on() -> None:
    assert [CPU.of(tokens) for tokens in (0, 1, 2)] == [1.0, 1.0, 1.4]
    assert CPU.of(13) == pytest.approx(5.8)
    assert CPU.of(25) == pytest.approx(10.6)
    assert CPU.of_drafted(8) == pytest.approx(0.4)


def test_a_longer_pass_that_was_measured_as_cheaper_counts_as_equal() -> None:
    noisy = VerifyCost([(9, 0.7), (2, 1.5), (2, 9.0)])
    assert noisy.points == ((1, 1.0), (2, 1.5), (9, 1.5))


@pytest.mark.parametrize(
    "measured",
    [[], [(1, 1.0)], [(0, 2.0)], [(2, 0.0)], [(2, -1.0)], [(2, math.nan)], [(2, math.inf)]],
)
def test_a_cost_that_no_pass_can_have_is_refused(measured: list[tuple[int, float]]) -> None:
    with pytest.raises(ValueError, match="a verification cost is"):
        VerifyCost(measured)


def test_tokens_of_a_pass_are_those_of_the_paper() -> None:
    assert expected_tokens(0.0, 4) == 1.0
    assert expected_tokens(0.8, 4) == pytest.approx(1 + 0.8 + 0.64 + 0.512 + 0.4096)
    assert expected_tokens(1.0, 4) == 5.0


def test_agent_x_s_tax_of_two_tokens_is_not_paid_for_by_four_tokens_of_which_a_quarter_is_right() -> (
    None
):
    assert expected_speedup(0.25, 1, VerifyCost([(2, 1.86)])) == pytest.approx(1.25 / 1.86)


def test_where_verifying_is_free_drafts_are_long_and_where_it_is_as_dear_as_decoding_short() -> (
    None
):
    assert best_length(0.9, FREE) == 16
    assert best_length(0.9, LINEAR) == 1
    assert best_length(1.0, CPU) == 16
    assert best_length(0.95, CPU) == 6
    assert best_length(0.5, CPU) == 1
    assert (can_pay(FREE), can_pay(CPU), can_pay(LINEAR)) == (True, True, False)


def test_drafting_pays_if_and_only_if_the_share_taken_is_above_what_a_drafted_token_costs() -> None:
    assert observed_speedup(DraftCounts(150, 135, 130), 0.4) == pytest.approx(150 / 74)
    assert observed_speedup(DraftCounts(150, 100, 40), 0.4) == 1.0
    assert observed_speedup(DraftCounts(150, 100, 0), 0.4) == pytest.approx(150 / 190)
    assert observed_speedup(DraftCounts(), 0.4) == 1.0
    assert observed_speedup(DraftCounts(5, 5, 5), 0.0) == 1.0


@given(counted, costs, st.integers(1, 16))
def test_a_speedup_is_above_one_exactly_where_more_was_saved_than_spent(
    counts: DraftCounts, cost: VerifyCost, length: int
) -> None:
    extra = cost.of_drafted(length)
    speedup = observed_speedup(counts, extra)
    assert extra >= 0
    assert speedup >= 0
    saved = counts.accepted - extra * counts.drafted
    if abs(saved) > 1e-6 and counts.accepted < counts.tokens:
        assert (speedup > 1.0) == (saved > 0)


@given(costs, st.floats(0, 1))
def test_no_other_length_is_faster_than_the_best(cost: VerifyCost, acceptance: float) -> None:
    best = best_length(acceptance, cost)
    fastest = max(expected_speedup(acceptance, k, cost) for k in range(1, 17))
    assert expected_speedup(acceptance, best, cost) == pytest.approx(fastest, abs=1e-8)


def _switch(*, is_on: bool = False, turn_s: float = 1.0) -> DraftingSwitch:
    return DraftingSwitch(CPU, length=8, token_s=0.02, turn_s=turn_s, is_on=is_on)


def test_it_turns_on_when_drafts_would_have_saved_what_turning_costs() -> None:
    switch = _switch()
    verdicts: list[bool] = []
    for _ in range(2):
        switch.observe("edit", DraftCounts(100, 90, 80))  # saves 80 - 36 passes of 20 ms
        verdicts.append(switch.wants_turn)
    assert verdicts == [False, True]
    switch.turned()
    assert (switch.is_on, switch.wants_turn) == (True, False)


def test_it_turns_off_when_drafts_cost_more_than_they_saved() -> None:
    switch = _switch(is_on=True)
    verdicts: list[bool] = []
    for counts in (DraftCounts(100, 90, 80), DraftCounts(100, 80, 0), DraftCounts(100, 80, 0)):
        switch.observe("chat", counts)
        verdicts.append(switch.wants_turn)
    assert verdicts == [False, False, True]
    switch.turned()
    assert (switch.is_on, switch.wants_turn) == (False, False)


def test_what_drafts_saved_in_the_past_does_not_pay_for_what_they_cost_now() -> None:
    switch = _switch(is_on=True)
    for _ in range(1000):
        switch.observe("edit", DraftCounts(100, 90, 80))
    for _ in range(2):
        switch.observe("chat", DraftCounts(100, 80, 0))
    assert switch.wants_turn


def test_where_nothing_is_ever_drafted_nothing_turns_even_if_turning_were_free() -> None:
    switch = _switch(turn_s=0.0)
    for _ in range(100):
        switch.observe("chat", DraftCounts(100, 0, 0))
    assert not switch.wants_turn


@given(st.lists(counted, max_size=40), st.floats(0, 10))
def test_it_never_loses_more_than_a_few_turns_against_the_better_of_always_and_never(
    requests: list[DraftCounts], turn_s: float
) -> None:
    switch = _switch(turn_s=turn_s)
    spent = always = turns = worst = 0.0
    for counts in requests:
        saved = (counts.accepted - switch.extra * counts.drafted) * 0.02
        always += saved
        worst = max(worst, abs(saved))
        spent += saved if switch.is_on else 0.0
        switch.observe("any", counts)
        if switch.wants_turn:
            switch.turned()
            turns += 1
    # Between two turns at most `turn_s` and the request that tips it over are lost.
    assert spent >= max(0.0, always) - (turns + 1) * (turn_s + worst) - 1e-6


def test_it_tells_what_drafts_came_to_by_kind_the_latest_last_and_forgets_the_oldest() -> None:
    switch = _switch()
    switch.observe("edit", DraftCounts(100, 50, 50))
    switch.observe("chat", DraftCounts(100, 50, 0))
    edit, chat = switch.kinds()
    assert edit == KindDrafting("edit", DraftCounts(100, 50, 50), edit.speedup)
    assert edit.speedup == pytest.approx(100 / 70)
    assert (chat.kind, chat.counts.share_taken) == ("chat", 0.0)
    for number in range(400):
        switch.observe(f"kind {number}", DraftCounts(1))
    assert [kind.kind for kind in switch.kinds()] == [f"kind {n}" for n in range(144, 400)]


def test_of_a_kind_what_was_long_ago_counts_little() -> None:
    switch = _switch()
    switch.observe("edit", DraftCounts(4096, 4000, 4000))
    switch.observe("edit", DraftCounts(40_960, 40_000, 0))
    (edit,) = switch.kinds()
    assert edit.counts.share_taken < 0.001
