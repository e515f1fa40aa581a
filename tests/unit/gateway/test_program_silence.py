"""How long a program is silent until it counts as over."""

from __future__ import annotations

import math

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.gateway.program_pauses import silence_s
from agentrt.scheduler.events import REPLY


def test_it_is_minutes_before_anything_is_known() -> None:
    assert silence_s("kind", Estimates()) > 120.0
    assert silence_s("kind", None) == math.inf


def test_it_follows_how_quickly_agents_of_a_kind_come_back() -> None:
    estimates = Estimates()
    for _ in range(200):
        estimates.next_call.observe(ToolUse(REPLY, "quick"), 1.0)
        estimates.next_call.observe(ToolUse(REPLY, "person"), 60.0)
    assert 4.0 <= silence_s("quick", estimates) < 30.0
    assert silence_s("person", estimates) > 240.0


def test_who_comes_back_at_once_has_some_seconds_still() -> None:
    estimates = Estimates()
    for _ in range(1_000):
        estimates.next_call.observe(ToolUse(REPLY, "instant"), 0.001)
    assert silence_s("instant", estimates) >= 5.0
