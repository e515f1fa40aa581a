"""Claims: what somebody wants to keep is used once more before it is evicted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentrt.ir.prefix import Chain, Run
from agentrt.scheduler.radix import RadixCache
from agentrt.scheduler.radix_node import Claim


def chain(name: int, blocks: int = 10) -> Chain:
    return (Run(name << 16, blocks),)


A, B, C = chain(1), chain(2), chain(3)


def _cache(capacity: int) -> tuple[RadixCache, list[object]]:
    """A cache, and the owners of what it spared, in order."""
    spared: list[object] = []
    return RadixCache(capacity, on_spared=lambda claim: spared.append(claim.owner)), spared


def test_a_claimed_leaf_is_used_instead_of_evicted_and_its_owner_is_told() -> None:
    cache, spared = _cache(30)
    for each in (A, B, C):
        cache.insert(each)
    cache.claim(A, "a")
    assert cache.evict(10) == 10
    assert [cache.match(each) for each in (A, B, C)] == [10, 0, 10]
    assert spared == ["a"]
    # It counts as used now: C is older.
    assert cache.evict(10) == 10
    assert [cache.match(each) for each in (A, B, C)] == [10, 0, 0]
    assert spared == ["a"]


def test_a_claim_spares_again_whenever_its_turn_comes() -> None:
    cache, spared = _cache(20)
    cache.insert(A)
    cache.claim(A, "a")
    for name in range(2, 6):
        cache.insert(chain(name))
    assert cache.match(A) == 10
    assert spared == ["a"] * 3  # the first of the four found room beside it


def test_where_all_is_claimed_claims_do_not_help() -> None:
    cache, spared = _cache(30)
    for each, owner in ((A, "a"), (B, "b"), (C, "c")):
        cache.insert(each)
        cache.claim(each, owner)
    assert cache.evict(15) == 15
    assert [cache.match(each) for each in (A, B, C)] == [0, 5, 10]
    assert spared == ["a", "b", "c"]  # each once while room is made


def test_a_claim_that_was_given_up_does_not_help() -> None:
    cache, spared = _cache(20)
    cache.insert(A)
    claim = cache.claim(A, "a")
    cache.insert(B)
    claim.owner = None
    cache.evict(10)
    assert (cache.match(A), cache.match(B), spared) == (0, 10, [])


def test_the_newest_claim_of_the_same_blocks_stands() -> None:
    cache, spared = _cache(20)
    cache.insert(A)
    first = cache.claim(A, "first")
    cache.claim(A, "second")
    cache.insert(B)
    first.owner = None
    cache.evict(10)
    assert (cache.match(A), spared) == (10, ["second"])


def test_the_beginning_of_a_leaf_can_be_claimed_and_its_end_go() -> None:
    cache, spared = _cache(20)
    cache.insert(A)
    cache.claim(chain(1, 6), "a")
    cache.insert(B)
    assert cache.evict(8) == 8
    # Its last four first; then what is claimed is spared, and B is next.
    assert (cache.match(A), cache.match(B), spared) == (6, 6, ["a"])


def test_blocks_that_are_not_there_are_not_claimed() -> None:
    cache, spared = _cache(20)
    cache.insert(A)
    cache.claim(B, "b")
    cache.insert(B)
    cache.evict(20)
    assert (cache.used_blocks, spared) == (0, [])


def test_what_is_being_cached_does_not_make_room_for_its_own_end() -> None:
    cache, spared = _cache(20)
    cache.insert(B)
    cache.claim(B, "b")
    cache.insert(A)
    # B is spared once, and then older than nothing but A itself.
    assert cache.insert(chain(1, 15)) == 15
    assert (cache.match(chain(1, 15)), cache.match(B), spared) == (15, 5, ["b"])


def test_without_claims_nobody_is_told_and_a_claim_needs_nobody() -> None:
    cache = RadixCache(20)
    cache.insert(A)
    cache.claim(A, "a")
    cache.insert(B)
    assert cache.evict(10) == 10
    assert (cache.match(A), cache.match(B)) == (10, 0)


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    claimed=st.sets(st.integers(0, 11)),
    used_again=st.lists(st.integers(0, 11), max_size=8),
    wanted=st.integers(0, 160),
)
def test_what_is_claimed_goes_last_and_as_much_goes_as_is_asked_for(
    sizes: list[int], claimed: set[int], used_again: list[int], wanted: int
) -> None:
    cache, spared = _cache(1_000)
    chains = [chain(name, size) for name, size in enumerate(sizes, start=1)]
    for each in chains:
        cache.insert(each)
    claims = [cache.claim(chains[i], i) for i in sorted(claimed) if i < len(chains)]
    for i in used_again:
        cache.release(cache.acquire(chains[i % len(chains)]))
    assert cache.evict(wanted) == min(wanted, sum(sizes))
    assert cache.used_blocks == sum(cache.match(each) for each in chains)
    owners = {claim.owner for claim in claims}
    lost = {i for i, each in enumerate(chains) if cache.match(each) < sizes[i]}
    if lost & owners:
        assert all(cache.match(chains[i]) == 0 for i in set(range(len(chains))) - owners)
    assert len(spared) == len(set(spared))
    assert set(spared) <= owners


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["insert", "claim", "give up", "evict", "hold", "release"]),
            st.integers(1, 5),
            st.integers(1, 20),
        ),
        max_size=40,
    )
)
def test_claims_change_no_count(moves: list[tuple[str, int, int]]) -> None:
    with_claims, _ = _cache(40)
    claims: list[Claim] = []
    references = []
    for move, name, size in moves:
        match move:
            case "insert":
                with_claims.insert(chain(name, size))
            case "claim":
                claims.append(with_claims.claim(chain(name, size), name))
            case "give up" if claims:
                claims.pop().owner = None
            case "hold":
                references.append(with_claims.acquire(chain(name, size)))
            case "release" if references:
                with_claims.release(references.pop())
            case _:
                evictable = with_claims.evictable_blocks
                assert with_claims.evict(size) == min(size, evictable)
        assert with_claims.used_blocks <= 40
        cached = sum(with_claims.match(chain(n, 20)) for n in range(1, 6))
        assert with_claims.used_blocks == cached
