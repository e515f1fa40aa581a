"""`Ledger`: the tasks of all plans of one question, and which of them may run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agentrt.ir.schema import Json, Schema, canonical_json
from agentrt.ir.tool import ToolSpec
from agentrt.planner.actions import RunTask
from agentrt.planner.arguments import arguments_problem
from agentrt.planner.outcome import Outcome, failed
from agentrt.planner.reader import BadLine
from agentrt.planner.task import Task, resolved

_Call = tuple[str, str]


class Ledger:
    """Decides when a task runs: as soon as what it reads is there, but for what writes.

    A tool that writes waits until its plan is whole and all lines above it have ended well, and
    lines below it wait for it: what it does to the world comes where the plan has it. Nothing is
    called twice with the same arguments once that has succeeded, in whichever plan, but for what
    may come to something else each time.

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
        if outcome.is_final:
            self._done[call] = outcome

    @property
    def is_settled(self) -> bool:
        """Whether all tasks there are have ended."""
        return all(task_id in self.outcomes for task_id in self._here)

    def runnable(self, *, is_whole: bool | None) -> list[RunTask]:
        """What may run now and has not been started, in order.

        Args:
            is_whole: Whether the plan is complete and sound; None: that is not known yet.
        """
        found: list[RunTask] = []
        has_changed = True
        while has_changed:  # a task that ends without running may be all another one waits for
            has_changed = False
            for task_id in self.here:
                if task_id in self.outcomes or task_id in self._running:
                    continue
                decided = self._decide(self._here[task_id], is_whole=is_whole)
                if isinstance(decided, Outcome):
                    self.outcomes[task_id] = decided
                    has_changed = True
                elif decided is not None:
                    call = _call(decided.task.tool, decided.arguments)
                    self._running[task_id] = call
                    found.append(decided)
        return found

    def _decide(self, task: Task, *, is_whole: bool | None) -> RunTask | Outcome | None:
        """Run it, or how it ends without running; None: wait."""
        spec = self._tools[task.tool]
        ended = self._awaited_outcome(task, spec, is_whole=is_whole)
        if not isinstance(ended, bool):
            return ended
        if not ended:
            return None
        values = {task_id: each.value for task_id, each in self.outcomes.items() if each.is_ok}
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
        self, task: Task, spec: ToolSpec, *, is_whole: bool | None
    ) -> Outcome | bool:
        """Whether all that `task` waits for has ended well; how it ends if that has not."""
        is_complete = True
        for read in self._awaited(task, spec):
            outcome = self.outcomes.get(read)
            if outcome is None:
                is_complete = False
            elif not outcome.is_ok:
                return failed(f"not run: task {read} failed")
        if any(task.id > above for above in self._barriers.values()):
            return False
        if spec.effects == "write" and is_whole is not True:
            if is_whole is False and is_complete:
                return failed("not run: the plan has lines that cannot be used")
            return False
        return is_complete

    def _awaited(self, task: Task, spec: ToolSpec) -> tuple[int, ...]:
        above = [task_id for task_id in self.here if task_id < task.id]
        if spec.effects == "write":
            return (*task.references, *above)
        writes = [
            task_id for task_id in above if self._tools[self._here[task_id].tool].effects == "write"
        ]
        return (*task.references, *writes[-1:])


def _call(tool: str, arguments: Mapping[str, Json]) -> _Call:
    return tool, canonical_json(arguments)


def _unknown(_task_id: int) -> Schema:
    return {}
