"""Which contexts between calls are kept, and which goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentrt.ir.prefix import Run
from agentrt.scheduler.holds import Holds
from agentrt.scheduler.radix import RadixCache
from agentrt.scheduler.state import PlacedContext, Program


def _contexts(count: int) -> list[PlacedContext]:
    program, chain = Program("p", sequence=1, arrived_at=0.0), (Run(0, 5),)
    return [PlacedContext(program, chain, RadixCache(0).acquire(chain)) for _ in range(count)]


def test_the_context_whose_hold_ends_first_goes_first_if_it_has_ended() -> None:
    holds = Holds()
    late, early, middle = _contexts(3)
    for context, until in ((late, 9.0), (early, 1.0), (middle, 4.0)):
        holds.add(context, until)
    assert [holds.pop(4.0), holds.pop(4.0), holds.pop(4.0)] == [early, middle, None]
    assert [holds.pop(9.0), holds.pop(1e9)] == [late, None]


def test_of_holds_that_end_together_the_first_made_goes_first() -> None:
    holds = Holds()
    contexts = _contexts(5)
    for context in contexts:
        holds.add(context, 2.0)
    assert [holds.pop(2.0) for _ in contexts] == contexts


def test_the_newest_end_counts_whether_it_is_earlier_or_later() -> None:
    holds = Holds()
    longer, shorter = _contexts(2)
    holds.add(longer, 1.0)
    holds.add(shorter, 50.0)
    holds.add(longer, 20.0)
    holds.add(shorter, 2.0)
    assert holds.pop(1.5) is None
    assert [holds.pop(100.0), holds.pop(100.0), holds.pop(100.0)] == [shorter, longer, None]


def test_a_context_that_a_call_has_come_for_is_held_no_more() -> None:
    holds = Holds()
    (context,) = _contexts(1)
    holds.add(context, 1.0)
    context.resume()
    assert holds.next_end_at(0.0) is None
    assert holds.pop(5.0) is None


def test_a_context_that_is_not_counted_any_more_is_not_held() -> None:
    holds = Holds()
    (context,) = _contexts(1)
    holds.add(context, 1.0)
    context.is_counted = False
    assert holds.pop(5.0) is None


def test_what_is_spared_stays_held_and_the_next_goes() -> None:
    holds = Holds()
    spared, other = _contexts(2)
    holds.add(spared, 1.0)
    holds.add(other, 2.0)

    def is_spared(context: PlacedContext) -> bool:
        return context is spared

    assert holds.pop(5.0, is_spared) is other
    assert holds.pop(5.0, is_spared) is None
    assert holds.next_end_at(0.0) == 1.0
    assert holds.pop(5.0) is spared


def test_the_next_end_is_the_first_that_is_still_to_come() -> None:
    holds = Holds()
    for context, until in zip(_contexts(3), (1.0, 3.0, 2.0), strict=True):
        holds.add(context, until)
    assert holds.next_end_at(0.5) == 1.0
    assert holds.next_end_at(1.0) == 2.0
    assert holds.next_end_at(3.0) is None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.one_of(st.none(), st.integers(0, 20).map(float)),
        ),
        max_size=40,
    ),
    st.integers(0, 20).map(float),
)
def test_whatever_was_said_before_each_is_popped_once_by_its_newest_end(
    said: list[tuple[int, float | None]], until: float
) -> None:
    holds, contexts = Holds(), _contexts(5)
    ends: dict[int, tuple[float, int]] = {}
    for turn, (index, end) in enumerate(said):
        if end is None:
            contexts[index].resume()
            ends.pop(index, None)
        else:
            holds.add(contexts[index], end)
            ends[index] = (end, turn)
    popped: list[int] = []
    while (context := holds.pop(until)) is not None:
        popped.append(contexts.index(context))
        context.resume()
    due = [index for index in sorted(ends, key=ends.__getitem__) if ends[index][0] <= until]
    assert [ends[index][0] for index in popped] == [ends[index][0] for index in due]
    assert sorted(popped) == sorted(due)


def test_what_no_longer_stands_is_forgotten_behind_one_that_is_held_for_ever() -> None:
    holds = Holds()
    kept, held_anew = _contexts(2)
    holds.add(kept, 5.0)
    for number in range(10_000):
        holds.add(held_anew, 10.0 + number)
    assert len(holds) < 200
    assert [holds.pop(1e9), holds.pop(1e9), holds.pop(1e9)] == [kept, held_anew, None]
