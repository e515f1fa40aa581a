"""`Ledger`: the tasks of all plans of one question, and which of them may run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agentrt.ir.schema import Json, Schema, canonical_json
from agentrt.ir.tool import ToolSpec
from agentrt.planner.actions import RunTask
from agentrt.planner.arguments import arguments_problem
from agentrt.planner.outcome import Outcome, failed
from agentrt.planner.reader import BadLine
from agentrt.planner.task import Task, resolved

_Call = tuple[str, str]
_SHORT = 80


class Ledger:
    """Decides when a task runs: as soon as what it reads is there, but for what writes.

    A tool that writes waits until its plan is whole and all lines above it have ended well, and
    lines below it wait for it: what it does to the world comes where the plan has it. Nothing is
    called twice with the same arguments once that has succeeded, in whichever plan, but for what
    may come to something else each time, and for what reads the world after a write has changed it.

    Attributes:
        tasks: All there are, by number.
        outcomes: Of those that have ended.
    """

    def __init__(self, tools: Iterable[ToolSpec]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._has_writes = any(tool.effects == "write" for tool in self._tools.values())
        self.tasks: dict[int, Task] = {}
        self.outcomes: dict[int, Outcome] = {}
        self._plan = 0
        self._here: dict[int, Task] = {}
        self._reads: dict[int, tuple[int, ...]] = {}
        self._waiting: set[int] = set()
        self._running: dict[int, _Call] = {}
        self._done: dict[_Call, Outcome] = {}
        self._barriers: dict[int, int] = {}
        self._given_up: list[int] = []

    @property
    def here(self) -> tuple[int, ...]:
        """The tasks of this plan, in order."""
        return tuple(sorted(self._here))

    @property
    def asked(self) -> tuple[int, ...]:
        """All that this plan asked for: its tasks, and the lines that were given up on."""
        return tuple(sorted([*self._here, *self._given_up]))

    def shown(self, max_characters: int) -> list[tuple[int, str]]:
        """How the tasks of this plan ended, by number, as the joiner reads it.

        What equal calls share is told once, in the plan that made the call.
        """
        first = {id(self.outcomes[each]): each for each in sorted(self.outcomes, reverse=True)}
        found: list[tuple[int, str]] = []
        for task_id in self.asked:
            outcome = self.outcomes[task_id]
            text, made_by = outcome.shown(max_characters), first[id(outcome)]
            is_told = made_by != task_id and len(text) > _SHORT
            found.append((task_id, f"the same as ${made_by}" if is_told else text))
        return found

    @property
    def next_id(self) -> int:
        """A number that no task has."""
        return 1 + max([*self.tasks, *self.outcomes], default=0)

    def next_plan(self) -> None:
        """What follows belongs to another plan."""
        self._plan += 1
        self._here = {}
        self._barriers = {}
        self._given_up = []

    def add(self, task: Task) -> None:
        self.outcomes.pop(task.id, None)  # of a line of an earlier plan that was given up on
        self.tasks[task.id] = self._here[task.id] = task
        self._reads[task.id] = task.references
        self._waiting.add(task.id)

    def bad(self, line: BadLine) -> None:
        """A line that may be repaired: until then, what is below it may have to wait for it."""
        spec = self._tools.get(line.tool or "")
        if self._has_writes and (spec is None or spec.effects == "write"):
            above = max(self._here, default=0)
            self._barriers[line.line] = above if line.id is None else line.id

    def mended(self) -> None:
        """No line is bad any more, or none will be repaired."""
        self._barriers = {}

    def give_up_on(self, line: BadLine) -> None:
        """There will be no such task: those that read it do not run."""
        task_id = self.next_id if line.id is None else line.id
        self._given_up.append(task_id)
        self.outcomes[task_id] = failed(f"the line of the plan cannot be used: {line.why}")

    def ended(self, task_id: int, outcome: Outcome) -> None:
        self.outcomes[task_id] = outcome
        call = self._running.pop(task_id)
        if self._tools[call[0]].effects == "write":  # whatever came of it
            self._done = {
                each: done
                for each, done in self._done.items()
                if self._tools[each[0]].effects != "read"
            }
        if outcome.is_final:
            self._done[call] = outcome

    @property
    def is_settled(self) -> bool:
        """Whether all tasks there are have ended."""
        return not self._waiting and not self._running

    def runnable(self, *, is_whole: bool | None) -> list[RunTask]:
        """What may run now and has not been started, in order.

        Args:
            is_whole: Whether the plan is complete and sound; None: that is not known yet.
        """
        found: list[RunTask] = []
        above = _Above()
        for task_id in self.here if self._waiting else ():
            task = self._here[task_id]
            if task_id in self._waiting:
                decided = self._decide(task, above, is_whole=is_whole)
                if isinstance(decided, Outcome):
                    self.outcomes[task_id] = decided
                elif decided is not None:
                    self._running[task_id] = _call(task.tool, decided.arguments)
                    found.append(decided)
                if decided is not None:
                    self._waiting.remove(task_id)
            is_write = self._tools[task.tool].effects == "write"
            above.add(task_id, self.outcomes.get(task_id), is_write=is_write)
        return found

    def _decide(
        self, task: Task, above: _Above, *, is_whole: bool | None
    ) -> RunTask | Outcome | None:
        """Run it, or how it ends without running; None: wait."""
        spec = self._tools[task.tool]
        ended = self._awaited_outcome(task, above, is_whole=is_whole)
        if not isinstance(ended, bool):
            return ended
        if not ended:
            return None
        values = {read: self.outcomes[read].value for read in self._reads[task.id]}
        try:
            arguments = {name: resolved(each, values) for name, each in task.arguments.items()}
        except LookupError as error:
            return failed(f"not run: {error.args[0]}")
        if problem := arguments_problem(spec, arguments, _unknown):
            return failed(f"not run: {problem}")
        call = _call(task.tool, arguments)
        if call in self._done and (spec.is_deterministic or spec.effects == "write"):
            return self._done[call]
        is_shared = spec.effects != "write" and spec.is_deterministic
        if is_shared and call in self._running.values():
            return None
        return RunTask(plan=self._plan, task=task, arguments=arguments)

    def _awaited_outcome(
        self, task: Task, above: _Above, *, is_whole: bool | None
    ) -> Outcome | bool:
        """Whether all that `task` waits for has ended well; how it ends if that has not."""
        is_write = self._tools[task.tool].effects == "write"
        awaited = [*self._reads[task.id], *([] if is_write else above.last_write)]
        outcomes = [self.outcomes.get(read) for read in awaited]
        broken = [
            read
            for read, outcome in zip(awaited, outcomes, strict=True)
            if outcome is not None and not outcome.is_ok
        ]
        if is_write:
            broken += above.first_failed
        if broken:
            return failed(f"not run: task {broken[0]} failed")
        if any(task.id > barrier for barrier in self._barriers.values()):
            return False
        is_complete = None not in outcomes and not (is_write and above.is_open)
        if is_write and is_whole is not True:
            if is_whole is False and is_complete:
                return failed("not run: the plan has lines that cannot be used")
            return False
        return is_complete


@dataclass(slots=True)
class _Above:
    """What is known of the tasks above one, whose numbers are all smaller.

    Attributes:
        is_open: One of them has not ended.
        first_failed: The first that has ended badly, if there is one.
        last_write: The last that writes, if there is one.
    """

    is_open: bool = False
    first_failed: list[int] = field(default_factory=list[int])
    last_write: list[int] = field(default_factory=list[int])

    def add(self, task_id: int, outcome: Outcome | None, *, is_write: bool) -> None:
        if outcome is None:
            self.is_open = True
        elif not outcome.is_ok and not self.first_failed:
            self.first_failed = [task_id]
        if is_write:
            self.last_write = [task_id]


def _call(tool: str, arguments: Mapping[str, Json]) -> _Call:
    return tool, canonical_json(arguments)


def _unknown(_task_id: int) -> Schema:
    return {}
