"""`PlanReader`: a plan's text in, in pieces of any size; its tasks out, each as its line ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeAlias

from agentrt.ir.schema import Schema
from agentrt.ir.tool import ToolSpec
from agentrt.planner.arguments import arguments_problem
from agentrt.planner.line import LineError, LineHead, is_join, is_tool_name, read_head, read_line
from agentrt.planner.task import Reference, Task, references

MAX_LINE = 100_000
"""Characters of a line; what is longer is bad, whatever it says."""

Check: TypeAlias = Callable[[Task], str | None]
"""What else is wrong with a task, whose arguments fit the schemas; None when nothing is."""


@dataclass(frozen=True, slots=True)
class TaskReady:
    """A line is complete and sound."""

    task: Task


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that asks for a task and cannot be used.

    Attributes:
        line: Counted from 1.
        text: The line, cut if it is very long.
        why: In words a model can act on.
        id: The number its task would have; None if it has none, or one that is taken, or if it
            refers to such a line.
        tool: The name it calls, as far as can be told.
    """

    line: int
    text: str
    why: str
    id: int | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """A line that asks for nothing: prose, a fence, a task that is there already.

    In a repair: a line that nobody asked for. Nobody needs to act on it.
    """

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """The plan says that it is complete. Whatever follows is not read."""


@dataclass(frozen=True, slots=True)
class TooManyTasks:
    """The plan asks for more tasks than allowed. Whatever follows is not read."""

    limit: int


PlanEvent: TypeAlias = TaskReady | BadLine | Remark | Joined | TooManyTasks

_SHOWN = 400


class PlanReader:
    """Reads one plan. It never raises for what a model wrote.

    How the text is cut into pieces makes no difference: an event comes with the piece that ends its
    line.

    Attributes:
        tasks: Those that are sound, by number, earlier plans' included.
        bad: Lines that have yet to be replaced: feeding a sound line of the same number does.
        is_joined: Whether the plan is complete, but for what is bad of it.
        is_over: Whether what follows is not read.
        read: Characters of the text, from its start or from `reopen`, that were read as lines.
    """

    def __init__(
        self,
        tools: Iterable[ToolSpec],
        *,
        earlier: Iterable[Task] = (),
        max_tasks: int = 64,
        check: Check | None = None,
    ) -> None:
        """Start with nothing read.

        Args:
            tools: What may be called.
            earlier: Tasks of plans before this one, which it may refer to.
            max_tasks: Of this plan, bad lines counted in.
            check: Asked about tasks that fit the schemas.
        """
        self._tools = {tool.name: tool for tool in tools}
        self._max_tasks = max_tasks
        self._check = check
        self._line = 0
        self._pieces: list[str] = []
        self._length = 0
        self._received = 0
        self._moved: set[int] = set()
        self.read = 0
        self.tasks: dict[int, Task] = {task.id: task for task in earlier}
        self._earlier = frozenset(self.tasks)
        self.bad: list[BadLine] = []
        self.is_joined = False
        self.is_over = False

    def feed(self, text: str) -> list[PlanEvent]:
        """What the lines that end in `text` say, in order."""
        events: list[PlanEvent] = []
        start = 0
        while not self.is_over:
            end = text.find("\n", start)
            if end < 0:
                self._keep(text[start:])
                break
            self._keep(text[start:end])
            self.read = self._received + end + 1
            self._end_line(events)
            start = end + 1
        self._received += len(text)
        return events

    def close(self, *, is_cut: bool = False) -> list[PlanEvent]:
        """The text is over: what its last line says.

        With `is_cut` it stops in the middle: a last line that is no good then is no line.
        """
        events: list[PlanEvent] = []
        line = "".join(self._pieces)
        if not self.is_over and not (is_cut and not _is_line(line)):
            self.read += len(line)
            self._end_line(events)
        return events

    def reopen(self, *, is_complete: bool = False) -> None:
        """Read on, after `close`: more lines, or other ones for those that are bad.

        Bad lines without a number of their own get one, for others to replace them by. If the plan
        `is_complete`, lines for those that are bad are all that is read.
        """
        numbers = count(1 + max([*self.tasks, *(bad.id or 0 for bad in self.bad)], default=0))
        self.bad = [replace(bad, id=next(numbers)) if bad.id is None else bad for bad in self.bad]
        self._pieces, self._length = [], 0
        self._received = self.read = 0
        self._moved = set()
        self.is_joined, self.is_over = self.is_joined or is_complete, False

    def _keep(self, piece: str) -> None:
        # One character more than allowed is enough to know; a line without end must not fill memory.
        room = MAX_LINE + 1 - self._length
        if piece and room > 0:
            self._pieces.append(piece[:room])
            self._length += len(piece[:room])

    def _end_line(self, events: list[PlanEvent]) -> None:
        line = "".join(self._pieces)
        self._pieces, self._length = [], 0
        self._line += 1
        if line.strip():
            events.append(self._read(line))

    def _read(self, line: str) -> PlanEvent:
        if is_join(line, has_tool_join="join" in self._tools):
            self.is_joined = self.is_over = True
            return Joined()
        head = read_head(line)
        if not self._is_asked_for(head, line):
            return Remark(self._line, line[:_SHOWN])
        here = len(self.tasks) - len(self._earlier) + len(self.bad)
        if here >= self._max_tasks and head.id not in self._promised:
            self.is_over = True
            return TooManyTasks(self._max_tasks)
        try:
            task = read_line(line) if len(line) <= MAX_LINE else None
            why = f"it is over {MAX_LINE} characters" if task is None else self._problem(task)
        except LineError as error:
            task, why = None, str(error)
        if task is None or why is not None:
            return self._refused(line, why or "", head, task)
        self.tasks[task.id] = task
        self.bad = [each for each in self.bad if each.id != task.id]
        self.is_over = self.is_joined and not self.bad
        return TaskReady(task)

    @property
    def _promised(self) -> frozenset[int]:
        """Numbers of lines that are bad: others will stand in their place."""
        return frozenset(bad.id for bad in self.bad if bad.id is not None)

    def _is_asked_for(self, head: LineHead, line: str) -> bool:
        """Whether a line is a task that is not there yet, and in a repair one of those wanted."""
        if self.is_joined:
            return head.id in self._promised
        if head.id is None:
            return head.tool in self._tools
        known = self.tasks.get(head.id)
        return known is None or not _says(line, known)

    def _refused(self, line: str, why: str, head: LineHead, task: Task | None) -> BadLine:
        read = () if task is None else task.references
        is_moved = head.id in self.tasks or not self._moved.isdisjoint(read)
        wanted = None if is_moved else head.id
        if is_moved and head.id is not None:
            self._moved.add(head.id)
        bad = BadLine(self._line, line[:_SHOWN], why, wanted, head.tool)
        self.bad = [each for each in self.bad if each.id is None or each.id != wanted]
        self.bad.append(bad)
        return bad

    def _problem(self, task: Task) -> str | None:
        if task.id in self.tasks:
            return f"there is another task {task.id} already"
        spec = self._tools.get(task.tool)
        if spec is None:
            return f"there is no tool {task.tool[:40]!r}; the tools are: {', '.join(self._tools)}"
        for reference in references(dict(task.arguments)):
            if problem := self._reference_problem(task, reference):
                return problem
        problem = arguments_problem(spec, task.arguments, self._output_of)
        return problem or (None if self._check is None else self._check(task))

    def _reference_problem(self, task: Task, reference: Reference) -> str | None:
        read = reference.task
        if read == task.id:
            return f"it refers to itself: {reference}"
        if read in self._moved:
            return f"it refers to {reference}, but the line of that number is to get another one"
        if read not in self.tasks and read not in self._promised:
            return f"it refers to {reference}, but there is no task {read} above it"
        if read > task.id and read not in self._earlier:
            # What writes waits for all smaller numbers: one of those must not wait for it.
            return f"it refers to {reference}, but may refer only to smaller numbers than its own"
        return None

    def _output_of(self, task_id: int) -> Schema:
        task = self.tasks.get(task_id)
        spec = None if task is None else self._tools.get(task.tool)
        return {} if spec is None else spec.output


def _says(line: str, task: Task) -> bool:
    """Whether `line` says `task` once more: models like to repeat what there is of a plan."""
    try:
        return len(line) <= MAX_LINE and str(read_line(line)) == str(task)
    except LineError:
        return False


def _is_line(line: str) -> bool:
    try:
        read_line(line)
    except LineError:
        return is_join(line)
    return True


def frozen_tools(tools: Iterable[ToolSpec]) -> tuple[ToolSpec, ...]:
    """Copies whose schemas nobody else can change while a plan is under way.

    Raises:
        ValueError: two have one name, or a plan cannot call one by it.
    """
    found: dict[str, ToolSpec] = {}
    for tool in tools:
        if tool.name in found:
            raise ValueError(f"two tools are called {tool.name!r}")
        if not is_tool_name(tool.name):
            raise ValueError(
                f"a plan cannot call a tool {tool.name!r}: give it a name without spaces, commas, "
                "quotes, equals signs and parentheses"
            )
        found[tool.name] = replace(
            tool, parameters=deepcopy(dict(tool.parameters)), output=deepcopy(dict(tool.output))
        )
    return tuple(found.values())
