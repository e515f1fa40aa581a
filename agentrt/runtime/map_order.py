"""In which order the instances of a map start: those whose prompts begin alike together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from agentrt.ir.prompt_break import common_length

PIECE = 64
"""Characters that have to be the same for two prompts to be alike: a KV block's worth."""


def alike_together(texts: Sequence[str]) -> list[int]:
    """The places of `texts` in an order in which those that begin alike are neighbours.

    The longer two are the same, the nearer they are. Otherwise the order is kept: groups come where
    the first of them was, and what has nothing in common beyond what all have stays as it was.
    """
    by_text = sorted(range(len(texts)), key=texts.__getitem__)
    # Characters that each has in common with the one before: neighbours have most.
    shared = [0, *(common_length(texts[a], texts[b]) for a, b in pairwise(by_text))]
    ordered: list[int] = []
    waiting = [(0, len(texts))]
    while waiting:
        start, end = waiting.pop()
        if end - start <= 2:  # noqa: PLR2004  two are neighbours in any order
            ordered += sorted(by_text[start:end])
            continue
        least = min(shared[start + 1 : end]) + PIECE
        cuts = [start, *(at for at in range(start + 1, end) if shared[at] < least), end]
        groups = sorted(pairwise(cuts), key=lambda cut: min(by_text[cut[0] : cut[1]]))
        waiting.extend(reversed(groups))
    return ordered
