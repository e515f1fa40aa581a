from __future__ import annotations

import pytest

from agentrt.errors import InvariantError
from agentrt.ir.prefix import Chain, Run
from agentrt.scheduler.radix import Match, RadixCache

SYSTEM = Run(0, 10)
A: Chain = (Run(0, 10), Run(100, 20))
B: Chain = (Run(0, 10), Run(200, 20))


def test_a_shared_prefix_is_counted_once() -> None:
    cache = RadixCache(100)
    assert (cache.insert(A), cache.insert(B)) == (30, 30)
    assert cache.used_blocks == 50
    with_a, with_b = cache.acquire(A), cache.acquire(B)
    assert cache.referenced_blocks == 50
    cache.release(with_a)
    assert (cache.referenced_blocks, cache.evictable_blocks) == (30, 20)
    assert cache.probe(A) == Match(cached=30, referenced=10)
    cache.release(with_b)
    assert (cache.referenced_blocks, cache.evictable_blocks) == (0, 50)


def test_the_least_recently_used_goes_first_and_its_tail_before_its_head() -> None:
    cache = RadixCache(100)
    cache.insert(A)
    cache.insert(B)
    assert cache.evict(5) == 5
    assert (cache.match(A), cache.match(B)) == (25, 30)
    cache.release(cache.acquire(A))
    assert cache.evict(21) == 21
    assert (cache.match(A), cache.match(B)) == (24, 10)


def test_to_be_released_is_to_be_used() -> None:
    cache = RadixCache(100)
    cache.insert(A)
    reference = cache.acquire(A)
    cache.insert(B)
    cache.release(reference)
    cache.evict(20)
    assert (cache.match(A), cache.match(B)) == (30, 10)


def test_what_is_inserted_makes_room_for_itself_but_not_in_what_is_referenced() -> None:
    cache = RadixCache(35)
    cache.insert(A)
    reference = cache.acquire(A)
    assert cache.insert(B) == 15
    assert (cache.used_blocks, cache.match(A), cache.match(B)) == (35, 30, 15)
    cache.release(reference)
    assert cache.insert(B) == 30
    assert (cache.used_blocks, cache.match(A), cache.match(B)) == (35, 15, 30)


def test_a_chain_longer_than_the_cache_keeps_its_head() -> None:
    cache = RadixCache(8)
    assert cache.insert(A) == 8
    assert (cache.match(A), cache.used_blocks) == (8, 8)


def test_what_the_engine_does_not_have_is_cut_off_with_all_that_continues_there() -> None:
    cache = RadixCache(100)
    cache.insert(A)
    cache.insert(B)
    assert cache.correct(A, 25) == 5
    assert cache.correct(A, 25) == 0
    assert cache.correct(B, 4) == 41
    assert (cache.match(A), cache.match(B), cache.used_blocks) == (4, 4, 4)


def test_a_reference_is_given_back_once() -> None:
    cache = RadixCache(100)
    cache.insert(A)
    reference = cache.acquire(A)
    cache.release(reference)
    with pytest.raises(InvariantError, match="released twice"):
        cache.release(reference)


def test_the_empty_chain_is_a_prefix_of_everything_and_holds_nothing() -> None:
    cache = RadixCache(0)
    reference = cache.acquire(())
    assert (cache.insert(()), cache.match(()), cache.correct((), 0)) == (
        0,
        0,
        0,
    )
    assert cache.insert(A) == 0
    cache.release(reference)
    assert cache.used_blocks == 0


def test_a_program_that_grows_turn_by_turn_is_one_node() -> None:
    cache = RadixCache(100_000)
    for turn in range(1, 501):
        reference = cache.acquire((Run(0, 3 * turn),))
        cache.insert((Run(0, 3 * turn + 3),))
        cache.release(reference)
        cache.release(cache.acquire((Run(0, 3 * turn + 3),)))
    assert cache._nodes == 1
    assert cache.used_blocks == 1503


def test_entries_of_nodes_that_are_gone_do_not_pile_up() -> None:
    cache = RadixCache(50)
    for number in range(5000):
        cache.insert((SYSTEM, Run(100 + 20 * number, 20)))
        cache.evict(20)
    assert len(cache._offered) <= 2 * cache._nodes + 66
