"""Rate limits of our own: requests and tokens per minute, as providers count them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from asyncio_throttle.throttler import Throttler

from agentrt.errors import RateLimited
from agentrt.ir.request import Request

_MAX_UNITS = 1000
_POLL_INTERVAL_S = 0.02
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """Limits over any window of a minute; None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class RateLimiter:
    """Waits until a request may be sent. First come, first served.

    asyncio-throttle counts calls, not weights, and every waiter polls. So tokens are taken in units
    of a thousandth of the limit, and a lock lets one waiter poll while the others queue behind it.
    A window can be used up at once; then requests wait until it has passed. A request cancelled
    while it waits may have taken units: they count as used, so the limit holds.
    """

    def __init__(self, limits: RateLimits, *, period_s: float = 60.0) -> None:
        """`period_s` is what the limits call a minute."""
        self._limits = limits
        self._order = asyncio.Lock()
        self._requests = _throttler(limits.requests_per_minute, period_s)
        self._unit = max(1, (limits.tokens_per_minute or 0) // _MAX_UNITS)
        self._tokens = _throttler(
            limits.tokens_per_minute and limits.tokens_per_minute // self._unit, period_s
        )

    async def admit(self, tokens: int) -> None:
        """Return when a request of `tokens` (prompt and answer) fits the limits.

        Raises:
            RateLimited: it never will; not retryable.
        """
        per_minute = self._limits.tokens_per_minute
        if per_minute is not None and tokens > per_minute:
            raise RateLimited(
                f"a request of about {tokens} tokens can never fit the limit of {per_minute} "
                "tokens per minute set for this backend",
                retryable=False,
            )
        async with self._order:
            if self._requests is not None:
                await self._requests.acquire()  # type: ignore[no-untyped-call]  # the library has no annotations
            if self._tokens is not None:
                for _ in range(min(-(-tokens // self._unit), self._tokens.rate_limit)):
                    await self._tokens.acquire()  # type: ignore[no-untyped-call]  # the library has no annotations


def estimated_tokens(request: Request) -> int:
    """What a provider will count: the prompt at four characters a token, and `max_tokens`."""
    characters = sum(
        len(message.content) + sum(len(call.arguments) for call in message.tool_calls)
        for message in request.messages
    )
    return characters // _CHARACTERS_PER_TOKEN + (request.options.max_tokens or 0)


def _throttler(rate_limit: int | None, period_s: float) -> Throttler | None:
    if rate_limit is None:
        return None
    if rate_limit < 1:
        raise ValueError("a rate limit is at least 1")
    return Throttler(rate_limit, period=period_s, retry_interval=min(_POLL_INTERVAL_S, period_s))
