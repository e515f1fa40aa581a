"""InferCept's wastes, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from agentrt.scheduler.policies.infercept import ForwardCost, InferCept
from tests.unit.scheduler.policies.placed_programs import (
    hold_s,
    make_outlook,
    make_pause,
    make_program,
    make_replica,
    place,
)

COST = ForwardCost(step_s=1.0, token_s=0.01, chunk=10)  # a full step takes 1.1 s


@pytest.mark.parametrize(
    ("tokens", "waste"),
    [
        (25, 52.8 + 24.0 + 1.01),  # 3 steps of 8: 1.1*6*8, 0.08*3*100, and 1 token: 0.01*101
        (16, 8.8 + 8.0),  # 1 step of 8 and, as published, nothing for the second
        (3, 3.09),  # no full step; 0.03*103
        (0, 0.0),
    ],
)
def test_discarding_wastes_the_memory_of_all_that_waits_for_the_recomputation(
    tokens: int, waste: float
) -> None:
    assert COST.discard_waste(tokens, batch_tokens=2, running_tokens=100) == pytest.approx(waste)


def test_a_batch_that_fills_the_chunk_leaves_a_token_a_step() -> None:
    # 2 steps of one token: 1.1*3*1 + 0.01*2*100, and 3 mod 1 = 0 more
    waste = COST.discard_waste(3, batch_tokens=50, running_tokens=100)
    assert waste == pytest.approx(3.3 + 2.0)


def test_the_published_fit() -> None:
    # 1000 tokens: 2 steps of 384 and 232 more
    expected = 0.0261136 * 3 * 384 + 0.0279e-3 * 232 * 232
    waste = InferCept().cost.discard_waste(1_000, batch_tokens=0, running_tokens=0)
    assert waste == pytest.approx(expected)


def test_a_context_is_kept_until_the_time_so_far_wastes_more_than_discarding() -> None:
    replica = make_replica(kv_blocks=100)
    program = place(replica, make_program("a", 1), 10)
    for sequence in (2, 3):
        place(replica, make_program(f"b{sequence}", sequence), 20, runs=True)
    # 5 tokens a block: 50 tokens, two running with 200: 6 steps of 8 and 2 tokens
    waste = 1.1 * 21 * 8 + 0.08 * 6 * 200 + 0.02 * 202
    policy, outlook = InferCept(step_s=1.0, token_s=0.01, chunk=10), make_outlook(block_tokens=5)
    pause = make_pause(program, ended_at=3.0)
    assert hold_s(policy, replica, pause, outlook) == pytest.approx(waste / 50)


def test_nothing_is_kept_of_what_nothing_goes_on_from() -> None:
    replica = make_replica()
    program = place(replica, make_program("a"), 10)
    assert hold_s(InferCept(), replica, make_pause(program, is_last=True)) == 0.0


def test_a_step_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        InferCept(step_s=math.inf)
    with pytest.raises(ValueError, match="finite"):
        InferCept(token_s=math.inf)
