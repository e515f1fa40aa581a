"""Contexts that give way block by block."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from agentrt.ir.prefix import Chain, Run, block_count, chained
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import PlacedContext, Program

SHARED = Run(0, 10)


def _chain(name: int, own: int, shared: int = 10) -> Chain:
    return chained([Run(0, shared), Run((name + 1) << 16, own)])


def _replica(kv_blocks: int | None = 1_000) -> Replica:
    return Replica("r0", kv_blocks)


def _place(replica: Replica, name: int, own: int, shared: int = 10) -> PlacedContext:
    program = Program(f"p{name}", sequence=name, arrived_at=0.0)
    return replica.place(program, _chain(name, own, shared))


def test_the_end_of_a_context_goes_and_what_is_left_keeps_the_place() -> None:
    replica = _replica()
    context = _place(replica, 1, 20)
    assert replica.trim(context, 5)
    assert (replica.occupied_blocks, context.chain) == (25, _chain(1, 15))
    assert context.is_counted
    assert context.program.contexts == [context]
    assert context.program.has_place


def test_a_part_of_a_block_is_a_block() -> None:
    replica = _replica()
    context = _place(replica, 1, 20)
    assert replica.trim(context, 4.2)
    assert replica.occupied_blocks == 25


def test_what_others_need_as_well_stays_with_them() -> None:
    replica = _replica()
    context, other = _place(replica, 1, 20), _place(replica, 2, 30)
    assert replica.occupied_blocks == 60
    assert not replica.trim(context, 20)  # all that it alone needs
    assert replica.occupied_blocks == 40
    assert (context.is_counted, other.is_counted) == (False, True)
    assert not context.program.has_place
    assert list(replica.placed) == ["p2"]


def test_everything_is_given_up_where_there_is_no_end_to_what_is_wanted() -> None:
    replica = _replica()
    context = _place(replica, 1, 20)
    assert not replica.trim(context, math.inf)
    assert (replica.occupied_blocks, replica.contexts) == (0, 0)


def test_of_a_program_of_two_branches_one_may_go() -> None:
    replica = _replica()
    program = Program("p", sequence=1, arrived_at=0.0)
    first = replica.place(program, _chain(1, 20))
    second = replica.place(program, _chain(2, 5))
    assert not replica.trim(first, 20)
    assert program.has_place
    assert program.contexts == [second]
    assert (replica.occupied_blocks, replica.contexts) == (15, 1)


def test_what_grows_again_is_counted_once() -> None:
    replica = _replica()
    context = _place(replica, 1, 20)
    replica.trim(context, 15)
    grown = replica.place(context.program, _chain(1, 25))
    assert replica.occupied_blocks == 35
    assert context.program.contexts == [grown]


moves = st.lists(
    st.tuples(
        st.sampled_from(["place", "trim", "trim", "drop"]),
        st.integers(0, 5),
        st.integers(1, 40),
        st.integers(1, 12),
    ),
    min_size=1,
    max_size=40,
)


@given(moves)
def test_counts_are_those_of_the_blocks_that_somebody_needs(
    moves: list[tuple[str, int, int, int]],
) -> None:
    replica = _replica()
    programs = [Program(f"p{i}", sequence=i, arrived_at=0.0) for i in range(6)]
    for move, index, size, shared in moves:
        program = programs[index]
        if move == "place":
            # Some go on with a branch, some are new; all share some of the first blocks.
            replica.place(program, _chain(index % 4 * 100 + shared, size, shared))
        elif program.contexts and move == "trim":
            context = program.contexts[size % len(program.contexts)]
            before, own = replica.occupied_blocks, context.reference.exclusive_blocks
            blocks = block_count(context.chain)
            is_left = replica.trim(context, shared)
            assert before - replica.occupied_blocks == (shared if is_left else own)
            assert not (is_left and shared >= own)
            assert context.is_counted == is_left
            if is_left:
                assert block_count(context.chain) == context.reference.blocks == blocks - shared
        elif program.contexts:
            replica.drop(program, program.contexts[0])
        chains = [context.chain for each in programs for context in each.contexts]
        needed = {run.first + i for chain in chains for run in chain for i in range(run.count)}
        assert replica.occupied_blocks == len(needed)
        assert replica.contexts == len(chains)
        assert set(replica.placed) == {p.program_id for p in programs if p.contexts}
        assert all(p.has_place == bool(p.contexts) for p in programs)
