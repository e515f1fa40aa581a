"""How long a program is silent until it counts as over."""

from __future__ import annotations

import math
import random

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.gateway.program_pauses import silence_s
from agentrt.scheduler.events import REPLY


def known(kind: str, *, gap_s: float, turns: int, programs: int = 400) -> Estimates:
    """Programs of so many turns, each after `gap_s` on average."""
    estimates, rng = Estimates(), random.Random(3)
    for _ in range(programs):
        for turn in range(1, turns + 1):
            estimates.turns.observe(kind, turn, is_last=turn == turns)
            if turn < turns:
                estimates.next_call.observe(ToolUse(REPLY, kind), rng.expovariate(1 / gap_s))
    return estimates


def test_it_is_minutes_before_anything_is_known() -> None:
    assert silence_s("kind", 1, Estimates()) > 120.0
    assert silence_s("kind", 1, None) == math.inf


def test_where_programs_end_it_is_short_and_before_it_is_long() -> None:
    estimates = known("six turns", gap_s=2.0, turns=6)
    assert silence_s("six turns", 6, estimates) == 5.0
    assert silence_s("six turns", 3, estimates) > 10.0


def test_requests_that_nothing_follows_are_over_soon() -> None:
    assert silence_s("single", 1, known("single", gap_s=1.0, turns=1)) == 5.0


def test_persons_have_their_time() -> None:
    assert silence_s("chat", 2, known("chat", gap_s=60.0, turns=9)) > 120.0
