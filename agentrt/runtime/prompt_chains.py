"""Prompts as chains of blocks, before a server has made tokens of them. Pure.

What counts is how far two prompts are the same, so blocks are of characters: no tokenizer is needed,
and how many tokens they make is learned from what servers report (`text_rate.TextRate`).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from agentrt.ir.prefix import BlockId, Chain, Run, block_count
from agentrt.ir.request import Message
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.prompt_text import message_text, tool_text

BLOCK_CHARACTERS = 64
"""Characters of a block: about the 16 tokens that engines' blocks have."""

MOST_BLOCKS = 1 << 17
"""Blocks remembered: prompts of two million tokens, 25 MB."""

_TOOLS_REMEMBERED = 64
# Blocks of one branch are numbered one after another, so that a chain is few runs. No branch is that
# long, and numbers of a million branches are still exact in any reader of JSON.
BRANCH_BITS = 32

_Key: TypeAlias = tuple[BlockId, int]
"""The block before, and a hash of the block's text."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The text of a request up to some message.

    Attributes:
        chain: Its full blocks.
        rest: What comes after them, less than a block.
        characters: All of its text, with the tools and the roles.
    """

    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    chain: Chain
    rest: str
    characters: int

    @property
    def salt_blocks(self) -> int:
        """Blocks of the chain that stand before the text: one for a salt, or none."""
        return block_count(self.chain) - (self.characters - len(self.rest)) // BLOCK_CHARACTERS


class _Branch:
    """Blocks that were numbered one after another."""

    __slots__ = ("children", "keys", "parent", "used_at")

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.children = 0
        self.keys: list[_Key] = []
        self.used_at = 0


class PromptChains:
    """The blocks of all prompts of one model: equal beginnings get equal blocks.

    Ids are never given again. Of blocks that were not used for long none are remembered, beyond
    `most_blocks`: a prompt that begins with them gets new ones.

    Attributes:
        made: Blocks that were new, of all prompts and answers so far.
    """

    def __init__(self, *, most_blocks: int = MOST_BLOCKS) -> None:
        self.made = 0
        self._most_blocks = most_blocks
        self._ids: dict[_Key, BlockId] = {}
        self._branches: dict[int, _Branch] = {}
        self._next_branch = 0
        self._uses = 0
        self._heads: dict[tuple[int, ...], tuple[tuple[ToolSpec, ...], str]] = {}

    def __len__(self) -> int:
        """Blocks remembered."""
        return len(self._ids)

    def measured(
        self, tools: tuple[ToolSpec, ...], messages: tuple[Message, ...], *, salt: str = ""
    ) -> Measured:
        """A prompt from its start. Tools are in front, as chat templates have them.

        Prompts of different salts have no block in common; a salt is a block before the text.
        """
        before: Chain = ()
        if salt:
            before, _ = self._extended(
                (), sha256(salt.encode("utf-8", "surrogatepass")).hexdigest()
            )
        nothing = Measured(tools, (), before, "", 0)
        return self._grown(nothing, messages, self._head(tools))

    def grown(self, before: Measured, messages: tuple[Message, ...]) -> Measured:
        """The same with `messages` after it; what was measured is not measured again."""
        return self._grown(before, messages, "")

    def _grown(self, before: Measured, messages: tuple[Message, ...], head: str) -> Measured:
        added = "".join([head, *map(message_text, messages)])
        chain, rest = self._extended(before.chain, before.rest + added)
        return Measured(
            before.tools,
            (*before.messages, *messages),
            chain,
            rest,
            before.characters + len(added),
        )

    def _extended(self, chain: Chain, text: str) -> tuple[Chain, str]:
        self._uses += 1
        for run in chain:
            branch = self._branches.get(run.first >> BRANCH_BITS)
            if branch is not None:
                branch.used_at = self._uses
        ends = len(text) - len(text) % BLOCK_CHARACTERS
        if not ends:
            return chain, text
        ids = self._ids
        runs = list(chain)
        end = runs.pop() if runs else Run(0, 0)
        first, count = end.first, end.count
        last = first + count - 1  # nothing, before the first block
        for at in range(0, ends, BLOCK_CHARACTERS):
            key = (last, hash(text[at : at + BLOCK_CHARACTERS]))
            block = ids.get(key)
            is_new = block is None
            if block is None:
                block = self._added(key)
            if block == last + 1 and count:
                count += 1
            else:
                if count:
                    runs.append(Run(first, count))
                first, count = block, 1
                self._branches[block >> BRANCH_BITS].used_at = self._uses
            last = block
            if is_new:  # and so is all that comes after it
                count += self._added_after(block, text, at + BLOCK_CHARACTERS, ends)
                break
        runs.append(Run(first, count))
        if len(ids) > self._most_blocks:
            self._forget()
        return tuple(runs), text[ends:]

    def _added(self, key: _Key) -> BlockId:
        """A new block: the next number of its branch, if nothing else has gone on from there."""
        before = key[0]
        number = before >> BRANCH_BITS
        branch = self._branches.get(number)
        is_tip = branch is not None and before + 1 == (number << BRANCH_BITS) + len(branch.keys)
        if branch is None or not is_tip:
            if branch is not None:
                branch.children += 1
            number = self._next_branch
            self._next_branch += 1
            branch = self._branches[number] = _Branch(before >> BRANCH_BITS)
            branch.used_at = self._uses
        block = (number << BRANCH_BITS) + len(branch.keys)
        branch.keys.append(key)
        self._ids[key] = block
        self.made += 1
        return block

    def _added_after(self, block: BlockId, text: str, begins: int, ends: int) -> int:
        """New blocks after one that has just been added: how many that part of `text` makes."""
        hashes = [
            hash(text[at : at + BLOCK_CHARACTERS]) for at in range(begins, ends, BLOCK_CHARACTERS)
        ]
        count = len(hashes)
        keys = list(zip(range(block, block + count), hashes, strict=True))
        self._branches[block >> BRANCH_BITS].keys += keys
        self._ids.update(zip(keys, range(block + 1, block + 1 + count), strict=True))
        self.made += count
        return count

    def _forget(self) -> None:
        """Drop the branches that were not used for longest, but none that another goes on from."""
        enough = self._most_blocks - self._most_blocks // 4
        unused = [
            (branch.used_at, number)
            for number, branch in self._branches.items()
            if not branch.children
        ]
        heapq.heapify(unused)
        while unused and len(self._ids) > enough:
            used_at, number = heapq.heappop(unused)
            if used_at == self._uses:
                return  # all that is left is what has just been asked for
            branch = self._branches.pop(number)
            for key in branch.keys:
                del self._ids[key]
            parent = self._branches.get(branch.parent)
            if parent is not None:
                parent.children -= 1
                if not parent.children:
                    heapq.heappush(unused, (parent.used_at, branch.parent))

    def _head(self, tools: tuple[ToolSpec, ...]) -> str:
        if not tools:
            return ""
        key = tuple(map(id, tools))
        known = self._heads.get(key)
        if known is None:  # the specs are kept too, so that their ids stay their own
            if len(self._heads) >= _TOOLS_REMEMBERED:
                self._heads.clear()
            known = self._heads[key] = (tools, "".join(map(tool_text, tools)))
        return known[1]
