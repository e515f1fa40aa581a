"""The most prefix hits that any cache could have had, knowing the whole future.

The model: calls are served one after another from one cache of `capacity_blocks` blocks. While a
call is served, all blocks of its prompt and its context are there; besides them stays what fits.
A block of a prompt is a hit if it was kept since a call last had it, and so were all before it.

What is computed is exactly the maximum over all ways to keep blocks (`docs/engine-model.md` has the
proof): drop what is needed again latest, the tail before the head. As calls that overlap leave one
another less room, it is an upper bound for an engine that runs many at once, in the order given.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain as chained_together

from agentrt.ir.prefix import Chain, block_count


@dataclass(frozen=True, slots=True)
class Access:
    """One call: the blocks of its prompt that may be hits, and all that it leaves in the cache.

    Engines compute the end of a prompt even if they have all of it; leave it out of `prompt` to
    have an optimum for them.
    """

    prompt: Chain
    context: Chain


@dataclass(frozen=True, slots=True)
class Optimum:
    """The hits, in blocks: of each call and of all."""

    hits: tuple[int, ...]
    prompt_blocks: int

    @property
    def hit_blocks(self) -> int:
        return sum(self.hits)

    @property
    def hit_ratio(self) -> float:
        """Hits as a share of the prompts' blocks; 0 where there are none."""
        return self.hit_blocks / self.prompt_blocks if self.prompt_blocks else 0.0


def optimal_hits(accesses: Sequence[Access], capacity_blocks: int) -> Optimum:
    """The most hits possible for these calls in this order.

    O(S log S), where S counts the segments of the calls' chains: where chains part or end, a new
    segment begins.
    """
    tree = _Segments()
    for access in accesses:
        tree.add(access.prompt)
        tree.add(access.context)
    calls = [_Call(tree.path(access.prompt), tree.path(access.context)) for access in accesses]
    for number, call in enumerate(calls):
        for segment in call.prompt:
            segment.needed.append(number)
        for segment in call.touched():
            segment.touched.append(number)
    keeper = _Keeper(capacity_blocks)
    return Optimum(
        hits=tuple(keeper.serve(number, call) for number, call in enumerate(calls)),
        prompt_blocks=sum(block_count(access.prompt) for access in accesses),
    )


@dataclass(slots=True, eq=False)
class _Segment:
    """Consecutive blocks that no call separates.

    Attributes:
        needed: The calls whose prompts have it; `touched`: those after which it is in the cache.
        kept: How many of its blocks are kept now, from its start.
    """

    first: int
    count: int
    depth: int = 0
    children: dict[int, _Segment] = field(default_factory=dict[int, "_Segment"])
    needed: list[int] = field(default_factory=list[int])
    touched: list[int] = field(default_factory=list[int])
    kept: int = 0


@dataclass(frozen=True, slots=True)
class _Call:
    prompt: list[_Segment]
    context: list[_Segment]

    def touched(self) -> list[_Segment]:
        """Each segment of the prompt and the context once."""
        return list(dict.fromkeys(chained_together(self.prompt, self.context)))


class _Segments:
    """The tree of all calls' chains."""

    def __init__(self) -> None:
        self._root = _Segment(0, 0)

    def add(self, chain: Chain) -> None:
        """Have a segment end where the chain does, and where it leaves others."""
        node = self._root
        for run in chain:
            first, left = run.first, run.count
            while left > 0:
                child = node.children.get(first)
                if child is None:
                    child = node.children[first] = _Segment(first, left)
                elif child.count > left:
                    _split(child, left)
                first += child.count
                left -= child.count
                node = child

    def path(self, chain: Chain) -> list[_Segment]:
        """The segments of a chain that was added."""
        node, path = self._root, list[_Segment]()
        for run in chain:
            first, left = run.first, run.count
            while left > 0:
                node = node.children[first]
                node.depth = len(path)
                path.append(node)
                first += node.count
                left -= node.count
        return path


def _split(node: _Segment, kept: int) -> None:
    tail = _Segment(node.first + kept, node.count - kept, children=node.children)
    node.count = kept
    node.children = {tail.first: tail}


class _Keeper:
    """Serves the calls in order and keeps what is needed soonest."""

    def __init__(self, capacity_blocks: int) -> None:
        self._capacity = capacity_blocks
        self._kept = 0
        # Largest first: (-next call that needs it, -depth, order of entering, segment).
        self._latest: list[tuple[int, int, int, _Segment]] = []
        self._entered = 0

    def serve(self, number: int, call: _Call) -> int:
        """Serve a call; its hits."""
        hits = 0
        for segment in call.prompt:
            hits += segment.kept
            if segment.kept < segment.count:
                break
        touched = call.touched()
        for segment in touched:
            self._kept -= segment.kept
            segment.kept = 0
        self._shrink(self._capacity - sum(segment.count for segment in touched))
        for segment in touched:
            self._keep(segment, number)
        return hits

    def _keep(self, segment: _Segment, number: int) -> None:
        """Keep a segment if the next call that has it is one that needs it.

        One that has it without needing it makes it anew: keeping it until there gains nothing.
        """
        needed_at = _after(segment.needed, number)
        if needed_at is None or needed_at != _after(segment.touched, number):
            return
        segment.kept = segment.count
        self._kept += segment.count
        self._entered += 1
        entry = (-needed_at, -segment.depth, self._entered, segment)
        heapq.heappush(self._latest, entry)

    def _shrink(self, room: int) -> None:
        """Drop what is needed latest until no more than `room` blocks are kept.

        Entries of what has been served since are for earlier calls than any other: never on top.
        """
        excess = self._kept - max(0, room)
        while excess > 0:
            segment = self._latest[0][3]
            dropped = min(excess, segment.kept)
            segment.kept -= dropped
            self._kept -= dropped
            excess -= dropped
            if segment.kept == 0:
                heapq.heappop(self._latest)


def _after(numbers: list[int], number: int) -> int | None:
    place = bisect_right(numbers, number)
    return numbers[place] if place < len(numbers) else None
