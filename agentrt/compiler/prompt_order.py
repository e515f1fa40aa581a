"""The order of a prompt's blocks: what changes least first, and what siblings share before the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agentrt.compiler.prompt_blocks import Block, Parts, blocks_of, is_cue, join_moved, placed
from agentrt.ir.expression import NodeId, Slot, Text
from agentrt.ir.graph import Graph
from agentrt.ir.node import AgentNode, LLMNode
from agentrt.ir.prompt import PromptTemplate
from agentrt.ir.prompt_origin import Levels
from agentrt.ir.stability import rank

_FIRST_THAT_MOVES = rank("run")
_WORTH_SHARING = 64
"""Characters of static text that siblings must share before instructions give way to it."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What calls of one graph have in common, with the order in which all of them are to have it."""

    blocks: Mapping[str, int]
    is_system_common: bool


Siblings: TypeAlias = Mapping[NodeId, Shared]
"""For each call that has siblings: what it shares with them."""


def siblings_of(graph: Graph, levels: Levels) -> Siblings:
    """Calls of `graph` that allow their blocks to be moved, and go to one model with no tools."""
    groups: dict[tuple[str | None, str | None], list[LLMNode]] = {}
    for node in graph.nodes:
        if isinstance(node, LLMNode) and node.layout in ("S2", "S3"):
            groups.setdefault((node.options.tier, node.options.model), []).append(node)
    found: dict[NodeId, Shared] = {}
    for group in groups.values():
        if len(group) > 1:
            shared = _shared(group, levels)
            found.update(dict.fromkeys((node.id for node in group), shared))
    return found


def ordered(node: LLMNode | AgentNode, levels: Levels, siblings: Siblings) -> PromptTemplate:
    """The node's prompt with its blocks in order; the very one it has if they are, or must stay.

    Sorted by stability, and by where they were among equals. Of the system message, what changes
    with the run or more often goes to the user message; all of it does not, since then nothing
    would be left to say what the rest is for. What ends in a colon at the very end stays there: the
    model goes on from it.
    """
    prompt = node.prompt
    if node.layout not in ("S2", "S3"):
        return prompt
    shared = siblings.get(node.id)
    system = [] if prompt.system is None else placed(blocks_of(prompt.system), template=0)
    stays = [_stays(block, levels, shared) for block, _ in system]
    if not any(stays) and not (shared is not None and not shared.is_system_common):
        stays = [True] * len(system)
    moved = [each for each, stay in zip(system, stays, strict=True) if not stay]
    body = list(moved)
    for template, written in enumerate((*prompt.context, prompt.user), 1):
        body += placed(blocks_of(written), template=template)
    cue = [each for each in body[-1:] if is_cue(each[0])]
    rest = body[: len(body) - len(cue)]
    rest.sort(key=lambda each: (_order(each[0], levels, shared), each[1]))
    by_order = rest + cue
    if not moved and by_order == body:
        return prompt
    kept = [each for each, stay in zip(system, stays, strict=True) if stay]
    first = sum(shared is not None and block.content in shared.blocks for block, _ in rest)
    return PromptTemplate(
        user=join_moved(by_order, cut=first),
        system=join_moved(kept) if kept else None,
    )


def as_blocks(prompt: PromptTemplate) -> Iterator[Block]:
    """Every block of a prompt, in the order they are sent."""
    for template in prompt.templates():
        yield from blocks_of(template)


def _order(block: Block, levels: Levels, shared: Shared | None) -> tuple[int, int, int]:
    """What siblings share comes first, in their order; then the more stable."""
    position = None if shared is None else shared.blocks.get(block.content)
    if position is not None:
        return (0, position, 0)
    return (1, rank(block.stability(levels)), 0)


def _stays(block: Block, levels: Levels, shared: Shared | None) -> bool:
    if rank(block.stability(levels)) >= _FIRST_THAT_MOVES:
        return False
    return shared is None or shared.is_system_common or block.content in shared.blocks


def _shared(group: Sequence[LLMNode], levels: Levels) -> Shared:
    """Blocks that two or more have, by stability and by where the first to have them has them."""
    counts = Counter[str]()
    blocks: dict[str, Block] = {}
    bodies: set[str] = set()
    for node in group:
        own = {block.content: block for block in as_blocks(node.prompt)}
        counts.update(own.keys())
        blocks.update((each, block) for each, block in own.items() if each not in blocks)
        for template in (*node.prompt.context, node.prompt.user):
            bodies.update(block.content for block in blocks_of(template))
    common = [each for each in blocks if counts[each] > 1]
    common.sort(key=lambda each: rank(blocks[each].stability(levels)))
    is_worth = any(
        any(isinstance(part, Slot) for part in blocks[each].parts)
        or _length(blocks[each].parts) >= _WORTH_SHARING
        for each in common
        if each in bodies
    )
    shared = {each: position for position, each in enumerate(common)}
    systems = {repr(node.prompt.system) for node in group}
    return Shared(shared, is_system_common=len(systems) == 1 or not is_worth)


def _length(parts: Parts) -> int:
    return sum(len(part.text) for part in parts if isinstance(part, Text))
