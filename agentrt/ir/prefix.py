"""What a prompt begins with, as KV blocks: enough to know what two prompts share, without their text.

A block stands for `block_tokens` tokens *and everything before them*, as in vLLM's prefix cache: two
prompts share a prefix exactly as far as their blocks are equal. Blocks come in runs of consecutive
ids, since a prompt mostly grows at its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

BlockId: TypeAlias = int


@dataclass(frozen=True, slots=True)
class Run:
    """The blocks `first`, `first + 1`, ... in the order of the prompt; `count` of them, at least one."""

    first: BlockId
    count: int


Chain: TypeAlias = tuple[Run, ...]
"""The blocks of a prompt from its start. No two neighbouring runs could be one (see `chained`)."""


def chained(runs: Iterable[Run]) -> Chain:
    """`runs` as a chain: empty ones left out, neighbours that continue one another joined."""
    joined: list[Run] = []
    for run in runs:
        if run.count <= 0:
            continue
        if joined and joined[-1].first + joined[-1].count == run.first:
            joined[-1] = Run(joined[-1].first, joined[-1].count + run.count)
        else:
            joined.append(run)
    return tuple(joined)


def block_count(chain: Chain) -> int:
    """How many blocks the chain has."""
    return sum(run.count for run in chain)


def shared_blocks(a: Chain, b: Chain) -> int:
    """How many blocks `a` and `b` have in common at their start."""
    shared = 0
    for left, right in zip(a, b, strict=False):
        if left.first != right.first:
            break
        shared += min(left.count, right.count)
        if left.count != right.count:
            break
    return shared


def first_blocks(chain: Chain, count: int) -> Chain:
    """The chain cut after `count` blocks; the whole of it if it has no more."""
    kept: list[Run] = []
    for run in chain:
        if count <= 0:
            break
        kept.append(run if run.count <= count else Run(run.first, count))
        count -= run.count
    return tuple(kept)
