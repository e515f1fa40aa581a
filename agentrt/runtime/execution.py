"""`Execution`: one run. Performs what `Progress` answers and feeds back what happened."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal, assert_never

from agentrt.errors import (
    AgentRTError,
    InvariantError,
    RunCancelled,
    RunError,
    ToolError,
)
from agentrt.ir.event import RunStatus
from agentrt.runtime.agent import AgentRegion
from agentrt.runtime.ending import Ending, as_run_error, only_cause
from agentrt.runtime.evaluate import Values, evaluate_partial
from agentrt.runtime.executable import (
    AgentStep,
    BranchStep,
    Executable,
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
    Scope,
)
from agentrt.runtime.journal import Journal
from agentrt.runtime.perform import Performer
from agentrt.runtime.plan import PlanRegion
from agentrt.runtime.plan_calls import join, run_task, write_plan
from agentrt.runtime.region_of_step import region_of
from agentrt.runtime.regions import Broken, Done, Expand, MapRegion, Outcome
from agentrt.runtime.restore import Restored
from agentrt.scheduler.progress import (
    Advance,
    Cancelled,
    Child,
    Expanded,
    Failed,
    Finished,
    InstanceState,
    Progress,
    ProgressAction,
    Skip,
    Start,
    Stop,
)


class Execution:
    """One run, from its first node to its last. Use it once."""

    def __init__(
        self,
        executable: Executable,
        inputs: Values,
        *,
        journal: Journal,
        performer: Performer,
        on_error: Literal["fail", "collect"],
        restored: Restored | None = None,
    ) -> None:
        self._journal = journal
        self._performer = performer
        self._on_error = on_error
        self._restored = restored
        self._progress = Progress(on_error=on_error)
        self._scope = Scope(executable, "", inputs)
        self._instances: dict[str, Instance] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._actions: deque[ProgressAction] = deque()
        self._is_performing = False
        self._cancelled: str | None = None
        self._settled: asyncio.Future[None] | None = None
        self.errors: dict[str, AgentRTError] = {}

    @property
    def instances(self) -> tuple[Instance, ...]:
        """In the order they joined the run graph."""
        return tuple(self._instances.values())

    def cancel(self, reason: str) -> None:
        """Stop everything that runs; `run` ends once it has. Safe to call at any time, and twice."""
        if self._settled is None:
            self._cancelled = self._cancelled or reason
        else:
            # Not at once: an observer may ask for it in the middle of a node's finishing.
            asyncio.get_running_loop().call_soon(self._stop_everything, reason)

    async def run(self) -> Ending:
        """Run to the end, whatever it is; nothing is left running.

        Raises:
            asyncio.CancelledError: the task was cancelled; everything has been stopped.
            InvariantError: a bug in agentrt.
        """
        self._settled = settled = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._performer.early.tasks = self._tasks
                if self._cancelled is None:
                    self._grow(None, self._scope.instances(None))
                    await self._until(settled)
        except BaseExceptionGroup as group:
            raise only_cause(group) from group
        finally:
            for timer in self._timers.values():
                timer.cancel()
        return self._ending()

    async def _until(self, settled: asyncio.Future[None]) -> None:
        try:
            await settled
        except asyncio.CancelledError:
            # Before the task group does it: so nodes know that it was not they who were meant.
            self._stop_everything("the task that ran it was cancelled")
            raise
        finally:
            self._performer.early.drop()

    def _stop_everything(self, reason: str) -> None:
        if self._cancelled is None and not self._progress.is_settled:
            self._cancelled = reason
            self._perform(self._progress.handle(Cancelled()))

    # -- performing actions ------------------------------------------------------------------

    def _perform(self, actions: list[ProgressAction]) -> None:
        """Perform `actions` and all that follow from them; a queue, since chains are long."""
        queue = self._actions
        queue.extend(self._by_precedence(actions))
        if self._is_performing:
            return
        self._is_performing = True
        try:
            while queue:
                action = queue.popleft()
                match action:
                    case Start(instance_id):
                        if self._goes_on(instance_id):
                            self._start(self._instances[instance_id])
                    case Advance(region_id):
                        self._advance(region_id)
                    case Skip(instance_id, because):
                        self._skip(self._instances[instance_id], because)
                    case Stop(instance_id):
                        self._stop(self._instances[instance_id])
                    case _:
                        assert_never(action)
        finally:
            self._is_performing = False

    def _goes_on(self, instance_id: str) -> bool:
        """Whether an instance was not stopped since: by one that failed at once, earlier in the queue."""
        return self._progress.state(instance_id) is InstanceState.RUNNING

    def _by_precedence(self, actions: list[ProgressAction]) -> list[ProgressAction]:
        """Of what may start at one moment, what the most waits for first; the rest stays in place."""
        starts = [action for action in actions if isinstance(action, Start)]
        if len(starts) <= 1:
            return actions
        instances = self._instances
        starts.sort(key=lambda start: -instances[start.instance_id].plan.precedence)
        ordered = iter(starts)
        return [next(ordered) if isinstance(action, Start) else action for action in actions]

    def _grow(self, region: Instance | None, children: list[tuple[Instance, Child]]) -> None:
        for instance, _ in children:
            self._instances[instance.id] = instance
        event = Expanded(
            None if region is None else region.id, tuple([child for _, child in children])
        )
        self._perform(self._progress.handle(event))

    def _start(self, instance: Instance) -> None:
        restored = self._restored
        if restored is not None and restored.has(instance):
            self._restore(instance, restored)
            return
        if instance.scope is not None and instance.scope.deferred:
            try:
                instance.scope.resolve(instance.local_id)
            except Exception as error:  # noqa: BLE001  evaluating what the author wrote: a bad index, say
                self._fail(instance, error)
                return
        self._begin(instance)

    def _begin(self, instance: Instance) -> None:
        work = instance.work
        match work:
            case LLMStep():  # LLM calls start when they are sent: they may have to queue
                self._spawn(instance, self._performer.llm)
            case AgentTurn():
                self._spawn(instance, self._performer.turn)
            case ToolStep():
                instance.started_s = self._performer.now()
                self._spawn(instance, self._performer.tool)
            case AgentCall():
                instance.started_s = self._performer.now()
                self._spawn(instance, self._performer.agent_call)
            case PlanWriting() | PlanTask() | PlanJoin():
                self._begin_of_plan(instance, work)
            case MapStep() | BranchStep() | LoopStep() | AgentStep() | PlanStep():
                instance.started_s = self._performer.now()
                self._unroll(instance, work)
            case FreeTool() | FreeRequest():
                raise InvariantError(f"{instance.id!r} belongs to no graph")
            case _:
                assert_never(work)

    def _begin_of_plan(self, instance: Instance, work: PlanWriting | PlanTask | PlanJoin) -> None:
        performer = self._performer
        match work:
            case PlanWriting():

                def on_text(text: str) -> None:
                    self._tell_plan(instance, lambda region: region.received(text, work.ask))

                self._spawn(instance, lambda each: write_plan(performer, each, on_text))
            case PlanTask():
                instance.started_s = performer.now()
                self._spawn(instance, lambda each: run_task(performer, each))
            case PlanJoin():
                self._spawn(instance, lambda each: join(performer, each))

    def _tell_plan(self, child: Instance, tell: Callable[[PlanRegion], Expand]) -> None:
        """A plan unrolls while it is written and while its tasks run, not only once they settled."""
        parent = child.parent
        if parent is None or not isinstance(parent.region, PlanRegion) or parent.status != "open":
            return
        children = tell(parent.region).children
        if children:
            self._grow(parent, children)

    def _spawn(self, instance: Instance, perform: Callable[[Instance], Any]) -> None:
        instance.task = self._tasks.create_task(self._run_to_end(instance, perform))

    async def _run_to_end(self, instance: Instance, perform: Callable[[Instance], Any]) -> None:
        try:
            value = await perform(instance)
        except InvariantError:
            raise
        except asyncio.CancelledError:
            if instance.status != "open":
                raise
            self._fail(instance, RunError("it cancelled itself", node_id=instance.id))
        except Exception as error:  # noqa: BLE001  user code ran: whatever it raised is the node's
            self._fail(instance, error)
        else:
            self._finish(instance, value)

    def _finish(self, instance: Instance, value: Any) -> None:
        if instance.status != "open":
            return  # stopped meanwhile; its late answer changes nothing
        instance.status = "finished"
        instance.value = value
        instance.task = None  # the result outlives it
        instance.finished_s = self._performer.now()
        scope = instance.scope
        if scope is not None:
            scope.values[instance.local_id] = value
        self._cancel_timer(instance)
        if isinstance(instance.work, AgentStep) and not instance.is_restored:
            self._performer.learn_agent(instance, instance.work)
        self._journal.finished(instance, value, self._performer.to_json)
        if isinstance(instance.work, (PlanWriting, PlanTask, PlanJoin)):
            self._tell_plan(instance, lambda region: region.child_ended(instance))
        self._perform(self._progress.handle(Finished(instance.id)))

    def _fail(self, instance: Instance, error: Exception, partial: Any = None) -> None:
        if instance.status != "open":
            return
        instance.status = "failed"
        instance.task = None
        instance.finished_s = self._performer.now()
        known = as_run_error(error, instance, self._journal.run_id)
        instance.error = str(known)
        self.errors[instance.id] = known
        if instance.scope is not None and partial is not None:
            instance.scope.partial[instance.local_id] = partial
        self._cancel_timer(instance)
        # What a resume could not use stays in the store as it is, for one that can.
        is_unknown = instance.is_restored or (
            isinstance(error, ToolError) and error.is_effect_unknown
        )
        self._journal.failed(instance, instance.error, is_effect_unknown=is_unknown)
        self._perform(self._progress.handle(Failed(instance.id)))

    def _skip(self, instance: Instance, because: str) -> None:
        instance.status = "skipped"
        instance.error = f"skipped: {because} did not finish"
        self._journal.skipped(instance, because, self._performer.now())

    def _stop(self, instance: Instance) -> None:
        if instance.status != "open":
            return
        instance.status = "cancelled"
        instance.finished_s = self._performer.now()
        self._cancel_timer(instance)
        if instance.task is not None:
            instance.task.cancel()

    def _restore(self, instance: Instance, restored: Restored) -> None:
        instance.is_restored = True
        try:
            value = restored.take(instance)
        except Exception as error:  # noqa: BLE001  a stored value that does not fit is the node's failure
            self._fail(instance, error)
            return
        self._finish(instance, value)

    # -- regions -----------------------------------------------------------------------------

    def _unroll(
        self, instance: Instance, step: MapStep | BranchStep | LoopStep | AgentStep | PlanStep
    ) -> None:
        self._journal.started(instance, 1, instance.started_s or 0.0)
        scope = instance.scope
        if scope is None:
            raise InvariantError(f"region {instance.id!r} has no scope")
        region = region_of(instance, step, scope, self._performer.plans)
        if isinstance(region, MapRegion):
            scope.maps[step.node.id] = region
        elif isinstance(region, (AgentRegion, PlanRegion)):
            self._set_timer(instance, region)
        instance.region = region
        self._follow(instance, region.begin)

    def _advance(self, region_id: str | None) -> None:
        if region_id is None:
            if self._settled is not None and not self._settled.done():
                self._settled.set_result(None)
            return
        instance = self._instances[region_id]
        if instance.region is not None and self._goes_on(region_id):
            self._follow(instance, instance.region.advance)

    def _follow(self, instance: Instance, unroll: Callable[[], Outcome]) -> None:
        try:
            outcome = unroll()
        except InvariantError:
            raise
        except Exception as error:  # noqa: BLE001  evaluating what the author wrote: a bad index, say
            self._fail(instance, error)
            return
        match outcome:
            case Expand(children):
                self._grow(instance, children)
            case Done(value):
                self._finish(instance, value)
            case Broken(broken, partial):
                self._fail(instance, broken, partial)
            case _:
                assert_never(outcome)

    def _set_timer(self, instance: Instance, region: AgentRegion | PlanRegion) -> None:
        timeout_s = region.timeout_s
        if timeout_s is None:
            return

        def out_of_time() -> None:
            self._fail(instance, region.out_of_time())

        loop = asyncio.get_running_loop()
        self._timers[instance.id] = loop.call_later(timeout_s, out_of_time)

    def _cancel_timer(self, instance: Instance) -> None:
        if self._timers:
            timer = self._timers.pop(instance.id, None)
            if timer is not None:
                timer.cancel()

    # -- the end -----------------------------------------------------------------------------

    def _ending(self) -> Ending:
        run_id = self._journal.run_id
        if self._cancelled is not None:
            error = RunCancelled(f"run {run_id} was cancelled: {self._cancelled}", run_id=run_id)
            return Ending("cancelled", self._partial_output(), error)
        if self.errors:
            first = next(iter(self.errors.values()))
            status: RunStatus = "partial" if self._on_error == "collect" else "failed"
            return Ending(status, self._partial_output(), first)
        try:
            bindings = self._scope.executable.bindings
            return Ending("finished", bindings.output.check(self._scope.output()), None)
        except Exception as error:  # noqa: BLE001  a projection of the output: the author's
            failure = RunError(f"the output cannot be put together: {error!r}", run_id=run_id)
            failure.__cause__ = error
            return Ending("failed", None, failure)

    def _partial_output(self) -> Any:
        values: Mapping[str, Any] = self._scope.partial | self._scope.values
        return evaluate_partial(self._scope.executable.graph.output, values)
