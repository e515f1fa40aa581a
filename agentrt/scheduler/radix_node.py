"""The nodes of a radix tree of KV blocks, and what keeps them there."""

from __future__ import annotations

from typing import NamedTuple

from agentrt.errors import InvariantError


class Node:
    """Blocks `first`, ... `first + count - 1`. A node of no blocks is gone, or the root.

    Attributes:
        order: When it was made: which of two goes first where nothing else says so.
        references: References that end here or below.
        last_use: The latest use that went through all of its blocks.
        is_offered: Whether the heap of leaves to evict has an entry for it.
        claim: Who wants to be asked before it is evicted.
    """

    __slots__ = (
        "children",
        "claim",
        "count",
        "first",
        "is_offered",
        "last_use",
        "order",
        "parent",
        "references",
    )

    def __init__(self, parent: Node | None, first: int, count: int, order: int) -> None:
        self.parent = parent
        self.first = first
        self.count = count
        self.order = order
        self.children: dict[int, Node] = {}
        self.references = 0
        self.last_use = 0
        self.is_offered = False
        self.claim: Claim | None = None

    def above(self) -> Node:
        """The parent of a node that is not the root."""
        if self.parent is None:
            raise InvariantError("the root of a prefix cache has no parent")
        return self.parent

    def is_continued_by(self, child: Node) -> bool:
        """Whether `child`, just used as this node was, is all that comes after it."""
        return (
            self.first + self.count == child.first
            and self.references == child.references
            and len(self.children) == 1
        )


class Reference:
    """Keeps the `blocks` blocks that one `acquire` found from being evicted, until released."""

    __slots__ = ("_node", "blocks")

    def __init__(self, node: Node, blocks: int) -> None:
        self._node: Node | None = node
        self.blocks = blocks

    @property
    def exclusive_blocks(self) -> int:
        """Those of its blocks that no other reference keeps."""
        node, blocks = self._node, 0
        while node is not None and node.parent is not None and node.references == 1:
            blocks += node.count
            node = node.parent
        return blocks

    def take(self) -> Node:
        """The node it ends at, once."""
        node = self._node
        if node is None:
            raise InvariantError("a reference to cached blocks was released twice")
        self._node = None
        return node


class Claim:
    """Somebody's wish that cached blocks are used once more rather than evicted.

    Attributes:
        owner: Whose it is; None once it was given up.
    """

    __slots__ = ("owner",)

    def __init__(self, owner: object) -> None:
        self.owner: object | None = owner


class Match(NamedTuple):
    """How many blocks of a chain are cached from its start; how many of those are referenced."""

    cached: int
    referenced: int


class Place(NamedTuple):
    """Where a chain leaves the tree: the node, blocks of it that match, blocks matched in all."""

    node: Node
    inside: int
    matched: int
