"""How long nodes of a graph take, each by what it calls."""

from __future__ import annotations

from typing import Literal, TypeAlias

from agentrt.estimates.grid import SECONDS
from agentrt.estimates.ladder import Ladder
from agentrt.estimates.log_logistic import LogLogistic

WorkKind: TypeAlias = Literal["tool", "llm", "agent"]

PRIOR = LogLogistic(median=1.0, shape=1.0)
"""Of what was never seen, next to things that were."""


class WorkEstimates:
    """Seconds a call takes, by the ladder (kind, name of the tool or function), kind, everything.

    From its start to its end: what it waited before is not counted.
    """

    def __init__(self, *, shrinkage: float = 3.0, capacity: int = 512) -> None:
        self._ladder = Ladder(SECONDS, PRIOR, shrinkage=shrinkage, capacity=capacity)
        self._is_known = False

    @property
    def is_known(self) -> bool:
        """Whether anything was seen at all."""
        return self._is_known

    def observe(self, kind: WorkKind, name: str, seconds: float) -> None:
        """A call of `name` took so long."""
        self._is_known = True
        self._ladder.observe((kind, name), max(seconds, 0.0))

    def seconds(self, kind: WorkKind, name: str) -> float | None:
        """The median to expect; None before anything was seen."""
        if not self._is_known:
            return None
        return self._ladder.distribution((kind, name)).quantile(0.5)

    def has_seen(self, kind: WorkKind, name: str) -> bool:
        """Whether a call of `name` was seen."""
        return self._ladder.count((kind, name)) > 0
