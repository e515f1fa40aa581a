import asyncio
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.clock import VirtualClock
from agentrt.errors import BackendUnavailable, RateLimited, RequestRejected
from agentrt.gateway.budgets import Budgets, until_anew_s
from agentrt.gateway.keys import hash_of, new_key
from agentrt.gateway.rates import Window
from agentrt.gateway.settings import TenantSettings
from agentrt.gateway.tenants import Tenants
from agentrt.gateway.turns import Caller
from agentrt.ir.request import Usage
from agentrt.ir.schema import Json

ACME = Caller(tenant="acme")
DAY_S = 86_400.0


class Clock(VirtualClock):
    """Stands still unless it is told."""


async def spend(
    tenants: Tenants, prompt: int = 10, usage: Usage | None = None, caller: Caller = ACME
) -> None:
    async with tenants.admitted(caller, prompt) as spent:
        if usage is not None:
            spent.tell(usage)


async def refusals(tenants: Tenants, times: int, prompt: int = 10) -> list[RateLimited]:
    found: list[RateLimited] = []
    for _ in range(times):
        try:
            await spend(tenants, prompt)
        except RateLimited as error:
            found.append(error)
    return found


# -- who calls -------------------------------------------------------------------------------------


def test_a_key_tells_its_tenant_and_what_holds_for_it() -> None:
    old, new, other = new_key(), new_key(), new_key()
    tenants = Tenants(
        [
            TenantSettings(name="acme", keys=(hash_of(old), hash_of(new)), deadline_s=5.0),
            TenantSettings(name="zeta", keys=(hash_of(other),)),
        ]
    )
    for key in (old, new):
        caller = tenants.authenticate({"authorization": f"Bearer {key}"})
        assert caller == Caller(tenant="acme", deadline_s=5.0)
    assert tenants.authenticate({"x-api-key": other}) == Caller(tenant="zeta")


@pytest.mark.parametrize("key", [None, "agentrt-wrong", "", "\ud800", "x" * 100_000])
def test_an_unknown_key_and_none_are_refused_and_the_key_is_not_shown(key: str | None) -> None:
    tenants = Tenants([TenantSettings(name="acme", keys=(hash_of(new_key()),))])
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    with pytest.raises(RequestRejected) as caught:
        tenants.authenticate(headers)
    assert caught.value.status == 401
    assert not key or key not in repr(caught.value)


def test_a_hash_is_no_key() -> None:
    hashed = hash_of(new_key())
    with pytest.raises(RequestRejected):
        Tenants([TenantSettings(name="acme", keys=(hashed,))]).authenticate({"x-api-key": hashed})


async def test_without_tenants_anybody_calls_without_limits() -> None:
    tenants = Tenants()
    assert tenants.authenticate({"authorization": "Bearer sk-whatever"}) == Caller()
    assert await refusals(tenants, 1000) == []


# -- rates -----------------------------------------------------------------------------------------


async def test_requests_over_the_rate_are_refused_until_the_first_is_a_minute_old() -> None:
    clock = Clock()
    tenants = Tenants([TenantSettings(name="acme", requests_per_minute=3)], clock=clock)
    assert [error.retry_after_s for error in await refusals(tenants, 5)] == [61.0, 61.0]
    clock.advance(61.0)
    assert len(await refusals(tenants, 4)) == 1


async def test_a_refused_request_does_not_count() -> None:
    clock = Clock()
    tenants = Tenants([TenantSettings(name="acme", requests_per_minute=1)], clock=clock)
    assert len(await refusals(tenants, 100)) == 99
    clock.advance(61.0)
    assert await refusals(tenants, 1) == []


async def test_tokens_count_as_the_answer_says_and_a_prompt_that_never_fits_is_told_so() -> None:
    clock = Clock()
    tenants = Tenants([TenantSettings(name="acme", tokens_per_minute=100)], clock=clock)
    await spend(tenants, 90, Usage(prompt_tokens=40, completion_tokens=10))
    await spend(tenants, 50, Usage(prompt_tokens=50))
    (soon,) = await refusals(tenants, 1, prompt=1)
    assert (soon.retry_after_s, soon.retryable, soon.status) == (61.0, True, 429)
    with pytest.raises(RequestRejected, match="about 101 tokens never fits") as never:
        await spend(tenants, 101)
    assert never.value.status == 413


async def test_tenants_do_not_share_their_limits() -> None:
    tenants = Tenants(
        [
            TenantSettings(name="acme", requests_per_minute=1),
            TenantSettings(name="zeta", requests_per_minute=1),
        ]
    )
    assert len(await refusals(tenants, 2)) == 1
    await spend(tenants, caller=Caller(tenant="zeta"))


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 25)), max_size=50),
)
def test_no_minute_has_more_than_the_limit(limit: int, asked: list[tuple[float, int]]) -> None:
    window, now = Window(limit), 0.0
    admitted: list[tuple[float, int]] = []
    for gap, amount in asked:
        now += gap
        wait_s = window.wait_s(amount, now)
        assert math.isinf(wait_s) == (amount > limit)
        if wait_s == 0:
            window.add(amount, now)
            admitted.append((now, amount))
        elif not math.isinf(wait_s):
            assert window.wait_s(amount, now + wait_s + 1e-6) == 0
            now += wait_s + 1e-6
    for start, _ in admitted:
        assert sum(amount for at, amount in admitted if start <= at < start + 60) <= limit


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 9)), max_size=30))
def test_what_is_taken_back_is_as_if_it_had_never_been(steps: list[tuple[float, int]]) -> None:
    window, now = Window(10), 0.0
    counted = []
    for gap, amount in steps:
        now += gap
        counted.append((amount, window.add(amount, now)))
    for amount, second in counted:
        window.take_back(amount, second)
    assert window.wait_s(10, now) == 0


# -- budgets ---------------------------------------------------------------------------------------


async def test_a_budget_ends_and_begins_anew_at_midnight() -> None:
    clock = Clock(start_s=10 * DAY_S + 3600)
    settings = TenantSettings(name="acme", budget_tokens=100, budget_period="day")
    tenants = Tenants([settings], clock=clock)
    await spend(tenants, 10, Usage(prompt_tokens=50, completion_tokens=60))
    (refused,) = await refusals(tenants, 1)
    assert (refused.retry_after_s, refused.retryable) == (23 * 3600.0, False)
    clock.advance(23 * 3600)
    assert await refusals(tenants, 1) == []


async def test_what_was_used_holds_after_a_restart() -> None:
    clock = Clock(start_s=DAY_S)
    settings = TenantSettings(name="acme", budget_tokens=100)
    before = Tenants([settings], clock=clock)
    await spend(before, 10, Usage(prompt_tokens=100))
    budgets = Budgets()
    budgets.restore(before.budgets.used())
    after = Tenants([settings], budgets=budgets, clock=clock)
    assert len(await refusals(after, 1)) == 1
    assert before.budgets.used() == {"acme@1970-01": 100}


@pytest.mark.parametrize("used", [None, [], "x", {"a": "1"}, {"a": -1}, {"a": True}, {"a": 1.5}])
def test_what_is_no_record_of_use_is_refused_and_changes_nothing(used: Json) -> None:
    budgets = Budgets()
    budgets.add("acme", "month", 5, 0.0)
    with pytest.raises(ValueError, match="used"):
        budgets.restore(used)
    assert budgets.used() == {"acme@1970-01": 5}


def test_a_month_lasts_until_its_end() -> None:
    december = 1_798_675_200.0  # 2026-12-31
    assert until_anew_s("month", december) == DAY_S
    assert until_anew_s("day", december + 1) == DAY_S - 1


def test_of_a_tenant_no_more_than_three_periods_are_kept() -> None:
    budgets = Budgets()
    for day in range(400):
        budgets.add("acme", "day", 1, day * DAY_S)
        budgets.add("zeta", "month", 1, day * DAY_S)
    assert budgets.used() == {
        "acme@1971-02-02": 1,
        "acme@1971-02-03": 1,
        "acme@1971-02-04": 1,
        "zeta@1970-12": 31,
        "zeta@1971-01": 31,
        "zeta@1971-02": 4,
    }


async def test_an_answer_that_fails_costs_nothing_and_one_that_is_hung_up_on_its_prompt() -> None:
    tenants = Tenants([TenantSettings(name="acme", budget_tokens=100)], clock=Clock())

    async def fail(error: BaseException) -> None:
        async with tenants.admitted(ACME, 30):
            raise error

    with pytest.raises(BackendUnavailable):
        await fail(BackendUnavailable("gone"))
    assert tenants.budgets.used() == {}
    with pytest.raises(asyncio.CancelledError):
        await fail(asyncio.CancelledError())
    assert tenants.budgets.used() == {"acme@1970-01": 30}


async def test_what_is_under_way_counts_against_the_budget() -> None:
    tenants = Tenants([TenantSettings(name="acme", budget_tokens=100)], clock=Clock())
    async with AsyncExitStack() as under_way:
        for _ in range(10):
            await under_way.enter_async_context(tenants.admitted(ACME, 10))
        (refused,) = await refusals(tenants, 1)
        assert (refused.retry_after_s, refused.retryable) == (1.0, True)  # used up, or not


# -- at once ---------------------------------------------------------------------------------------


async def at_once(tenants: Tenants, count: int) -> tuple[int, int]:
    """How many of `count` requests were under way together at most, and how many were refused."""
    running, most, refused = 0, 0, 0

    async def one() -> None:
        nonlocal running, most, refused
        try:
            async with tenants.admitted(ACME, 1):
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.001)
                running -= 1
        except RateLimited:
            refused += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(one())
    return most, refused


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (TenantSettings(name="acme"), (500, 0)),
        (TenantSettings(name="acme", max_concurrent=7, max_waiting=1000), (7, 0)),
        (TenantSettings(name="acme", max_concurrent=7, max_waiting=100), (7, 393)),
        (TenantSettings(name="acme", max_concurrent=1, max_waiting=0), (1, 499)),
        (TenantSettings(name="acme", requests_per_minute=20), (20, 480)),
        (TenantSettings(name="acme", budget_tokens=30), (30, 470)),
    ],
)
async def test_limits_hold_for_requests_that_come_all_at_once(
    settings: TenantSettings, found: tuple[int, int]
) -> None:
    assert await at_once(Tenants([settings]), 500) == found


async def test_requests_that_are_given_up_leave_their_places_and_cost_nothing() -> None:
    settings = TenantSettings(name="acme", max_concurrent=1, max_waiting=5, budget_tokens=100)
    tenants = Tenants([settings])
    async with tenants.admitted(ACME, 1) as spent:
        waiting = [asyncio.create_task(spend(tenants)) for _ in range(5)]
        await asyncio.sleep(0)
        assert len(await refusals(tenants, 1)) == 1
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        spent.tell(Usage(prompt_tokens=1))
    assert list(tenants.budgets.used().values()) == [1]
    assert await at_once(tenants, 6) == (1, 0)


def test_nothing_that_people_read_has_a_key_in_it() -> None:
    key = new_key()
    settings: Sequence[TenantSettings] = [TenantSettings(name="acme", keys=(hash_of(key),))]
    tenants = Tenants(settings)
    shown = repr((settings, tenants, tenants.authenticate({"x-api-key": key}), vars(tenants)))
    assert key not in shown
