"""A workload on real servers: programs as they were, scheduled, with their tools slept through."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, assert_never

from agentrt.backends.base import Backend
from agentrt.backends.made_text import measure_sizes
from agentrt.clock import Clock
from agentrt.errors import BackendError, InputError, InvariantError
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Chunk, Completion, Request
from agentrt.ir.workload import CallStep, ProgramTrace, Step, StepId, ToolStep, Workload
from agentrt.runtime.workload_order import OnFinished, play_programs, play_steps
from agentrt.runtime.workload_served import Served, ServedCall, ServedProgram, first_error
from agentrt.runtime.workload_text import WorkloadText
from agentrt.scheduler.actions import (
    CancelCall,
    HoldKV,
    Prewarm,
    ReleaseKV,
    SchedulerAction,
    SendCall,
    SetTimer,
    Shed,
)
from agentrt.scheduler.events import (
    CallFailed,
    CallFinished,
    CallId,
    CallReady,
    FirstToken,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    ReplicaId,
    ReplicaUp,
    SchedulerEvent,
    TimerFired,
    TimerId,
    ToolFinished,
    ToolStarted,
)


class Handles(Protocol):
    """What decides: the scheduler."""

    def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingReplica:
    """A server, and what the scheduler is told of it (`agentrt.scheduler.events.ReplicaUp`)."""

    backend: Backend
    kv_blocks: int | None
    max_running: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """How a workload is replayed.

    Attributes:
        programs_at_once: Programs without a time of arrival come this many at a time, the next when
            one ends (a closed loop); None: they all come at the start.
        salt: Replays of different salts share no text, so that one finds nothing that another has
            left in a server's cache.
    """

    programs_at_once: int | None = None
    salt: str = ""


_DEFAULTS = ReplayOptions()


async def replay(
    workload: Workload,
    scheduler: Handles,
    replicas: Mapping[ReplicaId, ServingReplica],
    *,
    clock: Clock,
    options: ReplayOptions = _DEFAULTS,
    on_finished: OnFinished | None = None,
) -> Served:
    """Make every call of `workload` at the servers, as `scheduler` sends them.

    Answers are asked for in the workload's length; servers that do not know how to go on after the
    model's end may give less. A program with a call that fails is given up. Prewarming and holds are
    not performed: they are advice.

    Raises:
        InputError: no replica, or an empty workload.
        BackendError: the first server does not answer, or does not count tokens.
    """
    if not replicas or not workload.programs:
        raise InputError("a replay needs a program and a server")
    first = next(iter(replicas.values())).backend
    sizes = await measure_sizes(first, random.Random(0))
    async with asyncio.TaskGroup() as tasks:
        text = WorkloadText(workload, sizes, salt=options.salt)
        run = _Replay(text, scheduler, replicas, clock=clock, tasks=tasks)
        await run.to_the_end(options.programs_at_once, on_finished)
    return Served(programs=tuple(run.programs), calls=tuple(run.calls.values()))


class _Replay:
    """One replay under way."""

    def __init__(
        self,
        text: WorkloadText,
        scheduler: Handles,
        replicas: Mapping[ReplicaId, ServingReplica],
        *,
        clock: Clock,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._text = text
        self._traces = text.workload.programs
        self._scheduler = scheduler
        self._replicas = replicas
        self._clock = clock
        self._tasks = tasks
        self._began = clock.now()
        self._ended: dict[CallId, asyncio.Future[Completion]] = {}
        self._sending: dict[CallId, asyncio.Task[None]] = {}
        self._timers: dict[TimerId, asyncio.Task[None]] = {}
        self.programs = [ServedProgram() for _ in self._traces]
        self.calls: dict[CallId, ServedCall] = {}

    async def to_the_end(self, at_once: int | None, on_finished: OnFinished | None) -> None:
        for replica_id, replica in self._replicas.items():
            up = ReplicaUp(
                replica_id=replica_id, kv_blocks=replica.kv_blocks, max_running=replica.max_running
            )
            self._tell(up)
        await play_programs(
            self._traces,
            self._program,
            clock=self._clock,
            at_once=at_once,
            on_finished=on_finished,
        )
        for timer in self._timers.values():
            timer.cancel()

    # -- the client --------------------------------------------------------------------------

    async def _program(self, index: int, trace: ProgramTrace) -> None:
        record, now = self.programs[index], self._now()
        record.arrived_s = now
        self._tell(
            ProgramArrived(
                program_id=self._id(index),
                workflow=trace.workflow,
                tenant=trace.tenant,
                deadline_at=None if trace.deadline_s is None else now + trace.deadline_s,
            )
        )
        try:
            await play_steps(trace, partial(self._step, index))
        except* BackendError as errors:
            record.error = first_error(errors)
            self._tell(ProgramCancelled(self._id(index)))
        else:
            record.finished_s = self._now()
            self._tell(ProgramFinished(self._id(index)))
        self._text.ended(index)

    async def _step(self, program: int, step: StepId, made: Step) -> None:
        match made:
            case ToolStep():
                name = f"{program}.{step}"
                self._tell(ToolStarted(self._id(program), name, made.tool, made.argument_class))
                await self._clock.sleep(made.duration_s)
                self._tell(ToolFinished(self._id(program), name))
            case CallStep():
                if made.gap_s > 0.0:
                    await self._clock.sleep(made.gap_s)
                await self._call(program, step, made)
            case _:
                assert_never(made)

    async def _call(self, program: int, step: StepId, made: CallStep) -> None:
        call_id = f"{program}.{step}"
        self.calls[call_id] = ServedCall(program=program, step=step, ready_s=self._now())
        ended = self._ended[call_id] = asyncio.get_running_loop().create_future()
        self._ready(call_id, made)
        completion = await ended
        self._text.answered(program, step, completion)

    def _ready(self, call_id: CallId, made: CallStep) -> None:
        ready = CallReady(
            call_id=call_id,
            program_id=self._id(self.calls[call_id].program),
            chain=made.prompt,
            prompt_tokens=made.prompt_tokens,
            max_completion_tokens=made.completion_tokens,
        )
        self._tell(ready)

    # -- the servers -------------------------------------------------------------------------

    async def _send(self, call_id: CallId, replica_id: ReplicaId) -> None:
        record = self.calls[call_id]
        record.replica_id, record.sent_s = replica_id, self._now()
        made = self._traces[record.program].steps[record.step]
        if not isinstance(made, CallStep):
            raise InvariantError(f"{call_id!r} is no call")

        def came(chunk: Chunk) -> None:
            if chunk.text and record.first_token_s is None:
                record.first_token_s = self._now()
                self._tell(FirstToken(call_id))

        request = Request(
            messages=self._text.messages(record.program, record.step),
            options=LLMOptions(max_tokens=made.completion_tokens, temperature=0.0, retries=0),
            program_id=self._id(record.program),
            extra=self._text.sizes.extra,
        )
        ended = self._ended[call_id]
        try:
            backend = self._replicas[replica_id].backend
            completion = await backend.complete(request, on_chunk=came)
        except BackendError as error:
            self._tell(CallFailed(call_id))
            if not ended.done():
                ended.set_exception(error)
            return
        record.finished_s, record.usage = self._now(), completion.usage
        if not ended.done():
            ended.set_result(completion)
        self._tell(CallFinished(call_id, completion.usage, made.context))

    # -- the scheduler -----------------------------------------------------------------------

    def _tell(self, event: SchedulerEvent) -> None:
        for action in self._scheduler.handle(event, self._now()):
            self._perform(action)

    def _perform(self, action: SchedulerAction) -> None:
        match action:
            case SendCall(call_id, replica_id):
                sending = self._tasks.create_task(self._send(call_id, replica_id))
                self._sending[call_id] = sending
            case CancelCall(call_id):
                self._sending[call_id].cancel()
            case SetTimer(timer_id, at):
                if timer_id in self._timers:
                    self._timers[timer_id].cancel()
                self._timers[timer_id] = self._tasks.create_task(self._alarm(timer_id, at))
            case Shed(call_id, retry_after_s):
                self._tasks.create_task(self._again(call_id, retry_after_s))
            case HoldKV() | ReleaseKV() | Prewarm():
                pass
            case _:
                assert_never(action)

    async def _alarm(self, timer_id: TimerId, at: float) -> None:
        await self._clock.sleep(max(0.0, at - self._now()))
        del self._timers[timer_id]
        self._tell(TimerFired(timer_id))

    async def _again(self, call_id: CallId, after_s: float) -> None:
        await self._clock.sleep(after_s)
        record = self.calls[call_id]
        made = self._traces[record.program].steps[record.step]
        if isinstance(made, CallStep) and not self._ended[call_id].done():
            self._ready(call_id, made)

    def _now(self) -> float:
        return self._clock.now() - self._began

    def _id(self, program: int) -> str:
        # Names need not be unique in a workload; positions are.
        return f"{program}:{self._traces[program].program_id}"
