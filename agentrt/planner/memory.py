"""`PlanMemory`: what earlier plans have taught."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentrt.planner.cache import PlanCache
from agentrt.planner.guesses import PlanGuesses


@dataclass(frozen=True, slots=True)
class PlanMemory:
    """Plans to use again, and what to call before there is one: of all runs of a runtime."""

    cache: PlanCache = field(default_factory=PlanCache)
    guesses: PlanGuesses = field(default_factory=PlanGuesses)
