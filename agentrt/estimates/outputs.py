"""How long answers are."""

from __future__ import annotations

from agentrt.estimates.distribution import Distribution
from agentrt.estimates.grid import COUNTS
from agentrt.estimates.ladder import Ladder, Path
from agentrt.estimates.log_logistic import LogLogistic
from agentrt.estimates.stored_form import Json

PRIOR = LogLogistic(median=150.0, shape=1.5)
"""Completion tokens before anything is seen: the recorded agents have medians of 45 to 350."""

_TURN_SPANS = ("1", "2-3", "4-7", "8-15", "16-")


class OutputEstimates:
    """Completion tokens, by the ladder (workflow, span of turns), workflow, all, prior."""

    def __init__(self, *, shrinkage: float = 3.0, capacity: int = 256) -> None:
        self._ladder = Ladder(COUNTS, PRIOR, shrinkage=shrinkage, capacity=capacity)

    def observe(self, workflow: str, turn: int, completion_tokens: int) -> None:
        """Turn number `turn`, from 1, was answered with so many."""
        self._ladder.observe(_path(workflow, turn), completion_tokens)

    def completion_tokens(self, workflow: str, turn: int) -> Distribution:
        """What to expect of such a turn; its `elapsed` is what was answered so far."""
        return self._ladder.distribution(_path(workflow, turn))

    def merge(self, other: OutputEstimates) -> None:
        """Add what `other` has seen."""
        self._ladder.merge(other._ladder)

    def to_json(self) -> Json:
        return self._ladder.to_json()

    def load(self, data: Json) -> None:
        """Put what `to_json` gave in place of what was seen. Raises `StoreError` if it does not fit."""
        self._ladder.load(data)


def _path(workflow: str, turn: int) -> Path:
    return workflow, _TURN_SPANS[min(max(turn, 1).bit_length(), len(_TURN_SPANS)) - 1]
