"""Turns at what there is not enough of: fair between runs, and by precedence within one."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.clock import VirtualClock
from agentrt.runtime.turn_taking import TurnTaking


async def _order(
    wishes: list[tuple[str, float]], *, limit: int = 1, cancelled: frozenset[int] = frozenset()
) -> list[int]:
    """In which order those get in that all come while somebody is inside."""
    taking = TurnTaking(limit)
    entered: list[int] = []
    inside = 0

    async def come(number: int, owner: str, precedence: float) -> None:
        nonlocal inside
        async with taking.turn(owner, precedence):
            inside += 1
            assert inside <= limit
            entered.append(number)
            await asyncio.sleep(1.0)
            inside -= 1

    tasks = [asyncio.create_task(come(-1, "first", 0.0)) for _ in range(limit)]
    tasks += [asyncio.create_task(come(i, *wish)) for i, wish in enumerate(wishes)]
    await asyncio.sleep(0.5)
    for number in cancelled:
        tasks[limit + number].cancel()
    await asyncio.wait(tasks)
    assert taking._free == limit
    assert not taking._line
    assert not taking._waiting
    return entered[limit:]


def test_of_one_run_what_the_most_waits_for_goes_first() -> None:
    wishes = [("a", 1.0), ("a", 3.0), ("a", 2.0), ("a", 3.0)]
    assert VirtualClock().run(_order(wishes)) == [1, 3, 2, 0]


def test_a_run_gains_nothing_over_others_by_its_precedences() -> None:
    wishes = [("a", 1.0), ("b", 100.0), ("a", 2.0), ("b", 200.0)]
    assert VirtualClock().run(_order(wishes)) == [2, 3, 0, 1]


@settings(max_examples=100)
@given(
    wishes=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3).map(float)), max_size=8),
    limit=st.integers(1, 3),
    data=st.data(),
)
def test_everybody_who_stays_gets_in_and_owners_in_the_order_they_came(
    wishes: list[tuple[str, float]], limit: int, data: st.DataObject
) -> None:
    cancelled = frozenset(
        number for number in range(len(wishes)) if data.draw(st.integers(0, 3)) == 0
    )
    entered = VirtualClock().run(_order(wishes, limit=limit, cancelled=cancelled))
    staying = [number for number in range(len(wishes)) if number not in cancelled]
    assert sorted(entered) == staying
    for owner in "abc":
        own = [number for number in entered if wishes[number][0] == owner]
        assert own == sorted(own, key=lambda number: (-wishes[number][1], number))
