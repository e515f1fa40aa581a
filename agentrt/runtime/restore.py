"""What a resumed run takes from the store instead of doing it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, assert_never

from agentrt.errors import GraphError, ResumeError
from agentrt.ir.graph import Graph
from agentrt.ir.request import Completion, ToolCall
from agentrt.ir.schema import Json
from agentrt.planner.outcome import failed
from agentrt.runtime.executable import (
    AgentStep,
    BranchStep,
    LLMStep,
    LoopStep,
    MapStep,
    PlanStep,
    ToolStep,
)
from agentrt.runtime.instance import (
    AgentCall,
    AgentTurn,
    FreeRequest,
    FreeTool,
    Instance,
    PlanJoin,
    PlanTask,
    PlanWriting,
)
from agentrt.runtime.plan_outcome import is_same_call, task_from_json
from agentrt.store.base import NodeRecord, StoredRun

InFlight: TypeAlias = Literal["refuse", "retry", "skip"]

UNKNOWN_EFFECT = (
    "[the run was interrupted during this call: whether it took effect is not known, and it was "
    "not made again]"
)


class Restored:
    """Results of a stored run, by node instance.

    Attributes:
        skipped: Calls that may have taken effect and are not to be made again.
    """

    def __init__(self, stored: StoredRun, in_flight: Mapping[str, InFlight] | InFlight) -> None:
        self._finished: dict[str, NodeRecord] = {}
        interrupted: list[str] = []
        self.skipped: set[str] = set()
        for record in stored.nodes:
            if record.kind not in ("tool", "llm"):
                continue  # regions unroll again, from their children's results
            if record.status == "finished":
                self._finished[record.node_id] = record
            elif record.status == "started":
                interrupted.append(record.node_id)
        self._decide(interrupted, in_flight, stored.run.run_id)

    def has(self, instance: Instance) -> bool:
        """Whether there is a result of `instance`: of the same call, where the id does not tell."""
        record = self._finished.get(instance.id)
        if record is None:
            return instance.id in self.skipped
        return not isinstance(instance.work, PlanTask) or is_same_call(instance.work, record.value)

    def take(self, instance: Instance) -> Any:
        """The value of `instance`; its usage, attempts and times are set too.

        Raises:
            SchemaError: the stored value does not fit the type the node has now.
            ResumeError: the call is skipped, and its type leaves nothing to stand for its result.
        """
        if instance.id in self.skipped:
            return _in_place_of(instance)
        record = self._finished[instance.id]
        instance.usage = record.usage
        instance.attempts = record.attempts
        instance.started_s = record.started_s
        return _value(instance, record.value)

    def _decide(
        self, interrupted: list[str], in_flight: Mapping[str, InFlight] | InFlight, run_id: str
    ) -> None:
        undecided: list[str] = []
        for node_id in interrupted:
            choice = in_flight if isinstance(in_flight, str) else in_flight.get(node_id, "refuse")
            if choice == "skip":
                self.skipped.add(node_id)
            elif choice == "refuse":
                undecided.append(node_id)
        if undecided:
            raise ResumeError(
                f"run {run_id} was interrupted during calls that change the world: "
                f"{', '.join(undecided)}. Whether they took effect is not known. Say for each "
                "whether to make it again (retry) or to take it as done (skip)",
                nodes=undecided,
                run_id=run_id,
            )


def changed_nodes(stored_graph: Json, graph: Graph) -> list[str]:
    """The nodes that differ between a stored graph and the one there is now, by full id."""
    try:
        before = dict(Graph.from_json(stored_graph).walk())
    except GraphError:
        return ["every node (the stored graph cannot be read)"]
    after = dict(graph.walk())
    names = dict.fromkeys([*before, *after])
    changed = [name for name in names if before.get(name) != after.get(name)]
    return changed or ["the output or the tools"]


def _value(instance: Instance, data: Any) -> Any:
    work = instance.work
    match work:
        case ToolStep():
            return work.tool.result.from_json(data)
        case LLMStep():
            return work.answer.from_json(data)
        case AgentTurn() | PlanWriting() | PlanJoin():
            return completion_from_json(data)
        case PlanTask():
            return task_from_json(data)
        case AgentCall():
            return str(data)
        case (
            AgentStep()
            | PlanStep()
            | MapStep()
            | BranchStep()
            | LoopStep()
            | FreeTool()
            | FreeRequest()
        ):
            raise AssertionError("regions are put together from their children")
        case _:
            assert_never(work)


def _in_place_of(instance: Instance) -> Any:
    if isinstance(instance.work, AgentCall):
        return UNKNOWN_EFFECT
    if isinstance(instance.work, PlanTask):
        return failed(UNKNOWN_EFFECT, is_final=True)
    if isinstance(instance.work, ToolStep):
        try:
            return instance.work.tool.result.check(None)
        except Exception as error:
            raise ResumeError(
                f"{instance.id!r} cannot be skipped: it returns "
                f"{instance.work.tool.result.name}, and its result is not known",
                nodes=[instance.id],
                node_id=instance.id,
            ) from error
    raise AssertionError("only tool calls are recorded before they are made")


def completion_to_json(completion: Completion) -> dict[str, Any]:
    """A turn's completion as the store keeps it (its usage is kept beside it)."""
    return {
        "text": completion.text,
        "tool_calls": [[call.id, call.name, call.arguments] for call in completion.tool_calls],
        "finish_reason": completion.finish_reason,
        "model": completion.model,
    }


def completion_from_json(data: Any) -> Completion:
    """The inverse of `completion_to_json`."""
    return Completion(
        text=data["text"],
        tool_calls=tuple(ToolCall(*call) for call in data["tool_calls"]),
        finish_reason=data["finish_reason"],
        model=data["model"],
    )
