from __future__ import annotations

import asyncio

import pytest

from agentrt.backends.limits import RateLimiter, RateLimits, estimated_tokens
from agentrt.errors import RateLimited
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Message, Request, ToolCall


async def admitted_within(limiter: RateLimiter, tokens: int, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await limiter.admit(tokens)
    except TimeoutError:
        return False
    return True


async def test_requests_beyond_the_limit_wait() -> None:
    limiter = RateLimiter(RateLimits(requests_per_minute=3), period_s=60)

    assert [await admitted_within(limiter, 10**6, 0.05) for _ in range(4)] == [True] * 3 + [False]


async def test_a_window_that_has_passed_counts_no_more() -> None:
    limiter = RateLimiter(RateLimits(requests_per_minute=2), period_s=0.05)

    assert [await admitted_within(limiter, 0, 5) for _ in range(5)] == [True] * 5


async def test_tokens_are_counted_by_weight() -> None:
    limiter = RateLimiter(RateLimits(tokens_per_minute=100_000), period_s=60)

    assert await admitted_within(limiter, 60_000, 5)
    assert await admitted_within(limiter, 40_000, 5)
    assert not await admitted_within(limiter, 1_000, 0.05)


async def test_small_limits_are_exact() -> None:
    limiter = RateLimiter(RateLimits(tokens_per_minute=10), period_s=60)

    assert await admitted_within(limiter, 7, 5)
    assert await admitted_within(limiter, 3, 5)
    assert not await admitted_within(limiter, 1, 0.05)


async def test_what_can_never_fit_is_refused_for_good() -> None:
    limiter = RateLimiter(RateLimits(tokens_per_minute=1000))

    with pytest.raises(RateLimited, match="about 1001 tokens can never fit") as caught:
        await limiter.admit(1001)
    assert not caught.value.retryable
    await limiter.admit(1000)


async def test_a_waiting_request_can_be_cancelled_and_the_next_one_goes_on() -> None:
    limiter = RateLimiter(RateLimits(requests_per_minute=1), period_s=0.2)
    await limiter.admit(0)
    waiting = [asyncio.create_task(limiter.admit(0)) for _ in range(2)]
    await asyncio.sleep(0.02)
    waiting[0].cancel()
    async with asyncio.timeout(5):
        await waiting[1]
    assert waiting[0].cancelled()


async def test_the_first_to_come_is_the_first_to_go() -> None:
    limiter = RateLimiter(RateLimits(tokens_per_minute=10), period_s=0.1)
    order: list[str] = []

    async def admit(name: str, tokens: int) -> None:
        await limiter.admit(tokens)
        order.append(name)

    await limiter.admit(5)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(admit("large", 10))
        tasks.create_task(admit("small", 1))
    assert order == ["large", "small"]


@pytest.mark.parametrize(
    "limits", [RateLimits(requests_per_minute=0), RateLimits(tokens_per_minute=-5)]
)
def test_a_limit_of_nothing_is_an_error(limits: RateLimits) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RateLimiter(limits)


def test_an_estimate_counts_prompt_and_answer() -> None:
    request = Request(
        messages=(
            Message("user", "x" * 400),
            Message("assistant", "", (ToolCall("a", "b", "y" * 40),)),
        ),
        options=LLMOptions(max_tokens=50),
    )
    assert estimated_tokens(request) == 160
