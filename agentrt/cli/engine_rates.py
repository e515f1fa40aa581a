"""How fast an idle engine is: two short requests, timed."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from agentrt.cli.one_at_a_time import EngineRates
from agentrt.clock import Clock
from agentrt.errors import AgentRTError
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Completion, Message, Request

if TYPE_CHECKING:
    from agentrt.backends.base import Backend

_LONGEST_S = 2.0
# Four tokens each in models that spell numbers out: enough to time, soon done on two cores.
_NUMBERS = 50
_DECODED_TOKENS = 48


async def measure_rates(backend: Backend, clock: Clock) -> EngineRates | None:
    """The engine's rates with nothing else running; None when 2 s are not enough, or it fails."""
    try:
        async with asyncio.timeout(_LONGEST_S):
            prefill_s, prefill = await _timed(backend, clock, numbers=_NUMBERS, max_tokens=1)
            decode_s, decode = await _timed(backend, clock, numbers=1, max_tokens=_DECODED_TOKENS)
    except (TimeoutError, AgentRTError):
        return None
    prefilled = prefill.usage.prompt_tokens - prefill.usage.cached_tokens
    decoded = decode.usage.completion_tokens
    if prefilled <= 0 or decoded <= 1 or prefill_s <= 0 or decode_s <= 0:
        return None
    rate = prefilled / prefill_s
    uncached = decode.usage.prompt_tokens - decode.usage.cached_tokens
    pure_decode_s = decode_s - uncached / rate
    return EngineRates(rate, decoded / pure_decode_s) if pure_decode_s > 0 else None


async def _timed(
    backend: Backend, clock: Clock, *, numbers: int, max_tokens: int
) -> tuple[float, Completion]:
    """A request no prefix cache can answer: its numbers are drawn anew each time."""
    dice = random.SystemRandom()
    text = " ".join(f"{dice.randrange(100, 1000)}" for _ in range(numbers))
    request = Request(
        messages=(Message("user", f"{text} Count from one to a hundred."),),
        options=LLMOptions(max_tokens=max_tokens, temperature=0.0, retries=0),
        program_id="agentrt-rates",
    )
    began = clock.now()
    completion = await backend.complete(request)
    return clock.now() - began, completion
