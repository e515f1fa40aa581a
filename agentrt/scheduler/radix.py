"""A prefix cache of KV blocks: which prompts' beginnings it holds, and what goes first when it is full.

A radix tree over chains, where a node is a stretch of consecutive block ids with one history: the
same references, the same last use. Nothing here loops over blocks. Block ids name everything before
them (see `agentrt.ir.prefix`), so a block has one place in the tree.

Two facts hold by construction and carry the costs. A node is used whenever one below it is, so its
last use is never the older one; and who references a node references all above it. So the block to
evict is always at the end of a leaf, and every block without references can be evicted.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from agentrt.errors import InvariantError
from agentrt.ir.prefix import Chain, block_count
from agentrt.scheduler.radix_node import Claim, Match, Node, Place, Reference

__all__ = ["Match", "RadixCache", "Reference"]


class RadixCache:
    """A cache of at most `capacity_blocks` blocks, in LRU order of last use, tails before heads.

    Uses are `insert`, `acquire` and `release`; each is later than the one before, so no
    two chains were last used at the same time and what is evicted is a function of the calls made.
    """

    def __init__(
        self, capacity_blocks: int, *, on_spared: Callable[[Claim], None] | None = None
    ) -> None:
        """`on_spared`: told of each claim whose blocks were used once more instead of evicted."""
        self._on_spared = on_spared
        if capacity_blocks < 0:
            raise ValueError(f"a cache of {capacity_blocks} blocks")
        self.capacity_blocks = capacity_blocks
        self.used_blocks = 0
        self.referenced_blocks = 0
        self._root = Node(None, 0, 0, 0)
        self._uses = 0
        self._nodes = 0
        self._created = 0
        self._offered: list[tuple[int, int, Node]] = []

    @property
    def evictable_blocks(self) -> int:
        """Cached blocks that nobody references."""
        return self.used_blocks - self.referenced_blocks

    @property
    def free_blocks(self) -> int:
        """Blocks that can be filled without evicting any."""
        return self.capacity_blocks - self.used_blocks

    def match(self, chain: Chain) -> int:
        """How many blocks of the chain are cached, from its start. Not a use."""
        return self._find(chain).matched

    def probe(self, chain: Chain) -> Match:
        """As `match`, and how many of those blocks are referenced. Not a use."""
        node, inside, matched = self._find(chain)
        unreferenced = 0
        while node.parent is not None and node.references == 0:
            unreferenced += inside
            node = node.parent
            inside = node.count
        return Match(matched, matched - unreferenced)

    def insert(self, chain: Chain) -> int:
        """Use the chain and cache what is missing of it, evicting others as needed.

        Its end is left out where referenced blocks leave no room. Returns how many blocks of the
        chain are cached now.
        """
        place = self._find(chain)
        node = self._use(self._ending(place))
        missing = block_count(chain) - place.matched
        if missing > 0:
            self._refer(node)  # while room is made, nothing of the chain itself goes
            missing = max(0, min(missing, self.capacity_blocks - self.referenced_blocks))
            self.evict(self.used_blocks + missing - self.capacity_blocks)
            self._unrefer(node)
            self._append(node, chain, place.matched, missing)
        return place.matched + missing

    def acquire(self, chain: Chain) -> Reference:
        """Use and reference what is cached of the chain."""
        place = self._find(chain)
        end = self._use(self._ending(place))
        self._refer(end)
        return Reference(end, place.matched)

    def release(self, reference: Reference) -> None:
        """Give a reference back, once. This is a use: engines free blocks in order of last use."""
        end = reference.take()
        self._unrefer(end)
        self._offer(self._use(end))

    def evict(self, blocks: int) -> int:
        """Evict `blocks` blocks, or all that nobody references if those are fewer; how many."""
        left = blocks = max(0, min(blocks, self.evictable_blocks))
        spared: set[int] = set()
        while left > 0:
            node = self._oldest_leaf()
            if self._is_spared(node, spared):
                continue
            taken = min(left, node.count)
            left -= taken
            if taken == node.count:
                self._remove(node)
            else:
                node.count -= taken
                self.used_blocks -= taken
                self._offer(node)
        return blocks

    def claim(self, chain: Chain, owner: object) -> Claim:
        """Ask for the cached end of the chain to be spared when it comes to be evicted.

        A claim stands until its `owner` is set to None or another one is made of the same blocks.
        Where all that could be evicted is claimed, claims do not help.
        """
        node = self._ending(self._find(chain))
        node.claim = Claim(owner)
        return node.claim

    def correct(self, chain: Chain, cached_blocks: int) -> int:
        """The engine has only `cached_blocks` blocks of the chain: drop what lies behind them.

        Without its head the rest is of no use, so all that continues there goes, but for what is
        referenced. Returns how many blocks went.
        """
        place = self._find(chain)
        if place.matched <= cached_blocks:
            return 0
        node, before, end = self._ending(place), self.used_blocks, place.matched
        while end - node.count > cached_blocks and node.parent is not None:
            end -= node.count
            node = node.parent
        kept = node.count - (end - cached_blocks)
        if kept > 0:
            self._split(node, kept)
        self._drop(node)
        return before - self.used_blocks

    def _is_spared(self, node: Node, spared: set[int]) -> bool:
        """Use a claimed leaf once more, unless it was spared already while room is made."""
        claim = node.claim
        if claim is None or claim.owner is None or node.order in spared:
            return False
        spared.add(node.order)
        self._offer(self._use(node))
        if self._on_spared is not None:
            self._on_spared(claim)
        return True

    def _find(self, chain: Chain) -> Place:
        node, inside, matched = self._root, 0, 0
        for run in chain:
            first, left = run.first, run.count
            while left > 0:
                if inside == node.count:
                    child = node.children.get(first)
                    if child is None:
                        return Place(node, inside, matched)
                    node, inside = child, 0
                elif node.first + inside != first:
                    return Place(node, inside, matched)
                step = min(left, node.count - inside)
                inside += step
                matched += step
                first += step
                left -= step
        return Place(node, inside, matched)

    def _ending(self, place: Place) -> Node:
        """The node that ends where the chain does, cut off if there is none."""
        if place.inside < place.node.count:
            return self._split(place.node, place.inside)
        return place.node

    def _split(self, node: Node, kept: int) -> Node:
        """Cut `node` after `kept` blocks. The new node is the head: references end at tails."""
        parent = node.above()
        head = self._new_node(parent, node.first, kept)
        head.references = node.references
        head.last_use = node.last_use
        parent.children[node.first] = head
        node.first += kept
        node.count -= kept
        node.parent = head
        head.children[node.first] = node
        return head

    def _use(self, end: Node) -> Node:
        """Mark the path down to `end` as used now, and join what has become alike on it."""
        self._uses += 1
        node = end
        while (parent := node.parent) is not None:
            node.last_use = self._uses
            above = parent.parent
            if above is not None and parent.is_continued_by(node):
                self._join(above, parent, node)
            else:
                node = parent
        return end

    def _join(self, above: Node, head: Node, tail: Node) -> None:
        """Make one node of two of the same history. The tail stays: references end there."""
        tail.first = head.first
        tail.count += head.count
        tail.parent = above
        above.children[tail.first] = tail
        head.count = 0
        self._nodes -= 1

    def _refer(self, end: Node) -> None:
        node = end
        while node.parent is not None:
            if node.references == 0:
                self.referenced_blocks += node.count
            node.references += 1
            node = node.parent

    def _unrefer(self, end: Node) -> None:
        node = end
        while node.parent is not None:
            node.references -= 1
            if node.references == 0:
                self.referenced_blocks -= node.count
            node = node.parent

    def _append(self, node: Node, chain: Chain, skipped: int, count: int) -> None:
        """Add `count` blocks of the chain under `node`, those after the first `skipped`."""
        self.used_blocks += count
        for run in chain:
            if count <= 0:
                break
            if skipped >= run.count:
                skipped -= run.count
                continue
            taken = min(run.count - skipped, count)
            node = self._extend(node, run.first + skipped, taken)
            skipped = 0
            count -= taken
        self._offer(node)

    def _extend(self, node: Node, first: int, count: int) -> Node:
        is_open_end = node.parent is not None and not node.children and node.references == 0
        if is_open_end and node.first + node.count == first:
            node.count += count
            return node
        child = self._new_node(node, first, count)
        child.last_use = self._uses
        node.children[first] = child
        return child

    def _new_node(self, parent: Node, first: int, count: int) -> Node:
        self._created += 1
        self._nodes += 1
        return Node(parent, first, count, self._created)

    def _offer(self, node: Node) -> None:
        """Put a leaf that nobody references where `evict` looks."""
        if node.is_offered or node.children or node.references or node.parent is None:
            return
        node.is_offered = True
        if len(self._offered) > 2 * self._nodes + 64:
            self._offered = [entry for entry in self._offered if entry[2].count > 0]
            heapq.heapify(self._offered)
        heapq.heappush(self._offered, (node.last_use, node.order, node))

    def _oldest_leaf(self) -> Node:
        """Take the leaf of the oldest last use from the heap.

        An entry may be older than its node's last use, never younger: uses only move on. One that
        was used since goes back with its new time.
        """
        while self._offered:
            last_use, _, node = heapq.heappop(self._offered)
            node.is_offered = False
            if node.count == 0 or node.children or node.references:
                continue
            if node.last_use == last_use:
                return node
            self._offer(node)
        raise InvariantError(f"{self.evictable_blocks} blocks can be evicted and none is found")

    def _remove(self, leaf: Node) -> None:
        parent = leaf.above()
        self.used_blocks -= leaf.count
        self._nodes -= 1
        del parent.children[leaf.first]
        leaf.count = 0
        self._offer(parent)

    def _drop(self, top: Node) -> None:
        """Remove `top` and all below it, but for what is referenced."""
        below = [top]
        for node in below:
            below.extend(node.children.values())
        for node in reversed(below):
            if node.references == 0:
                self._remove(node)
