"""Programs dealt out to tenants, and when they are due."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.errors import InputError
from agentrt.ir.workload import ProgramTrace, Workload
from agentrt.simulator import workloads


def made(count: int) -> Workload:
    programs = tuple(ProgramTrace(program_id=str(at), steps=()) for at in range(count))
    return Workload(name="made", block_tokens=16, programs=programs)


def counts(workload: Workload) -> dict[str, int]:
    return dict(Counter(program.tenant for program in workload.programs))


@pytest.mark.parametrize(
    ("programs", "shares", "expected"),
    [
        (10, {"a": 1.0, "b": 4.0}, {"a": 2, "b": 8}),
        (10, {"a": 1.0, "b": 1000.0}, {"a": 1, "b": 9}),
        (3, {"a": 1.0, "b": 1.0, "c": 1e9}, {"a": 1, "b": 1, "c": 1}),
        (5, {"a": 1.0, "b": 1.0}, {"a": 3, "b": 2}),
        (7, {"a": 0.001}, {"a": 7}),
    ],
)
def test_shares_are_met_as_nearly_as_whole_programs_can(
    programs: int, shares: dict[str, float], expected: dict[str, int]
) -> None:
    assert counts(workloads.with_tenants(made(programs), shares, seed=0)) == expected


@given(
    st.dictionaries(st.text(max_size=2), st.floats(1e-6, 1e6), min_size=1, max_size=6),
    st.integers(0, 40),
)
def test_every_program_has_a_tenant_and_every_tenant_a_program(
    shares: dict[str, float], more: int
) -> None:
    programs = len(shares) + more
    found = counts(workloads.with_tenants(made(programs), shares, seed=1))
    assert sum(found.values()) == programs
    assert set(found) == set(shares)


def test_the_seed_decides_which_programs_and_not_how_many() -> None:
    shares = {"a": 1.0, "b": 3.0}
    one, two = (workloads.with_tenants(made(40), shares, seed=seed) for seed in (1, 2))
    assert one != two
    assert counts(one) == counts(two)
    assert one == workloads.with_tenants(made(40), shares, seed=1)


@pytest.mark.parametrize(
    "shares",
    [
        {},
        {"a": 0.0},
        {"a": -1.0},
        {"a": float("nan")},
        {"a": float("inf")},
        dict.fromkeys("abc", 1.0),
    ],
)
def test_shares_that_cannot_be_met_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(InputError):
        workloads.with_tenants(made(2), shares, seed=0)


def test_deadlines_are_times_what_a_program_takes_alone_by_tenant() -> None:
    shared = workloads.with_tenants(made(9), {"a": 1.0, "b": 1.0, "c": 1.0}, seed=0)

    def due(factors: dict[str, float]) -> dict[str, float | None]:
        timed = workloads.with_deadlines(shared, factors, alone_s=lambda program: 10.0)
        return {program.tenant: program.deadline_s for program in timed.programs}

    assert due({"a": 1.5}) == {"a": 15.0, "b": None, "c": None}
    assert due({"a": 1.5, "*": 4.0}) == {"a": 15.0, "b": 40.0, "c": 40.0}


@pytest.mark.parametrize("factors", [{"*": 0.0}, {"*": float("nan")}, {"nobody": 1.0}])
def test_deadlines_that_cannot_be_are_refused(factors: dict[str, float]) -> None:
    with pytest.raises(InputError):
        workloads.with_deadlines(made(2), factors, alone_s=lambda program: 1.0)
