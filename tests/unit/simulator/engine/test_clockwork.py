from __future__ import annotations

import math
import random

import pytest

from agentrt.simulator.clockwork import Due, EventHeap


class _Incomparable:
    __lt__ = None


def drained(heap: EventHeap[str]) -> list[Due[str]]:
    return [heap.pop() for _ in range(len(heap))]


def test_time_decides_then_the_rank_of_the_kind_then_the_order_of_pushing() -> None:
    heap = EventHeap[str]()
    for at, rank, item in [
        (2.0, 0, "later"),
        (1.0, 3, "schedule"),
        (1.0, 1, "finished, first"),
        (1.0, 1, "finished, second"),
        (0.5, 9, "earliest"),
    ]:
        heap.push(at, rank, item)
    assert drained(heap) == [
        Due(0.5, "earliest"),
        Due(1.0, "finished, first"),
        Due(1.0, "finished, second"),
        Due(1.0, "schedule"),
        Due(2.0, "later"),
    ]


def test_a_rank_decides_even_if_its_event_was_pushed_last() -> None:
    heap = EventHeap[str]()
    heap.push(1.0, 5, "pushed first")
    heap.push(1.0, 0, "pushed last")
    assert [due.item for due in drained(heap)] == ["pushed last", "pushed first"]


def test_events_themselves_are_never_compared() -> None:
    heap = EventHeap[_Incomparable]()
    items = [_Incomparable() for _ in range(100)]
    for item in items:
        heap.push(1.0, 0, item)
    assert [heap.pop().item for _ in items] == items


def test_what_is_cancelled_does_not_happen() -> None:
    heap = EventHeap[str]()
    first, second = heap.push(1.0, 0, "first"), heap.push(2.0, 0, "second")
    assert heap.cancel(first)
    assert not heap.cancel(first)
    assert (len(heap), heap.next_at()) == (1, 2.0)
    assert heap.pop() == Due(2.0, "second")
    assert not heap.cancel(second)
    assert (len(heap), heap.next_at()) == (0, None)


def test_an_empty_heap_has_nothing_to_pop() -> None:
    heap = EventHeap[str]()
    heap.cancel(heap.push(1.0, 0, "cancelled"))
    with pytest.raises(IndexError):
        heap.pop()


def test_a_time_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="no time to put 'lost' at"):
        EventHeap[str]().push(math.nan, 0, "lost")


def test_cancelled_timers_do_not_pile_up() -> None:
    heap = EventHeap[int]()
    for number in range(10_000):
        heap.cancel(heap.push(float(number), 0, number))
    assert len(heap._entries) <= 66


def test_random_events_come_out_as_sorting_would_put_them() -> None:
    rng = random.Random(7)
    heap = EventHeap[int]()
    pushed: dict[int, tuple[float, int, int]] = {}
    for number in range(2000):
        at, rank = float(rng.randrange(50)), rng.randrange(4)
        pushed[heap.push(at, rank, number)] = (at, rank, number)
    for ticket in rng.sample(sorted(pushed), 1000):
        assert heap.cancel(ticket)
        del pushed[ticket]
    expected = [number for _, _, number in sorted(pushed.values())]
    assert [heap.pop().item for _ in range(len(heap))] == expected
