"""The shadow of a replica's cache."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentrt.ir.prefix import Chain, Run
from agentrt.scheduler.radix import RadixCache, Reference
from agentrt.scheduler.shadow import MARGIN, Shadow
from agentrt.scheduler.state import PlacedContext, Program


def chain(name: int, blocks: int = 10) -> Chain:
    return (Run(name << 16, blocks),)


A, B, C = chain(1), chain(2), chain(3)


def _context(prefix: Chain) -> PlacedContext:
    program = Program(f"p{prefix[0].first}", sequence=1, arrived_at=0.0)
    return PlacedContext(program, prefix, RadixCache(0).acquire(prefix))


def _make_room(shadow: Shadow, prefix: Chain) -> None:
    shadow.end(shadow.send(prefix), prefix)


def test_it_holds_a_little_less_than_the_replica_does() -> None:
    shadow = Shadow(100)
    shadow.end(shadow.send(A), chain(1, 100))
    assert shadow.cached_blocks(chain(1, 100)) == 96
    assert MARGIN == 0.04


def test_it_has_the_prompts_of_calls_at_work_and_what_they_answered() -> None:
    shadow = Shadow(100)
    reference = shadow.send(A)
    assert shadow.cached_blocks(A) == 10
    shadow.end(reference, chain(1, 15))
    assert shadow.cached_blocks(chain(1, 20)) == 15


def test_a_call_that_came_to_no_answer_leaves_its_prompt() -> None:
    shadow = Shadow(100)
    shadow.end(shadow.send(A), None)
    assert shadow.cached_blocks(chain(1, 20)) == 10


def test_what_was_used_least_recently_goes_first() -> None:
    shadow = Shadow(30)  # 28 fit
    for each in (A, B, C):
        _make_room(shadow, each)
    assert [shadow.cached_blocks(each) for each in (A, B, C)] == [8, 10, 10]
    assert shadow.to_touch() == []


def test_what_is_at_work_does_not_go() -> None:
    shadow = Shadow(30)
    shadow.send(A)
    for each in (B, C):
        _make_room(shadow, each)
    assert [shadow.cached_blocks(each) for each in (A, B, C)] == [10, 8, 10]


def test_a_held_context_gets_a_second_chance_and_is_to_be_touched() -> None:
    shadow = Shadow(30)
    _make_room(shadow, A)
    held = _context(A)
    shadow.hold(held)
    for each in (B, C):
        _make_room(shadow, each)
    assert [shadow.cached_blocks(each) for each in (A, B, C)] == [10, 8, 10]
    assert shadow.to_touch() == [held]
    assert shadow.to_touch() == []


def test_a_context_that_is_held_no_more_gets_none() -> None:
    shadow = Shadow(30)
    _make_room(shadow, A)
    held = _context(A)
    held.claim = shadow.hold(held)
    held.resume()
    for each in (B, C):
        _make_room(shadow, each)
    assert (shadow.cached_blocks(A), shadow.to_touch()) == (8, [])


def test_it_is_resized_and_what_is_too_much_goes_least_recently_used_first() -> None:
    shadow = Shadow(100)
    for each in (A, B, C):
        _make_room(shadow, each)
    shadow.resize(20)  # 19 fit
    assert [shadow.cached_blocks(each) for each in (A, B, C)] == [0, 9, 10]
    shadow.resize(100)
    _make_room(shadow, A)
    assert [shadow.cached_blocks(each) for each in (A, B, C)] == [10, 9, 10]


def test_nothing_that_calls_at_work_need_goes_when_it_shrinks() -> None:
    shadow = Shadow(100)
    shadow.send(A)
    for each in (B, C):
        _make_room(shadow, each)
    assert shadow.in_use_blocks == 10
    shadow.resize(5)
    assert [shadow.cached_blocks(each) for each in (A, B, C)] == [10, 0, 0]


def test_one_that_is_smaller_than_what_is_at_work_takes_nothing_more_and_recovers() -> None:
    shadow = Shadow(100)
    at_work = shadow.send(A)
    shadow.resize(5)
    more = shadow.send(B)
    assert [shadow.cached_blocks(each) for each in (A, B)] == [10, 0]
    shadow.end(more, B)
    shadow.end(at_work, A)
    shadow.resize(100)
    for each in (B, C):
        _make_room(shadow, each)
    assert [shadow.cached_blocks(each) for each in (B, C)] == [10, 10]
    assert shadow.in_use_blocks == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "end", "resize", "hold"]),
            st.integers(1, 6),
            st.integers(0, 60),
        ),
        max_size=40,
    )
)
def test_whatever_its_size_becomes_it_loses_nothing_that_is_at_work(
    moves: list[tuple[str, int, int]],
) -> None:
    shadow = Shadow(60)
    at_work: list[tuple[Reference, Chain, int]] = []
    for move, name, size in moves:
        prompt = chain(name, max(size, 1))
        if move == "send":
            at_work.append((reference := shadow.send(prompt), prompt, reference.blocks))
        elif move == "end" and at_work:
            reference, ended, _ = at_work.pop(size % len(at_work))
            shadow.end(reference, ended if size % 2 else None)
        elif move == "resize":
            shadow.resize(size)
        elif move == "hold":
            shadow.hold(_context(prompt))
        shadow.to_touch()
        needed = {
            run.first + i for _, used, blocks in at_work for run in used for i in range(blocks)
        }
        assert shadow.in_use_blocks == len(needed)
        assert all(shadow.cached_blocks(used) >= blocks for _, used, blocks in at_work)


def test_a_replica_without_room_has_nothing() -> None:
    shadow = Shadow(0)
    shadow.end(shadow.send(A), A)
    assert shadow.cached_blocks(A) == 0
