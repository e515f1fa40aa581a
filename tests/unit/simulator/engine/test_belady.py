from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.ir.prefix import Chain, Run, block_count, chained, first_blocks
from agentrt.scheduler.radix import RadixCache
from agentrt.simulator.belady import Access, Optimum, optimal_hits

A: Chain = (Run(0, 4),)
B: Chain = (Run(10, 4),)


def growing(program: int, turns: int, grown: int) -> list[Access]:
    """A program whose every turn begins with all of the last one."""
    first = 1_000_000 * program
    return [
        Access((Run(first, turn * grown),), (Run(first, turn * grown + grown - 1),))
        for turn in range(1, turns + 1)
    ]


def test_a_cache_that_holds_everything_hits_all_but_what_is_new() -> None:
    accesses = growing(1, turns=5, grown=10)
    assert optimal_hits(accesses, 1000) == Optimum(hits=(0, 19, 29, 39, 49), prompt_blocks=150)


def test_what_is_needed_sooner_stays() -> None:
    accesses = [Access(A, A), Access(B, B), Access(A, A), Access(A, A), Access(B, B)]
    assert optimal_hits(accesses, 4).hits == (0, 0, 0, 4, 0)
    assert optimal_hits(accesses, 6).hits == (0, 0, 2, 4, 2)
    assert optimal_hits(accesses, 8).hits == (0, 0, 4, 4, 4)


def test_a_call_as_large_as_the_cache_leaves_nothing_of_others() -> None:
    whole: Chain = (Run(50, 8),)
    accesses = [Access(A, A), Access(whole, whole), Access(A, A)]
    assert optimal_hits(accesses, 8).hits == (0, 0, 0)
    assert optimal_hits(accesses, 12).hits == (0, 0, 4)


def test_what_a_later_call_makes_anew_takes_no_room_until_then() -> None:
    x, y, large = (Run(0, 1),), (Run(10, 1),), (Run(20, 2),)
    accesses = [Access((), x), Access((), y), Access((), large), Access((), x)]
    assert optimal_hits([*accesses, Access(x, x), Access(y, y)], 3).hits == (0, 0, 0, 0, 1, 1)


def test_of_a_chain_the_head_is_kept() -> None:
    parts: Chain = (Run(0, 3), Run(50, 3))
    accesses = [Access(parts, parts), Access(B, B), Access(parts, parts)]
    assert optimal_hits(accesses, 6).hits == (0, 0, 2)
    assert optimal_hits([*accesses, Access((Run(0, 3),), (Run(0, 3),))], 8).hits == (0, 0, 4, 3)


def test_without_calls_there_is_no_ratio_to_speak_of() -> None:
    assert optimal_hits([], 10) == Optimum(hits=(), prompt_blocks=0)
    assert optimal_hits([], 10).hit_ratio == 0.0
    assert optimal_hits([Access(A, A), Access(A, A)], 10).hit_ratio == 0.5


def best_by_trying_everything(accesses: list[Access], capacity: int) -> int:
    """Every subset that could be kept after every call, tried: exponential, and plainly right."""
    best: dict[frozenset[int], int] = {frozenset(): 0}
    for access in accesses:
        prompt, touched = blocks_of(access.prompt), blocks_of(access.prompt, access.context)
        after: dict[frozenset[int], int] = {}
        for kept, hits in best.items():
            found = 0
            while found < len(prompt) and prompt[found] in kept:
                found += 1
            others = sorted(kept - set(touched))
            room = max(0, capacity - len(set(touched)))
            for stays in subsets(others, room):
                for chosen in subsets(sorted(set(touched)), len(touched)):
                    state = frozenset(stays + chosen)
                    after[state] = max(after.get(state, 0), hits + found)
        best = after
    return max(best.values())


def blocks_of(*chains: Chain) -> list[int]:
    blocks = [run.first + n for chain in chains for run in chain for n in range(run.count)]
    return list(dict.fromkeys(blocks))


def subsets(items: list[int], most: int) -> list[tuple[int, ...]]:
    """All subsets of at most `most` items."""
    found: list[tuple[int, ...]] = [()]
    for item in items:
        found += [(*subset, item) for subset in found if len(subset) < most]
    return found


@st.composite
def small_calls(draw: st.DrawFn) -> list[Access]:
    chains: list[Chain] = [(Run(0, 3),), (Run(0, 1), Run(10, 2)), (Run(20, 2),), (Run(20, 3),)]
    accesses = list[Access]()
    for _ in range(draw(st.integers(1, 6))):
        context = draw(st.sampled_from(chains))
        accesses.append(Access(first_blocks(context, draw(st.integers(0, 3))), context))
    return accesses


@settings(max_examples=150)
@given(small_calls(), st.integers(3, 6))
def test_no_way_to_keep_blocks_hits_more(accesses: list[Access], capacity: int) -> None:
    optimum = optimal_hits(accesses, capacity)
    assert optimum.hit_blocks == best_by_trying_everything(accesses, capacity)
    assert optimum.prompt_blocks == sum(block_count(access.prompt) for access in accesses)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), max_size=40), st.integers(8, 60))
def test_lru_never_hits_more_than_the_optimum(turns: list[tuple[int, int]], capacity: int) -> None:
    lengths: dict[int, int] = {}
    accesses = list[Access]()
    for program, grown in turns:
        length = lengths.get(program, 2)
        system = Run(0, 2)
        prompt = chained([system, Run(100 + 1000 * program, length)])
        lengths[program] = length + grown if length + grown + 2 <= capacity else 2
        accesses.append(Access(prompt, prompt))
    if any(block_count(access.context) > capacity for access in accesses):
        return
    cache, hits = RadixCache(capacity), 0
    for access in accesses:
        hits += cache.match(access.prompt)
        cache.insert(access.context)
    assert hits <= optimal_hits(accesses, capacity).hit_blocks
