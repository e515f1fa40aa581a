"""How often a piece of a prompt changes. Prefix caches reuse a prompt up to its first change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

Stability: TypeAlias = Literal["always", "deployment", "workflow", "run", "turn", "call"]
"""`always`: static text. `deployment`: a setting of an installation. `workflow`: a constant that a
workflow was traced with. `run`: one value in a run. `turn`: one in a turn of a loop or an agent.
`call`: any call may have another."""

STABILITIES: tuple[Stability, ...] = ("always", "deployment", "workflow", "run", "turn", "call")
"""The most stable first: the order in which a prompt is best written."""

_RANKS = {stability: rank for rank, stability in enumerate(STABILITIES)}


def rank(stability: Stability) -> int:
    """0 for what never changes, and higher the more often it does."""
    return _RANKS[stability]


def least_stable(stabilities: Iterable[Stability]) -> Stability:
    """That of something made of parts with these; `always` of nothing."""
    found: Stability = "always"
    for stability in stabilities:
        if rank(stability) > rank(found):
            found = stability
    return found
