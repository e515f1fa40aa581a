"""When a program makes its next call: from a completion, through its tools, to the next LLM call.

Not how long a tool runs: siblings, joins and the client's own time count too, since the KV cache
lies idle through all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agentrt.estimates.distribution import Distribution
from agentrt.estimates.grid import SECONDS
from agentrt.estimates.ladder import Ladder, Path
from agentrt.estimates.log_logistic import LogLogistic
from agentrt.estimates.remaining import Join, Remaining
from agentrt.estimates.stored_form import Json, a_field, an_object

PRIOR = LogLogistic(median=1.0, shape=1.0)
"""Before anything is seen: a second, as Continuum's prior, but with a tail that admits minutes."""

PERSON_PRIOR = LogLogistic(median=60.0, shape=1.0)
"""Without a tool it is mostly a person who is waited for."""

OVERHEAD_PRIOR = LogLogistic(median=0.02, shape=1.0)
"""From the last tool's return to the next call: the client's own time."""


class ToolUse(NamedTuple):
    """A tool a turn calls; `argument_class` is empty where nothing is known of the arguments."""

    tool: str
    argument_class: str = ""


class NextCallEstimates:
    """Learns from turns that led to a next call; answers for turns that may.

    The ladder is (tool, argument class), tool, all tools, prior. Turns without a tool are kept
    apart, by workflow: no tool tells anything about them. For the moments before it is known what
    a turn calls, all turns of a workflow are counted together as well.
    """

    def __init__(self, *, shrinkage: float = 3.0, capacity: int = 512) -> None:
        self._tools = Ladder(SECONDS, PRIOR, shrinkage=shrinkage, capacity=capacity)
        self._persons = Ladder(SECONDS, PERSON_PRIOR, shrinkage=shrinkage, capacity=capacity // 4)
        self._workflows = Ladder(SECONDS, PRIOR, shrinkage=shrinkage, capacity=capacity // 4)
        self._overhead = Ladder(SECONDS, OVERHEAD_PRIOR, capacity=0)

    def observe(self, use: ToolUse, seconds: float) -> None:
        """A turn with this one tool was followed by a call after `seconds`."""
        self._tools.observe(_path(use), seconds)

    def observe_join(self, uses: Sequence[tuple[ToolUse, float]], seconds: float) -> None:
        """A turn with several tools, each returned after its own time, was followed by a call.

        All times from the completion. Each tool learns when a call would have followed it alone:
        its own time, and what passed between the last return and the call.
        """
        after = self._after(uses, seconds)
        for use, own in uses:
            self._tools.observe(_path(use), own + after)

    def observe_no_tool(self, workflow: str, seconds: float) -> None:
        """A turn without a tool was followed by a call after `seconds`."""
        self._persons.observe((workflow,) if workflow else (), seconds)

    def observe_any(self, workflow: str, seconds: float) -> None:
        """A turn of `workflow`, whatever tools it had, was followed by a call after `seconds`."""
        self._workflows.observe((workflow,) if workflow else (), seconds)

    def next_call(self, pending: Sequence[ToolUse]) -> Remaining:
        """Time from a completion to the next call, given the tools that have not returned yet."""
        if len(pending) == 1:
            return self._tools.distribution(_path(pending[0]))
        if not pending:
            return self._overhead.distribution()
        return Join(tuple(self._tools.distribution(_path(use)) for use in pending))

    def next_call_of(self, use: ToolUse) -> Distribution:
        """The same for a turn with one tool."""
        return self._tools.distribution(_path(use))

    def next_call_without_tool(self, workflow: str) -> Distribution:
        """Time from a completion to the next call where no tool was called."""
        return self._persons.distribution((workflow,) if workflow else ())

    def next_call_of_any(self, workflow: str) -> Distribution:
        """Time from a completion to the next call where it is not known yet what the turn calls."""
        return self._workflows.distribution((workflow,) if workflow else ())

    def glance_at_any(self, workflow: str) -> Distribution:
        """The same for who only looks on: later answers are what they would have been."""
        return self._workflows.glance((workflow,) if workflow else ())

    def after_tools(self) -> Distribution:
        """Time from the last tool's return to the next call."""
        return self._overhead.distribution()

    def observe_after_tools(self, seconds: float) -> None:
        """The next call came `seconds` after the last tool's return."""
        self._overhead.observe((), seconds)

    def merge(self, other: NextCallEstimates) -> None:
        """Add what `other` has seen."""
        self._tools.merge(other._tools)
        self._persons.merge(other._persons)
        self._workflows.merge(other._workflows)
        self._overhead.merge(other._overhead)

    def to_json(self) -> Json:
        return {
            "tools": self._tools.to_json(),
            "persons": self._persons.to_json(),
            "workflows": self._workflows.to_json(),
            "overhead": self._overhead.to_json(),
        }

    def load(self, data: Json) -> None:
        """Put what `to_json` gave in place of what was seen. Raises `StoreError` if it does not fit."""
        fields = an_object(data)
        self._tools.load(a_field(fields, "tools"))
        self._persons.load(a_field(fields, "persons"))
        self._workflows.load(a_field(fields, "workflows"))
        self._overhead.load(a_field(fields, "overhead"))

    @staticmethod
    def _after(uses: Sequence[tuple[ToolUse, float]], seconds: float) -> float:
        return max(0.0, seconds - max((own for _, own in uses), default=0.0))


def _path(use: ToolUse) -> Path:
    if use.argument_class:
        return use.tool, use.argument_class
    return (use.tool,) if use.tool else ()
