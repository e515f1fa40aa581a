"""Node instances and the scopes they live in: the run graph, as the runtime holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from agentrt.dsl.functions import ToolFunction
from agentrt.ir.event import NodeKind
from agentrt.ir.expression import NodeId
from agentrt.ir.plan import NodePlan
from agentrt.ir.report import NodeReport
from agentrt.ir.request import Completion, Message, ToolCall, Usage
from agentrt.planner.actions import AskJoin, AskPlan, RunTask
from agentrt.runtime.evaluate import Values
from agentrt.runtime.executable import (
    UNPLANNED,
    AgentStep,
    BranchStep,
    Executable,
    LLMStep,
    LoopStep,
    MapStep,
    PlanStep,
    Step,
    ToolStep,
)
from agentrt.scheduler.progress import Child

if TYPE_CHECKING:
    from agentrt.runtime.regions import Region


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """The LLM call of one turn of an agent: `fix[3].llm`."""

    step: AgentStep
    messages: tuple[Message, ...]
    is_constrained: bool
    """Whether the answer must fit the agent's type: no tools are offered then."""
    is_last: Callable[[Completion], bool] | bool
    """Whether no other turn comes after it, as is known beforehand or as its answer tells."""


@dataclass(frozen=True, slots=True)
class AgentCall:
    """One tool call of a turn: `fix[3].bash[0]`."""

    step: AgentStep
    call: ToolCall
    asked_by: str
    """The instance of the turn."""


@dataclass(frozen=True, slots=True)
class PlanWriting:
    """A call that writes a plan, or lines of it: `ask[0].llm`, `ask[0].repair[1]`."""

    step: PlanStep
    ask: AskPlan


@dataclass(frozen=True, slots=True)
class PlanTask:
    """A task of a plan: `ask[0].t3.search`."""

    step: PlanStep
    run: RunTask


@dataclass(frozen=True, slots=True)
class PlanJoin:
    """The call that answers from the results, or asks for another plan: `ask[0].join`."""

    step: PlanStep
    ask: AskJoin


@dataclass(frozen=True, slots=True)
class FreeTool:
    """A tool call of a program in free Python: `search[0]`."""

    tool: ToolFunction[..., Any]


@dataclass(frozen=True, slots=True)
class FreeRequest:
    """A request of a program in free Python: `llm[0]`."""


Work: TypeAlias = (
    Step | AgentTurn | AgentCall | PlanWriting | PlanTask | PlanJoin | FreeTool | FreeRequest
)

Status: TypeAlias = Literal["open", "finished", "failed", "skipped", "cancelled"]


class Scope:
    """One activation of a graph: the values of its nodes.

    Attributes:
        prefix: What instance ids of this scope begin with: `fix[3].`. A body of a single step needs
            no name of its own: its one instance is `fix[3]`.
        values: By node id of the graph; inputs are filled in from the start.
        deferred: Inputs whose value is another scope's output, known once that has finished.
        maps: Maps of this scope that have begun, for maps that take their items one by one.
        partial: What there is of nodes that failed (the items of a map that did finish).
    """

    __slots__ = ("_only_id", "deferred", "executable", "maps", "partial", "prefix", "values")

    def __init__(self, executable: Executable, prefix: str, values: Values) -> None:
        self.executable = executable
        self.prefix = prefix
        is_single = prefix.endswith("].") and len(executable.steps) == 1
        self._only_id = prefix[:-1] if is_single else None
        self.values = values
        self.deferred: dict[NodeId, Scope] = {}
        self.maps: dict[NodeId, Region] = {}
        self.partial: Values = {}

    def resolve(self, node_id: NodeId) -> None:
        """Fill in the deferred inputs that the step `node_id` reads."""
        for name in self.executable.input_reads[node_id]:
            source = self.deferred.pop(name, None)
            if source is not None:
                self.values[name] = source.output()

    def output(self) -> Any:
        """The graph's value; call it once everything the output reads has finished."""
        for name in self.executable.output_inputs:
            source = self.deferred.pop(name, None)
            if source is not None:
                self.values[name] = source.output()
        return self.executable.output(self.values)

    def has_output(self) -> bool:
        """Whether everything the output reads has a value."""
        values = self.values
        return all(step in values for step in self.executable.output_steps) and all(
            name in values or self.deferred[name].has_output()
            for name in self.executable.output_inputs
        )

    def settles_with(self) -> tuple[str, ...]:
        """The instances after which `output()` can be called."""
        ids = [self._only_id or self.prefix + step for step in self.executable.output_steps]
        for name in self.executable.output_inputs:
            source = self.deferred.get(name)
            if source is not None:
                ids.extend(source.settles_with())
        return tuple(dict.fromkeys(ids))

    def instances(self, parent: Instance | None) -> list[tuple[Instance, Child]]:
        """An instance for every step, and what each waits for."""
        prefix = self.prefix
        executable = self.executable
        found: list[tuple[Instance, Child]] = []
        for step in executable.steps:
            node_id = step.node.id
            after = executable.reads[node_id]
            if prefix:
                after = tuple([prefix + read for read in after])
            if self.deferred:
                after += tuple(
                    source_id
                    for name in executable.input_reads[node_id]
                    if name in self.deferred
                    for source_id in self.deferred[name].settles_with()
                )
            if isinstance(step, MapStep) and step.item_sources:
                after += tuple(f"{prefix}{source}#expanded" for _, source in step.item_sources)
            instance_id = self._only_id or prefix + node_id
            instance = Instance(instance_id, step, self, parent, local_id=node_id)
            found.append((instance, Child(instance_id, after)))
        return found


class Instance:
    """One node instance of a run and how it fared.

    Attributes:
        local_id: The node's id in the graph of its scope; empty outside of scopes.
        started_s: When its first attempt began; of LLM calls, when it was sent.
    """

    __slots__ = (
        "attempts",
        "error",
        "finished_s",
        "id",
        "is_restored",
        "kind",
        "local_id",
        "parent",
        "region",
        "scope",
        "started_s",
        "status",
        "task",
        "usage",
        "value",
        "work",
    )

    def __init__(
        self,
        instance_id: str,
        work: Work,
        scope: Scope | None,
        parent: Instance | None,
        *,
        local_id: str = "",
    ) -> None:
        self.id = instance_id
        self.local_id = local_id
        self.kind: NodeKind = _KINDS[type(work)]
        self.work = work
        self.scope = scope
        self.parent = parent
        self.status: Status = "open"
        self.value: Any = None
        self.error: str | None = None
        self.usage = _NO_USAGE
        self.attempts = 1
        self.started_s: float | None = None
        self.finished_s: float | None = None
        self.is_restored = False
        self.task: asyncio.Task[None] | None = None
        self.region: Region | None = None

    @property
    def plan(self) -> NodePlan:
        """What the compiler knows of its node; of turns and calls of an agent, of the agent."""
        instance: Instance | None = self
        while instance is not None:
            if instance.scope is not None:
                return instance.scope.executable.plans.get(instance.local_id, UNPLANNED)
            instance = instance.parent
        return UNPLANNED

    def report(self) -> NodeReport:
        return NodeReport(
            node_id=self.id,
            kind=self.kind,
            status="cancelled" if self.status == "open" else self.status,
            started_s=self.started_s,
            finished_s=self.finished_s,
            attempts=self.attempts,
            usage=self.usage,
            error=self.error,
            is_restored=self.is_restored,
        )


_NO_USAGE = Usage()
_KINDS: dict[type[Any], NodeKind] = {
    ToolStep: "tool",
    LLMStep: "llm",
    AgentStep: "agent",
    MapStep: "map",
    BranchStep: "branch",
    LoopStep: "loop",
    AgentTurn: "llm",
    PlanStep: "plan",
    PlanWriting: "llm",
    PlanTask: "tool",
    PlanJoin: "llm",
    AgentCall: "tool",
    FreeTool: "tool",
    FreeRequest: "llm",
}
