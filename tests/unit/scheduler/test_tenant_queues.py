"""Waiting calls of several tenants: the least served tenant's first."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.scheduler.state import Call, Program
from agentrt.scheduler.tenants import TenantQueues
from agentrt.scheduler.waiting import WaitingCalls


class Loaded:
    """Tenants that always have more calls than can go."""

    def __init__(self, weights: dict[str, float] | None = None) -> None:
        self.queues = TenantQueues(weights or {})
        self._numbers = count(1)
        self._waiting: Counter[str] = Counter()

    def program(self, tenant: str) -> Program:
        number = next(self._numbers)
        program = Program(f"p{number}", sequence=number, arrived_at=0.0, tenant=tenant)
        self.queues.arrive(program)
        return program

    def call(self, program: Program, rank: float = 0.0) -> Call:
        call = Call(f"c{next(self._numbers)}", program, (), 0, 0.0)
        self.queues.add(call, rank)
        return call

    def serve_first(self, seconds: float = 1.0) -> str:
        """Send the first call, and have a next one of its program wait."""
        call = self.queues.first()
        assert call is not None
        self.queues.remove(call)
        self.queues.serve(call.program, seconds)
        self.call(call.program)
        return call.program.tenant


def _served(loaded: Loaded, turns: int, seconds: float = 1.0) -> Counter[str]:
    return Counter(loaded.serve_first(seconds) for _ in range(turns))


def test_the_least_served_tenant_goes_first_however_many_calls_the_others_have() -> None:
    loaded = Loaded()
    for tenant in ("many", *["many"] * 9, "few"):
        loaded.call(loaded.program(tenant))
    assert _served(loaded, 100) == {"many": 50, "few": 50}


def test_service_counts_by_weight() -> None:
    loaded = Loaded({"double": 2.0})
    for tenant in ("double", "single"):
        loaded.call(loaded.program(tenant))
    assert _served(loaded, 300) == {"double": 200, "single": 100}


def test_within_a_tenant_ranks_decide() -> None:
    loaded = Loaded()
    program = loaded.program("a")
    calls = [loaded.call(program, rank) for rank in (3.0, 1.0, 2.0)]
    assert list(loaded.queues.firsts(3)) == [calls[1], calls[2], calls[0]]
    assert loaded.queues.rank(calls[0]) == 3.0


@pytest.mark.parametrize("waiting", [1, 2, 9])
def test_a_newcomer_is_not_favoured_for_what_others_had_before_it_came(waiting: int) -> None:
    loaded = Loaded()
    for _ in range(waiting):
        loaded.call(loaded.program("old"))
    _served(loaded, 500)
    loaded.call(loaded.program("new"))
    found = _served(loaded, 20)
    assert found["old"] == pytest.approx(10, abs=1)


def test_among_several_a_newcomer_begins_where_the_least_served_is() -> None:
    loaded = Loaded()
    for tenant in ("a", "b"):
        loaded.call(loaded.program(tenant))
    _served(loaded, 500)
    loaded.call(loaded.program("new"))
    found = _served(loaded, 30)
    assert [found[tenant] for tenant in ("a", "b", "new")] == pytest.approx([10, 10, 10], abs=1)


def test_a_newcomer_is_not_punished_for_what_it_had_before_it_left() -> None:
    loaded = Loaded()
    loaded.call(loaded.program("stays"))
    guest = loaded.program("guest")
    call = loaded.call(guest)
    loaded.queues.serve(guest, 10_000.0)
    loaded.queues.remove(call)
    loaded.queues.leave(guest)
    _served(loaded, 5)
    loaded.call(loaded.program("guest"))
    assert _served(loaded, 20)["guest"] == pytest.approx(10, abs=1)


def test_who_did_not_wait_for_long_has_saved_nothing_up() -> None:
    loaded = Loaded()
    idle = loaded.program("idle")
    for tenant in ("a", "b"):
        loaded.call(loaded.program(tenant))
    _served(loaded, 500)
    loaded.call(idle)
    assert _served(loaded, 30)["idle"] == pytest.approx(10, abs=1)


def test_the_first_ones_are_shared_out_evenly_among_the_least_served() -> None:
    loaded = Loaded()
    for tenant in ("a", "b", "c"):
        program = loaded.program(tenant)
        for _ in range(5):
            loaded.call(program)
    firsts = [call.program.tenant for call in loaded.queues.firsts(4)]
    assert Counter(firsts) == {"a": 2, "b": 1, "c": 1}
    assert Counter(call.program.tenant for call in loaded.queues.firsts(2)) == {"a": 1, "b": 1}


def test_nothing_waits_where_nothing_was_added() -> None:
    loaded = Loaded()
    program = loaded.program("a")
    call = loaded.call(program)
    assert call in loaded.queues
    loaded.queues.remove(call)
    loaded.queues.remove(call)
    assert call not in loaded.queues
    assert loaded.queues.first() is None
    assert list(loaded.queues.firsts(4)) == []
    with pytest.raises(KeyError):
        loaded.queues.rank(call)


moves = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "serve", "firsts"]),
        st.integers(0, 5),
        st.integers(0, 9).map(float),
    ),
    max_size=60,
)


@given(moves)
def test_with_one_tenant_it_is_a_queue_of_waiting_calls(
    moves: list[tuple[str, int, float]],
) -> None:
    queues, plain = TenantQueues({}), WaitingCalls()
    programs = [Program(f"p{i}", sequence=i, arrived_at=0.0) for i in range(6)]
    for program in programs:
        queues.arrive(program)
    calls: list[Call] = []
    for move, index, value in moves:
        if move == "add":
            calls.append(Call(f"c{len(calls)}", programs[index], (), 0, 0.0))
            queues.add(calls[-1], value)
            plain.add(calls[-1], value)
        elif move == "remove" and calls:
            gone = calls[index % len(calls)]
            queues.remove(gone)
            plain.remove(gone.call_id)
        elif move == "serve":
            queues.serve(programs[index], value)
        assert list(queues.firsts(index)) == list(plain.firsts(index))
        assert queues.first() is plain.first()


@given(
    weights=st.lists(st.sampled_from([0.5, 1.0, 2.0, 4.0]), min_size=2, max_size=4),
    seconds=st.lists(st.floats(0.1, 5.0), min_size=50, max_size=120),
)
def test_tenants_that_always_wait_have_had_the_same_but_for_one_call_each(
    weights: list[float], seconds: list[float]
) -> None:
    names = [f"t{i}" for i in range(len(weights))]
    loaded = Loaded(dict(zip(names, weights, strict=True)))
    for name in names:
        loaded.call(loaded.program(name))
    had: Counter[str] = Counter()
    for each in seconds:
        first = loaded.queues.first()
        assert first is not None
        had[loaded.serve_first(each)] += each  # type: ignore[assignment]  # seconds, not a count
    shares = [had[name] / weight for name, weight in zip(names, weights, strict=True)]
    assert max(shares) - min(shares) <= 5.0 / min(weights) + 1e-9


def test_a_tenant_with_less_than_half_its_share_of_the_programs_is_light() -> None:
    loaded = Loaded({"heavy": 1.0, "light": 1.0})
    light = loaded.program("light")
    assert not loaded.queues.is_light(light)  # alone it has all of them
    heavy = [loaded.program("heavy") for _ in range(3)]
    assert not loaded.queues.is_light(light)  # one of four, where half would be two
    heavy.append(loaded.program("heavy"))
    assert loaded.queues.is_light(light)
    assert not loaded.queues.is_light(heavy[0])
    loaded.queues.leave(heavy.pop())
    assert not loaded.queues.is_light(light)


def test_the_share_of_the_programs_goes_by_weight() -> None:
    loaded = Loaded({"double": 2.0})
    single = loaded.program("single")
    double = [loaded.program("double") for _ in range(5)]
    assert not loaded.queues.is_light(single)  # one of six, where two would be its share
    double.append(loaded.program("double"))
    assert loaded.queues.is_light(single)


def test_who_has_had_less_is_told_between_tenants_and_not_within_one() -> None:
    loaded = Loaded()
    mine, twin, other = (loaded.program(tenant) for tenant in ("a", "a", "b"))
    loaded.queues.serve(other, 1.0)
    assert loaded.queues.is_less_served(mine, other)
    assert not loaded.queues.is_less_served(other, mine)
    loaded.queues.serve(mine, 1.0)
    assert not loaded.queues.is_less_served(mine, other)
    assert not loaded.queues.is_less_served(mine, twin)


def test_it_is_single_while_the_programs_of_one_tenant_live() -> None:
    loaded = Loaded()
    states = [loaded.queues.is_single]
    loaded.program("a")
    states.append(loaded.queues.is_single)
    guest = loaded.program("b")
    states.append(loaded.queues.is_single)
    loaded.queues.leave(guest)
    states.append(loaded.queues.is_single)
    assert states == [True, True, False, True]
