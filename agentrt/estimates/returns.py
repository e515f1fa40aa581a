"""Whether a program goes on after a tool: some are the last thing that a program does."""

from __future__ import annotations

from agentrt.estimates.durations import ToolUse
from agentrt.estimates.ladder import Path
from agentrt.estimates.stored_form import Json, a_list, a_number, a_text, unfit

_DEEPEST = 3
_FIELDS = ("path", "came", "stayed")


class ReturnEstimates:
    """P(another call | a turn called this tool), by workflow and argument class.

    Agents may end with a tool whose result nobody brings: one that submits, or one that a forced choice
    made of structured output. Tools of one name in all workflows lend to those of a workflow, and these to
    their argument classes, each as if they were `shrinkage` observations. Bounded: the `capacity` paths
    updated last; each is halved when it has counted `memory`.
    """

    def __init__(self, *, shrinkage: float = 2.0, capacity: int = 1024, memory: int = 1024) -> None:
        self.shrinkage = shrinkage
        self.capacity = capacity
        self.memory = memory
        self._counts: dict[Path, tuple[float, float]] = {}

    def observe(self, workflow: str, use: ToolUse, *, came: bool) -> None:
        """A turn of `workflow` called it, and another call came, or has not for too long."""
        for path in _paths(workflow, use):
            self._add(path, float(came), float(not came))

    def came_after_all(self, workflow: str, use: ToolUse) -> None:
        """One that was observed not to come is here: that is taken back. To be observed as any other."""
        for path in _paths(workflow, use):
            came, stayed = self._counts.get(path, (0.0, 0.0))
            if stayed:
                self._counts[path] = came, max(0.0, stayed - 1.0)

    def comes_back(self, workflow: str, use: ToolUse, prior: float = 1.0) -> float:
        """P(another call comes), with `prior` as long as nothing is known of the tool."""
        chance = prior
        for path in _paths(workflow, use):
            came, stayed = self._counts.get(path, (0.0, 0.0))
            weight = came + stayed + self.shrinkage
            chance = (came + self.shrinkage * chance) / weight
        return chance

    def merge(self, other: ReturnEstimates) -> None:
        """Add what `other` has seen."""
        for path, (came, stayed) in other._counts.items():
            self._add(path, came, stayed)

    def to_json(self) -> Json:
        """In order of the last update: path, how many came, how many did not."""
        return [[list(path), came, stayed] for path, (came, stayed) in self._counts.items()]

    def load(self, data: Json) -> None:
        """Put what `to_json` gave in place of what was seen. Raises `StoreError` if it does not fit."""
        counts: dict[Path, tuple[float, float]] = {}
        for entry in a_list(data):
            fields = a_list(entry)
            if len(fields) != len(_FIELDS):
                raise unfit("returns that are not a path and two counts")
            path = tuple(a_text(name) for name in a_list(fields[0]))
            if not 0 < len(path) <= _DEEPEST:
                raise unfit(f"returns of {path!r}")
            counts[path] = a_number(fields[1], most=1e15), a_number(fields[2], most=1e15)
        self._counts = dict(list(counts.items())[-self.capacity :])

    def _add(self, path: Path, came: float, stayed: float) -> None:
        before = self._counts.pop(path, (0.0, 0.0))
        came, stayed = before[0] + came, before[1] + stayed
        if came + stayed > self.memory:
            came, stayed = came / 2.0, stayed / 2.0
        self._counts[path] = came, stayed
        while len(self._counts) > self.capacity:
            del self._counts[next(iter(self._counts))]


def _paths(workflow: str, use: ToolUse) -> tuple[Path, ...]:
    """From the most general to the closest."""
    if use.argument_class:
        return (use.tool,), (use.tool, workflow), (use.tool, workflow, use.argument_class)
    return (use.tool,), (use.tool, workflow)
