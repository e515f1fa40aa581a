"""In which order the instances of a map start: those whose prompts begin alike together. Pure."""

from __future__ import annotations

import os
from collections.abc import Sequence

PIECE = 64
"""Characters that have to be the same for two prompts to be alike: a KV block's worth."""


def alike_together(texts: Sequence[str]) -> list[int]:
    """The places of `texts` in an order in which those that begin alike are neighbours.

    The longer two are the same, the nearer they are. Otherwise the order is kept: groups come where
    the first of them was, and what has nothing in common beyond what all have stays as it was.
    """
    ordered: list[int] = []
    waiting = [list(range(len(texts)))]
    while waiting:
        group = waiting.pop()
        if len(group) <= 2:  # noqa: PLR2004  two are neighbours in any order
            ordered += group
            continue
        start = len(os.path.commonprefix([texts[place] for place in group]))  # noqa: RUF071  texts, no paths
        parts: dict[str, list[int]] = {}
        for place in group:
            piece = texts[place][start : start + PIECE]
            # What ends within the piece has no block in common with others.
            key = piece if len(piece) == PIECE else f"{place}"
            parts.setdefault(key, []).append(place)
        if len(parts) == 1 and start >= min(len(texts[place]) for place in group):
            ordered += group
            continue
        waiting.extend(reversed(list(parts.values())))
    return ordered
