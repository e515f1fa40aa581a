"""Which hints go with a request, and how advice on caching is tried out."""

from __future__ import annotations

import random

import pytest

from agentrt.backends.hints import HintFields
from agentrt.gateway.hint_trial import (
    LASTING_TURNS,
    PERIOD_TURNS,
    SETTLING_TURNS,
    Trial,
    Verdict,
)
from agentrt.gateway.hinting import Hinting
from agentrt.ir.engine_fields import EngineFields
from agentrt.ir.hints import Hints
from agentrt.ir.request import Capabilities, Usage

HINTS = Hints(program_id="p", cache_salt="salt", priority=2, hold_s=4.0)
SALT = {"cache_salt": "salt"}
ALWAYS = {**SALT, "priority": -2}
HOLD = {"vllm_xargs": {"agentrt_program": "p", "agentrt_hold_s": 4.0}}
VLLM = Capabilities(
    reports_cached_tokens=True,
    takes=EngineFields(
        dialects=("vllm", "vllm-holds"),
        body=("cache_salt", "priority", "vllm_xargs"),
        priority="lower_first",
    ),
)


def verdict(trial: Trial) -> Verdict:
    return trial.verdict  # a call: type checkers take an attribute for unchanged


def turns(trial: Trial, count: int, *, on: float, off: float) -> None:
    for _ in range(count):
        trial.observe(found_tokens=(on if trial.is_on else off) * 100, expected_tokens=100)


def pairs_until_decided(trial: Trial, *, on: float, off: float, noise: random.Random) -> int:
    for pair in range(200):
        if trial.verdict is not Verdict.OPEN:
            return pair
        for _ in range(2 * PERIOD_TURNS):
            share = (on if trial.is_on else off) + noise.uniform(-0.2, 0.2)
            trial.observe(found_tokens=100 * min(share, 1.0), expected_tokens=100)
    raise AssertionError("never decided")


def test_a_server_that_takes_nothing_is_sent_nothing() -> None:
    hinting = Hinting()
    assert hinting.fields("r", Capabilities(), HINTS) == HintFields()
    assert hinting.advice("r") == "none"


def test_advice_goes_on_and_off_by_period_and_everything_else_is_always_sent() -> None:
    hinting = Hinting()
    sent: list[HintFields] = []
    for _ in range(2 * PERIOD_TURNS):
        sent.append(hinting.fields("r", VLLM, HINTS))
        hinting.answered("r", Usage(100, 50, 1), expected_tokens=80)
    first, second = sent[:PERIOD_TURNS], sent[PERIOD_TURNS:]
    assert sorted((str(dict(first[0].body)), str(dict(second[0].body)))) == sorted(
        (str(ALWAYS), str({**ALWAYS, **HOLD}))
    )
    assert first == [first[0]] * PERIOD_TURNS
    assert second == [second[0]] * PERIOD_TURNS
    assert hinting.advice("r") == "trying"


def test_operators_say_what_stands_in_front_of_an_engine() -> None:
    hinting = Hinting(dialects={"r": ("thunderagent",)})
    assert hinting.fields("r", Capabilities(), HINTS).body == {"program_id": "p"}
    assert hinting.fields("other", Capabilities(), HINTS).body == {}


def test_advice_is_sent_always_where_nothing_tells_whether_it_pays() -> None:
    hinting = Hinting()
    silent = Capabilities(takes=VLLM.takes)
    for _ in range(20 * PERIOD_TURNS):
        assert hinting.fields("r", silent, HINTS).body == {**ALWAYS, **HOLD}


def test_after_a_refusal_only_what_keeps_tenants_apart_is_sent() -> None:
    hinting = Hinting()
    hinting.fields("r", VLLM, HINTS)
    hinting.refused("r")
    assert hinting.fields("r", VLLM, HINTS).body == SALT
    assert hinting.advice("r") == "refused"
    hinting.up("r")
    assert hinting.fields("r", VLLM, HINTS).body.keys() >= ALWAYS.keys()


def test_replicas_are_tried_each_on_its_own() -> None:
    hinting = Hinting()
    for replica in ("good", "bad"):
        hinting.fields(replica, VLLM, HINTS)
    for _ in range(30 * PERIOD_TURNS):
        for replica in ("good", "bad"):
            is_sent = "vllm_xargs" in hinting.fields(replica, VLLM, HINTS).body
            found = 90 if is_sent and replica == "good" else 50
            hinting.answered(replica, Usage(100, found, 1), expected_tokens=100)
    assert (hinting.advice("good"), hinting.advice("bad")) == ("pays", "does not pay")
    assert "vllm_xargs" in hinting.fields("good", VLLM, HINTS).body
    assert "vllm_xargs" not in hinting.fields("bad", VLLM, HINTS).body


def test_answers_of_which_nothing_was_expected_are_no_evidence() -> None:
    hinting = Hinting()
    first = hinting.fields("r", VLLM, HINTS)
    for _ in range(10 * PERIOD_TURNS):
        hinting.answered("r", Usage(100, 0, 1), expected_tokens=0)
    assert hinting.fields("r", VLLM, HINTS) == first


def test_advice_that_always_wins_is_kept_after_eight_pairs() -> None:
    trial = Trial(seed="s")
    turns(trial, 2 * PERIOD_TURNS * 8 - 1, on=0.8, off=0.5)
    assert verdict(trial) is Verdict.OPEN
    turns(trial, 1, on=0.8, off=0.5)
    assert verdict(trial) is Verdict.PAYS
    assert trial.is_on


@pytest.mark.parametrize("on", [0.5, 0.4])
def test_advice_that_changes_nothing_or_harms_is_dropped_after_four_pairs(on: float) -> None:
    trial = Trial(seed="s")
    turns(trial, 2 * PERIOD_TURNS * 4, on=on, off=0.5)
    assert verdict(trial) is Verdict.DOES_NOT_PAY
    assert not trial.is_on


def test_where_hardly_anything_is_lost_nothing_is_decided() -> None:
    trial = Trial(seed="s")
    turns(trial, 2 * PERIOD_TURNS * 50, on=0.985, off=0.99)
    assert verdict(trial) is Verdict.OPEN


def test_a_verdict_is_open_again_after_a_while() -> None:
    trial = Trial(seed="s")
    turns(trial, 2 * PERIOD_TURNS * 4, on=0.4, off=0.5)
    turns(trial, LASTING_TURNS - 1, on=0.4, off=0.5)
    assert verdict(trial) is Verdict.DOES_NOT_PAY
    turns(trial, 1, on=0.4, off=0.5)
    assert verdict(trial) is Verdict.OPEN
    turns(trial, 2 * PERIOD_TURNS * 8, on=0.8, off=0.5)
    assert verdict(trial) is Verdict.PAYS


def test_the_first_answers_of_a_period_tell_of_the_one_before() -> None:
    trial = Trial(seed="s")
    for _ in range(2 * PERIOD_TURNS * 8):
        settled = [trial.is_on] * PERIOD_TURNS
        for number, is_on in enumerate(settled):
            # Whatever happens while it settles, it is the settled share that counts.
            share = (0.9 if is_on else 0.1) if number >= SETTLING_TURNS else (not is_on)
            trial.observe(found_tokens=share * 100, expected_tokens=100)
        if trial.verdict is not Verdict.OPEN:
            break
    assert verdict(trial) is Verdict.PAYS


def test_useless_advice_is_seldom_kept_and_good_advice_seldom_dropped() -> None:
    noise = random.Random(7)
    useless = [Trial(seed=f"{number}") for number in range(60)]
    good = [Trial(seed=f"{number}") for number in range(60)]
    for trial in useless:
        pairs_until_decided(trial, on=0.6, off=0.6, noise=noise)
    pairs = [pairs_until_decided(trial, on=0.66, off=0.6, noise=noise) for trial in good]
    assert sum(trial.verdict is Verdict.PAYS for trial in useless) <= 8
    assert sum(trial.verdict is Verdict.PAYS for trial in good) >= 52
    assert sum(pairs) / len(pairs) < 30


def test_the_order_of_periods_follows_from_the_seed_alone_and_has_no_rhythm() -> None:
    def order(seed: str) -> list[bool]:
        trial = Trial(seed=seed)
        seen: list[bool] = []
        for _ in range(40):
            seen.append(trial.is_on)
            turns(trial, PERIOD_TURNS, on=1.0, off=1.0)
        return seen

    assert order("a") == order("a") != order("b")
    firsts = order("a")[::2]
    assert set(firsts) == {True, False}
    assert [not first for first in firsts] == order("a")[1::2]
