"""`Performer`: what starting a node instance means: call its tool, or its model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, assert_never

from agentrt.backends.base import OnChunk
from agentrt.clock import Clock
from agentrt.dsl.functions import ToolFunction
from agentrt.errors import InvariantError, SchemaError, ToolError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.request import Chunk, Completion, Request, ToolCall
from agentrt.ir.schema import Json
from agentrt.planner.memory import PlanMemory
from agentrt.runtime.call_observer import InstanceObserver
from agentrt.runtime.early_calls import EarlyCall, EarlyCalls, TurnCalls
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
from agentrt.runtime.journal import Journal
from agentrt.runtime.llm_calls import CallObserver, LLMCall, LLMCalls, first_messages
from agentrt.runtime.plan_outcome import task_to_json
from agentrt.runtime.restore import completion_to_json
from agentrt.runtime.run_tools import RunTools, observation
from agentrt.runtime.scheduled_program import ScheduledProgram
from agentrt.runtime.standing import standing_of
from agentrt.runtime.tool_calls import ToolCalls
from agentrt.scheduler.events import CallId


class Performer:
    """Performs the instances of one run.

    Attributes:
        program: The run, as the schedulers know it.
        early: Tool calls that start before the message that asks for them is whole.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        tools: ToolCalls,
        llms: LLMCalls,
        clock: Clock,
        program: ScheduledProgram,
        work: WorkEstimates,
    ) -> None:
        self._journal = journal
        self._llms = llms
        self._clock = clock
        self.program = program
        self._work = work
        self._tools = RunTools(tools, journal=journal, program=program, work=work, now=self.now)
        self.early = EarlyCalls(now=self.now)
        self._latest_calls: dict[str, CallId] = {}
        self._origin_s = clock.now()

    @property
    def run_id(self) -> str:
        return self._journal.run_id

    @property
    def plans(self) -> PlanMemory:
        """What plans of all runs of the runtime have taught."""
        return self._llms.plans

    def now(self) -> float:
        """Seconds since the run started."""
        return self._clock.now() - self._origin_s

    def start_at(self, elapsed_s: float) -> None:
        """Count on from where a stored run had got to."""
        self._origin_s = self._clock.now() - elapsed_s

    def learn_agent(self, instance: Instance, step: AgentStep) -> None:
        """An agent has its answer."""
        if instance.started_s is not None:
            self._work.observe("agent", step.node.function, self.now() - instance.started_s)

    async def tool(self, instance: Instance) -> Any:
        """A tool node's result."""
        step = instance.work
        scope = instance.scope
        if not isinstance(step, ToolStep) or scope is None:
            raise InvariantError(f"{instance.id!r} is no tool node")
        arguments = step.arguments(scope.values)
        return await self._called(instance, step.tool, arguments)

    async def llm(self, instance: Instance) -> Any:
        """An LLM node's answer, as a value of its type."""
        step = instance.work
        scope = instance.scope
        if not isinstance(step, LLMStep) or scope is None:
            raise InvariantError(f"{instance.id!r} is no LLM node")
        system, user = step.prompt(scope.values)
        request = Request(
            messages=first_messages(system, user, step.answer.instructions),
            output_schema=step.answer.answer_schema,
            options=step.node.options,
            program_id=self._journal.run_id,
            node_id=instance.id,
        )
        call = LLMCall(
            request=request,
            program=self.program,
            observer=self._observer(instance),
            on_chunk=self.watching(instance),
            is_last=True,
            standing=standing_of(instance.plan),
            expects_more=False,
        )
        answer = await self._llms.answer(call, step.answer)
        if instance.started_s is not None:
            self._work.observe("llm", step.node.function, self.now() - instance.started_s)
        return answer

    async def turn(self, instance: Instance) -> Completion:
        """The completion of one turn of an agent."""
        turn = instance.work
        if not isinstance(turn, AgentTurn):
            raise InvariantError(f"{instance.id!r} is no turn of an agent")
        step = turn.step
        request = Request(
            messages=turn.messages,
            tools=() if turn.is_constrained else step.shown,
            output_schema=step.answer.answer_schema if turn.is_constrained else None,
            options=step.node.options,
            program_id=self._journal.run_id,
            node_id=instance.id,
        )
        observer: CallObserver = self._observer(instance)
        early = self._early_turn(instance, turn)
        if early is not None:
            observer = early.observed(observer)
        call = LLMCall(
            request=request,
            program=self.program,
            observer=observer,
            on_chunk=self.watching(instance, early),
            is_last=turn.is_last,
            standing=standing_of(instance.plan),
            expects_more=turn.is_last is not True,
        )
        try:
            completion = await self._llms.complete(call)
        except BaseException:
            self.early.end_turn(instance.id)
            raise
        if early is not None:
            early.keep_only(completion)
        return completion

    async def agent_call(self, instance: Instance) -> str:
        """What an agent sees of a tool call: its result as text, or what went wrong."""
        work = instance.work
        if not isinstance(work, AgentCall):
            raise InvariantError(f"{instance.id!r} is no call of an agent")
        tools = {tool.name: tool for tool in work.step.tools}
        tool = tools.get(work.call.name)
        if tool is None:
            known = ", ".join(tools) or "none"
            return f"error: there is no tool {work.call.name!r}; the tools are: {known}"
        try:
            arguments = tool.parse_arguments(work.call.arguments)
        except SchemaError as error:
            return f"error: {error}"
        try:
            early = self.early.take(work.asked_by, work.call)
            result = await self._called(instance, tool, arguments, is_cut=True, early=early)
        except ToolError as error:
            return f"error: {error}"
        try:
            return observation(tool, result)
        except Exception as error:  # noqa: BLE001  a value that no JSON can hold: the tool's fault
            return f"error: the result of {tool.name!r} cannot be shown: {error}"

    async def free_tool(
        self,
        instance: Instance,
        tool: ToolFunction[..., Any],
        arguments: dict[str, Any],
        *,
        early: EarlyCall | None = None,
    ) -> Any:
        """The result of a tool call that belongs to no graph; of `early`, if it is under way already."""
        return await self._called(instance, tool, arguments, early=early)

    def start_early(
        self,
        instance: Instance,
        tools: Sequence[ToolFunction[..., Any]],
        calls: Sequence[ToolCall],
    ) -> int:
        """Start calls that `instance` may come to ask for; how many. `early.take` hands them out."""
        start = partial(self._tools.made, instance, is_cut=False)
        return self.early.start(instance.id, {tool.name: tool for tool in tools}, calls, start)

    async def free_request(
        self, instance: Instance, request: Request, on_chunk: OnChunk | None
    ) -> Completion:
        """The answer to a request that belongs to no graph."""
        call = LLMCall(
            request=request,
            program=self.program,
            observer=self._observer(instance),
            on_chunk=on_chunk,
            is_text_final=True,
        )
        return await self._llms.complete(call)

    def to_json(self, instance: Instance) -> Json:
        """An instance's value as the store keeps it; regions' values are their children's."""
        work = instance.work
        match work:
            case ToolStep():
                return work.tool.result.to_json(instance.value)
            case LLMStep() | AgentStep() | PlanStep():
                return work.answer.to_json(instance.value)
            case AgentTurn() | PlanWriting() | PlanJoin():
                return completion_to_json(instance.value)
            case PlanTask():
                return task_to_json(work, instance.value)
            case AgentCall():
                return instance.value
            case FreeTool():
                return work.tool.result.to_json(instance.value)
            case FreeRequest():
                return completion_to_json(instance.value)
            case MapStep() | BranchStep() | LoopStep():
                return None
            case _:
                assert_never(work)

    async def _called(
        self,
        instance: Instance,
        tool: ToolFunction[..., Any],
        arguments: dict[str, Any],
        *,
        is_cut: bool = False,
        early: EarlyCall | None = None,
    ) -> Any:
        agent = "" if instance.parent is None else instance.parent.id
        asked_by = self._latest_calls.get(agent)
        return await self._tools.call(
            instance, tool, arguments, is_cut=is_cut, early=early, asked_by=asked_by
        )

    def _early_turn(self, instance: Instance, turn: AgentTurn) -> TurnCalls | None:
        if turn.is_constrained:
            return None
        tools = {tool.name: tool for tool in turn.step.tools}
        start = partial(self._tools.made, instance, is_cut=True)
        return self.early.turn(instance.id, tools, instance.plan.early_tools, start)

    def _observer(self, instance: Instance) -> InstanceObserver:
        calls = self._latest_calls if isinstance(instance.work, AgentTurn) else None
        return InstanceObserver(instance, self._journal, self.now, self._origin_s, calls)

    def watching(self, instance: Instance, then: OnChunk | None = None) -> OnChunk | None:
        """Tells observers of each chunk, then `then`; None if nobody wants to know."""
        if not self._journal.is_watched:
            return then

        def on_chunk(chunk: Chunk) -> None:
            if chunk.text:
                self._journal.received(instance, chunk.text, self.now())
            if then is not None:
                then(chunk)

        return on_chunk
