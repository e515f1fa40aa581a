"""`Tenants`: who calls, by their key, and what they may still have."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from agentrt.clock import Clock, SystemClock
from agentrt.errors import RateLimited, RequestRejected
from agentrt.gateway.budgets import Budgets, until_anew_s
from agentrt.gateway.keys import hash_of, key_in
from agentrt.gateway.rates import Second, Window
from agentrt.gateway.settings import TenantSettings
from agentrt.gateway.turns import Caller
from agentrt.ir.request import Usage

_UNAUTHORIZED = 401
_TOO_LONG = 413
_TOO_MANY = 429
_SOON_S = 1.0
"""When to come again where nobody knows: somebody's answer has to end first."""


class Tenants:
    """All that are configured; none: anybody may call, as nobody in particular, without limits."""

    def __init__(
        self,
        tenants: Sequence[TenantSettings] = (),
        *,
        budgets: Budgets | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.budgets = budgets or Budgets()
        clock = clock or SystemClock()
        self._by_name = {
            settings.name: _Tenant(settings, self.budgets, clock) for settings in tenants
        }
        self._by_hash = {
            hashed: self._by_name[settings.name] for settings in tenants for hashed in settings.keys
        }

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Whose key a request came with; `headers` by their names in lower case.

        Raises:
            RequestRejected: it came with none, or with one that nobody has.
        """
        if not self._by_name:
            return Caller()
        key = key_in(headers)
        if key is None:
            raise RequestRejected(
                "You didn't provide an API key: send it as Authorization: Bearer KEY",
                status=_UNAUTHORIZED,
            )
        tenant = self._by_hash.get(hash_of(key))
        if tenant is None:
            raise RequestRejected(
                "Incorrect API key provided: whoever runs this gateway hands them out",
                status=_UNAUTHORIZED,
            )
        return Caller(tenant=tenant.settings.name, deadline_s=tenant.settings.deadline_s)

    @asynccontextmanager
    async def admitted(self, caller: Caller, prompt_tokens: int) -> AsyncGenerator[Spent]:
        """Inside the block a request is under way; it is told what the answer has used.

        Args:
            caller: From `authenticate`.
            prompt_tokens: About how long the prompt is, until the answer tells.

        Raises:
            RateLimited: not now, `retry_after_s` says when; not retryable where a budget is used up.
            RequestRejected: never: the prompt is longer than the tokens of a minute.
        """
        tenant = self._by_name.get(caller.tenant)
        if tenant is None:
            yield Spent()
            return
        async with tenant.admitted(prompt_tokens) as spent:
            yield spent


class Spent:
    """What a request has used, once that is known."""

    __slots__ = ("usage",)

    def __init__(self) -> None:
        self.usage: Usage | None = None

    def tell(self, usage: Usage) -> None:
        """The answer is there, and says what it took."""
        self.usage = usage


class _Tenant:
    def __init__(self, settings: TenantSettings, budgets: Budgets, clock: Clock) -> None:
        self.settings = settings
        self._budgets = budgets
        self._clock = clock
        self._requests = _window(settings.requests_per_minute)
        self._tokens = _window(settings.tokens_per_minute)
        self._places = (
            None if settings.max_concurrent is None else asyncio.Semaphore(settings.max_concurrent)
        )
        self._waiting = 0
        self._reserved = 0

    @asynccontextmanager
    async def admitted(self, prompt_tokens: int) -> AsyncGenerator[Spent]:
        self._check_budget()
        self._check_rates(prompt_tokens)
        self._check_places()
        second = self._count(prompt_tokens)
        spent = Spent()
        is_worked_on = False
        try:
            async with self._place():
                is_worked_on = True
                yield spent
        except Exception:
            is_worked_on = False  # no answer, and nobody who asked for none
            raise
        finally:
            # A client that hangs up early leaves an engine that has worked: it is not for free.
            if spent.usage is None and is_worked_on:
                spent.tell(Usage(prompt_tokens=prompt_tokens))
            self._settle(prompt_tokens, second, spent.usage or Usage())

    def _check_budget(self) -> None:
        budget, period = self.settings.budget_tokens, self.settings.budget_period
        if budget is None:
            return
        wall_time = self._clock.wall_time()
        used = self._budgets.used_tokens(self.settings.name, period, wall_time)
        if used + self._reserved < budget:
            return
        if used < budget:  # what is under way may use up the rest, or not
            raise self._refused("the rest of the budget is in use", _SOON_S)
        raise RateLimited(  # not retryable: OpenAI's `insufficient_quota`
            f"You exceeded your current quota: {budget} tokens a {period} are used up",
            retry_after_s=until_anew_s(period, wall_time),
            retryable=False,
            status=_TOO_MANY,
        )

    def _check_rates(self, prompt_tokens: int) -> None:
        now = self._clock.now()
        for window, amount, what in (
            (self._requests, 1, "requests"),
            (self._tokens, prompt_tokens, "tokens"),
        ):
            wait_s = window.wait_s(amount, now) if window is not None else 0.0
            if window is None or wait_s == 0:
                continue
            if math.isinf(wait_s):
                raise RequestRejected(
                    f"a prompt of about {amount} tokens never fits the limit of {window.limit} "
                    "tokens per minute",
                    status=_TOO_LONG,
                )
            raise self._refused(f"the limit of {window.limit} {what} per minute is reached", wait_s)

    def _check_places(self) -> None:
        places = self._places
        if places is not None and places.locked() and self._waiting >= self.settings.max_waiting:
            raise self._refused(
                f"{self.settings.max_concurrent} requests are under way and {self._waiting} wait",
                _SOON_S,
            )

    def _refused(self, why: str, retry_after_s: float) -> RateLimited:
        return RateLimited(
            f"Rate limit reached for {self.settings.name}: {why}",
            retry_after_s=retry_after_s,
            status=_TOO_MANY,
        )

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None]:
        if self._places is None:
            yield
            return
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    def _count(self, prompt_tokens: int) -> Second:
        now = self._clock.now()
        if self._requests is not None:
            self._requests.add(1, now)
        self._reserved += prompt_tokens
        return Second(0) if self._tokens is None else self._tokens.add(prompt_tokens, now)

    def _settle(self, reserved: int, second: Second, usage: Usage) -> None:
        """What was counted for the prompt gives way to what was used."""
        self._reserved -= reserved
        used = usage.prompt_tokens + usage.completion_tokens
        if self._tokens is not None:
            self._tokens.take_back(reserved, second)
            self._tokens.add(used, self._clock.now())
        if self.settings.budget_tokens is not None and used:
            wall_time = self._clock.wall_time()
            self._budgets.add(self.settings.name, self.settings.budget_period, used, wall_time)


def _window(limit: int | None) -> Window | None:
    return None if limit is None else Window(limit)
