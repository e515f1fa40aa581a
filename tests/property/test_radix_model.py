"""The radix cache against one that knows every block."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.ir.prefix import Chain, Run, chained, first_blocks
from agentrt.scheduler.radix import Match, RadixCache, Reference
from agentrt.scheduler.radix_node import Node


@dataclass
class _Block:
    above: int | None
    depth: int
    last_use: int
    references: int = 0


def blocks_of(chain: Chain) -> list[int]:
    return [run.first + number for run in chain for number in range(run.count)]


@dataclass
class NaiveCache:
    """Block by block, as slow and as plain as can be."""

    capacity: int
    uses: int = 0
    blocks: dict[int, _Block] = field(default_factory=dict)

    def cached(self, chain: Chain) -> list[int]:
        found: list[int] = []
        for block in blocks_of(chain):
            if block not in self.blocks:
                break
            found.append(block)
        return found

    def probe(self, chain: Chain) -> Match:
        found = self.cached(chain)
        return Match(len(found), sum(self.blocks[block].references > 0 for block in found))

    def touch(self, chain: Chain) -> int:
        self.uses += 1
        found = self.cached(chain)
        for block in found:
            self.blocks[block].last_use = self.uses
        return len(found)

    def insert(self, chain: Chain) -> int:
        found = self.touch(chain)
        wanted = blocks_of(chain)
        for depth in range(found, len(wanted)):
            if len(self.blocks) >= self.capacity:
                spare = set(wanted[:depth])
                if not self.evict(1, spare):
                    return depth
            above = wanted[depth - 1] if depth else None
            self.blocks[wanted[depth]] = _Block(above, depth, self.uses)
        return len(wanted)

    def acquire(self, chain: Chain) -> list[int]:
        self.touch(chain)
        found = self.cached(chain)
        for block in found:
            self.blocks[block].references += 1
        return found

    def release(self, reference: list[int]) -> None:
        self.uses += 1
        for block in reference:
            self.blocks[block].references -= 1
            self.blocks[block].last_use = self.uses

    def evict(self, count: int, spare: set[int] | None = None) -> int:
        for done in range(count):
            evictable = [
                block
                for block, state in self.blocks.items()
                if state.references == 0 and block not in (spare or ())
            ]
            if not evictable:
                return done
            del self.blocks[
                min(evictable, key=lambda b: (self.blocks[b].last_use, -self.blocks[b].depth))
            ]
        return count

    def _below(self, block: int) -> list[int]:
        return [other for other, state in self.blocks.items() if state.above == block]

    def correct(self, chain: Chain, cached: int) -> int:
        before = len(self.blocks)
        gone = self.cached(chain)[cached : cached + 1]
        for block in gone:
            gone.extend(self._below(block))
        for block in gone:
            if self.blocks[block].references == 0:
                del self.blocks[block]
        return before - len(self.blocks)


def blocks_held(cache: RadixCache) -> dict[int, tuple[int, int]]:
    """Each block in the tree with its last use and references; the tree's own rules on the way."""
    held: dict[int, tuple[int, int]] = {}
    nodes: list[Node] = list(cache._root.children.values())
    for node in nodes:
        assert node.count > 0
        assert node.parent is not None
        assert node.parent.children[node.first] is node
        assert node.parent is cache._root or node.parent.last_use >= node.last_use
        if not node.children and not node.references:
            assert node.is_offered, "a leaf that nobody references can be evicted"
        for number in range(node.count):
            assert node.first + number not in held
            held[node.first + number] = (node.last_use, node.references)
        nodes.extend(node.children.values())
    assert len(nodes) == cache._nodes
    return held


@st.composite
def families_of_chains(draw: st.DrawFn) -> list[Chain]:
    """Chains that grow from one another, at their ends or from their middle."""
    family: list[Chain] = [()]
    for number in range(draw(st.integers(1, 8))):
        parent = draw(st.sampled_from(family))
        length = draw(st.integers(1, 7))
        continues: bool = draw(st.booleans())
        if parent and continues:
            last = parent[-1]
            family.append(chained([*parent, Run(last.first + last.count, length)]))
        else:
            kept = first_blocks(parent, draw(st.integers(0, 20)))
            family.append(chained([*kept, Run(1000 * (number + 1), length)]))
    return family


OPERATIONS = (
    "insert",
    "insert",
    "insert",
    "acquire",
    "acquire",
    "release",
    "release",
    "evict",
    "correct",
)


@settings(max_examples=400)
@given(st.data(), families_of_chains(), st.integers(0, 30))
def test_the_tree_holds_the_blocks_that_a_list_of_blocks_would(
    data: st.DataObject, family: list[Chain], capacity: int
) -> None:
    cache, naive = RadixCache(capacity), NaiveCache(capacity)
    references: list[tuple[Reference, list[int]]] = []
    chains = st.builds(first_blocks, st.sampled_from(family), st.integers(0, 30))
    for operation in data.draw(st.lists(st.sampled_from(OPERATIONS), max_size=40)):
        if operation == "release":
            if references:
                number = data.draw(st.integers(0, len(references) - 1))
                mine, plain = references.pop(number)
                cache.release(mine)
                naive.release(plain)
        elif operation == "evict":
            count = data.draw(st.integers(0, 9))
            assert cache.evict(count) == naive.evict(count)
        else:
            chain = data.draw(chains)
            assert cache.probe(chain) == naive.probe(chain)
            if operation == "acquire":
                mine, plain = cache.acquire(chain), naive.acquire(chain)
                assert mine.blocks == len(plain)
                references.append((mine, plain))
            elif operation == "correct":
                cached = data.draw(st.integers(0, 12))
                assert cache.correct(chain, cached) == naive.correct(chain, cached)
            else:
                assert getattr(cache, operation)(chain) == getattr(naive, operation)(chain)
        assert blocks_held(cache) == {
            block: (state.last_use, state.references) for block, state in naive.blocks.items()
        }
        assert cache.used_blocks == len(naive.blocks) <= capacity
        assert cache.referenced_blocks == sum(b.references > 0 for b in naive.blocks.values())
        assert cache.evictable_blocks == cache.used_blocks - cache.referenced_blocks
    for chain in family:
        assert cache.match(chain) == len(naive.cached(chain))


@given(families_of_chains())
def test_nothing_is_evicted_while_it_is_referenced(family: list[Chain]) -> None:
    cache = RadixCache(1000)
    for chain in family:
        cache.insert(chain)
    references = [cache.acquire(chain) for chain in family]
    assert cache.evict(1000) == 0
    for reference in references:
        cache.release(reference)
    assert cache.referenced_blocks == 0
    assert cache.evict(1000) > 0
    assert (cache.used_blocks, blocks_held(cache)) == (0, {})


@pytest.mark.parametrize("capacity", [-1, -1000])
def test_a_cache_of_less_than_nothing_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match=r"a cache of -\d+ blocks"):
        RadixCache(capacity)
