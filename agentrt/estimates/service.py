"""How much more service a program needs."""

from __future__ import annotations

from agentrt.estimates.distribution import Distribution
from agentrt.estimates.grid import COUNTS
from agentrt.estimates.ladder import Ladder, Path
from agentrt.estimates.log_logistic import LogLogistic
from agentrt.estimates.stored_form import Json

SERVICE_PRIOR = LogLogistic(median=50_000.0, shape=1.2)
"""Tokens computed for a program in all, before any has ended."""


class ServiceEstimates:
    """How much service (tokens computed, say) programs need in all, for each workflow."""

    def __init__(self, *, shrinkage: float = 3.0, capacity: int = 128) -> None:
        self._ladder = Ladder(COUNTS, SERVICE_PRIOR, shrinkage=shrinkage, capacity=capacity)

    def observe(self, workflow: str, service: float) -> None:
        """A program has ended, after so much."""
        self._ladder.observe(_path(workflow), service)

    def total(self, workflow: str) -> Distribution:
        """What programs need; `expected_min` and `remaining_quantile` speak of what is left."""
        return self._ladder.distribution(_path(workflow))

    def gittins(self, workflow: str, attained: float) -> float:
        """The Gittins index of a program that has had `attained`: the highest goes first."""
        return self.total(workflow).gittins(attained)

    def merge(self, other: ServiceEstimates) -> None:
        """Add what `other` has seen."""
        self._ladder.merge(other._ladder)

    def to_json(self) -> Json:
        return self._ladder.to_json()

    def load(self, data: Json) -> None:
        """Put what `to_json` gave in place of what was seen. Raises `StoreError` if it does not fit."""
        self._ladder.load(data)


def _path(workflow: str) -> Path:
    return (workflow,) if workflow else ()
