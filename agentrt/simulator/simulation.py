"""`simulate`: a workload on modelled engines, scheduled by the scheduler that would run it for real.

The third party between the two is the client: it makes a program's steps in their order, calls tools
for as long as they took, and knows nothing of either side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from agentrt.errors import InputError, InvariantError
from agentrt.ir.prefix import Chain
from agentrt.ir.workload import CallStep, ProgramTrace, StepId, ToolStep, Workload
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
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFinished,
    CallId,
    CallReady,
    CallStarted,
    FirstToken,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    ReplicaId,
    ReplicaUp,
    SchedulerEvent,
    TimerFired,
    ToolFinished,
    ToolStarted,
)
from agentrt.scheduler.policy import Policy
from agentrt.simulator import engine_request as told
from agentrt.simulator.clockwork import EventHeap
from agentrt.simulator.engine import Engine
from agentrt.simulator.engine_model import EngineModel, EngineSettings


@dataclass(slots=True)
class CallRecord:
    """How one call fared; times are seconds of the simulation, None: it did not come to that."""

    program: int
    step: StepId
    ready_s: float
    replica_id: ReplicaId = ""
    started_s: float | None = None
    first_token_s: float | None = None
    finished_s: float | None = None
    cached_tokens: int = 0


@dataclass(slots=True)
class ProgramRecord:
    """How one program fared; `finished_s` is None if a call of it did not fit any engine."""

    arrived_s: float
    finished_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What happened: programs in the workload's order, calls in the order they became ready."""

    workload: Workload
    model: EngineModel
    kv_blocks: int
    programs: tuple[ProgramRecord, ...]
    calls: tuple[CallRecord, ...]
    computed_tokens: int
    events: int


@dataclass(frozen=True, slots=True)
class _Arrival:
    program: int


@dataclass(frozen=True, slots=True)
class _StepDue:
    program: int
    step: StepId


@dataclass(frozen=True, slots=True)
class _ToolDone:
    program: int
    step: StepId


@dataclass(frozen=True, slots=True)
class _Timer:
    timer_id: str


@dataclass(frozen=True, slots=True)
class _EngineWake:
    replica_id: ReplicaId


_Due: TypeAlias = _Arrival | _StepDue | _ToolDone | _Timer | _EngineWake
# At one time: what engines did comes first, then what clients do, then timers.
_ENGINE_RANK, _CLIENT_RANK, _TIMER_RANK = 0, 1, 2


def simulate(
    workload: Workload,
    policy: Policy,
    *,
    model: EngineModel,
    kv_blocks: int,
    replicas: int = 1,
    programs_at_once: int | None = None,
) -> Replay:
    """Replay `workload` to its end. The same arguments give the same replay.

    Args:
        kv_blocks: Blocks of the workload's size that each replica's KV cache holds.
        programs_at_once: Programs without a time of arrival come this many at a time, the next when
            one ends (a closed loop); None: they all come at the start.

    Raises:
        InputError: no replica, or an empty workload.
    """
    if replicas < 1 or kv_blocks < 1 or not workload.programs:
        raise InputError("a simulation needs a program, a replica, and a block of cache")
    settings = EngineSettings(block_tokens=workload.block_tokens, kv_blocks=kv_blocks)
    engines = {f"r{index}": Engine(model, settings) for index in range(replicas)}
    run = _Run(workload, Scheduler(policy), engines, programs_at_once or len(workload.programs))
    run.to_the_end(kv_blocks, model.max_running)
    return Replay(
        workload=workload,
        model=model,
        kv_blocks=kv_blocks,
        programs=tuple(run.programs),
        calls=tuple(run.calls.values()),
        computed_tokens=sum(engine.computed_tokens for engine in engines.values()),
        events=run.events,
    )


class _Run:
    """One simulation under way."""

    def __init__(
        self,
        workload: Workload,
        scheduler: Scheduler,
        engines: dict[ReplicaId, Engine],
        programs_at_once: int,
    ) -> None:
        self._traces = workload.programs
        self._scheduler = scheduler
        self._engines = engines
        self._at_once = programs_at_once
        self._due: EventHeap[_Due] = EventHeap()
        self._wakes: dict[ReplicaId, int] = {}
        self._timers: dict[str, int] = {}
        self._waits = [_waits(trace) for trace in workload.programs]
        self._readers = [_readers(trace) for trace in workload.programs]
        self._left = [len(trace.steps) for trace in workload.programs]
        self._uninvited = iter([i for i, t in enumerate(self._traces) if t.arrival_s is None])
        self.programs = [ProgramRecord(0.0) for _ in workload.programs]
        self.calls: dict[CallId, CallRecord] = {}
        self.events = 0

    def to_the_end(self, kv_blocks: int, max_running: int) -> None:
        for replica_id in self._engines:
            up = ReplicaUp(replica_id=replica_id, kv_blocks=kv_blocks, max_running=max_running)
            self._tell(up, 0.0)
        for index, trace in enumerate(self._traces):
            if trace.arrival_s is not None:
                self._due.push(trace.arrival_s, _CLIENT_RANK, _Arrival(index))
        for _ in range(self._at_once):
            self._invite(0.0)
        while len(self._due):
            now, due = self._due.pop()
            self._happen(due, now)
        stuck = [self._id(program) for program, left in enumerate(self._left) if left > 0]
        if stuck:
            raise InvariantError(f"programs wait for ever: {', '.join(stuck[:5])}")

    def _happen(self, due: _Due, now: float) -> None:
        match due:
            case _EngineWake(replica_id):
                del self._wakes[replica_id]
                for event in self._engines[replica_id].advance(now):
                    self._engine_told(event)
                self._wake(replica_id)
            case _Arrival(program):
                self._arrive(program, now)
            case _StepDue(program, step):
                self._make(program, step, now)
            case _ToolDone(program, step):
                if self._left[program] > 0:
                    self._tell(ToolFinished(self._id(program), f"{program}.{step}"), now)
                    self._step_done(program, step, now)
            case _Timer(timer_id):
                del self._timers[timer_id]
                self._tell(TimerFired(timer_id), now)
            case _:
                assert_never(due)

    # -- the client --------------------------------------------------------------------------

    def _invite(self, now: float) -> None:
        """Have the next program come that has no time of its own."""
        for program in self._uninvited:
            self._due.push(now, _CLIENT_RANK, _Arrival(program))
            return

    def _arrive(self, program: int, now: float) -> None:
        trace = self._traces[program]
        self.programs[program].arrived_s = now
        self._tell(
            ProgramArrived(
                program_id=self._id(program),
                workflow=trace.workflow,
                tenant=trace.tenant,
                deadline_at=None if trace.deadline_s is None else now + trace.deadline_s,
            ),
            now,
        )
        for step, count in enumerate(self._waits[program]):
            if count == 0:
                self._schedule(program, step, now)
        if not trace.steps:
            self._end(program, now)

    def _schedule(self, program: int, step: StepId, now: float) -> None:
        made = self._traces[program].steps[step]
        gap_s = made.gap_s if isinstance(made, CallStep) else 0.0
        self._due.push(now + gap_s, _CLIENT_RANK, _StepDue(program, step))

    def _make(self, program: int, step: StepId, now: float) -> None:
        if self._left[program] <= 0:
            return  # it was given up meanwhile
        made = self._traces[program].steps[step]
        name = f"{program}.{step}"
        match made:
            case ToolStep():
                started = ToolStarted(self._id(program), name, made.tool, made.argument_class)
                self._tell(started, now)
                self._due.push(now + made.duration_s, _CLIENT_RANK, _ToolDone(program, step))
            case CallStep():
                self.calls[name] = CallRecord(program, step, now)
                ready = CallReady(
                    call_id=name,
                    program_id=self._id(program),
                    chain=made.prompt,
                    prompt_tokens=made.prompt_tokens,
                )
                self._tell(ready, now)
            case _:
                assert_never(made)

    def _step_done(self, program: int, step: StepId, now: float) -> None:
        waits = self._waits[program]
        for reader in self._readers[program][step]:
            waits[reader] -= 1
            if waits[reader] == 0:
                self._schedule(program, reader, now)
        self._left[program] -= 1
        if self._left[program] == 0:
            self._end(program, now)

    def _end(self, program: int, now: float) -> None:
        self.programs[program].finished_s = now
        self._tell(ProgramFinished(self._id(program)), now)
        self._invite(now)

    def _give_up(self, program: int, now: float) -> None:
        """A call of the program fits no engine."""
        self._left[program] = 0
        self._tell(ProgramCancelled(self._id(program)), now)
        self._invite(now)

    # -- the engines -------------------------------------------------------------------------

    def _engine_told(self, event: told.EngineEvent) -> None:
        record = self.calls[event.call_id]
        match event:
            case told.Started(call_id, at):
                record.started_s = at if record.started_s is None else record.started_s
                self._tell(CallStarted(call_id), at)
            case told.FirstToken(call_id, at):
                record.first_token_s = at if record.first_token_s is None else record.first_token_s
                self._tell(FirstToken(call_id), at)
            case told.Finished(call_id, at, usage, context):
                record.finished_s = at
                record.cached_tokens = usage.cached_tokens
                self._tell(CallFinished(call_id, usage, context), at)
                self._step_done(record.program, record.step, at)
            case told.Refused(_, at, _):
                self._give_up(record.program, at)
            case told.Preempted():
                pass  # it comes back by itself; the time it costs is counted
            case _:
                assert_never(event)

    def _wake(self, replica_id: ReplicaId) -> None:
        """Look at an engine again when something happens there."""
        ticket = self._wakes.pop(replica_id, None)
        if ticket is not None:
            self._due.cancel(ticket)
        at = self._engines[replica_id].next_event_at()
        if at is not None:
            self._wakes[replica_id] = self._due.push(at, _ENGINE_RANK, _EngineWake(replica_id))

    # -- the scheduler -----------------------------------------------------------------------

    def _tell(self, event: SchedulerEvent, now: float) -> None:
        self.events += 1
        for action in self._scheduler.handle(event, now):
            self._perform(action, now)

    def _perform(self, action: SchedulerAction, now: float) -> None:
        match action:
            case SendCall(call_id, replica_id, priority):
                self._send(call_id, replica_id, priority, now)
            case CancelCall(call_id):
                replica_id = self.calls[call_id].replica_id
                self._engines[replica_id].cancel(call_id, now)
                self._wake(replica_id)
            case SetTimer(timer_id, at):
                ticket = self._timers.pop(timer_id, None)
                if ticket is not None:
                    self._due.cancel(ticket)
                self._timers[timer_id] = self._due.push(at, _TIMER_RANK, _Timer(timer_id))
            case HoldKV() | ReleaseKV() | Prewarm() | Shed():
                raise InvariantError(f"no policy asks for {action} yet")
            case _:
                assert_never(action)

    def _send(self, call_id: CallId, replica_id: ReplicaId, priority: int, now: float) -> None:
        record = self.calls[call_id]
        made = self._traces[record.program].steps[record.step]
        if not isinstance(made, CallStep):
            raise InvariantError(f"{call_id!r} is no call")
        record.replica_id = replica_id
        self._engines[replica_id].submit(
            told.EngineRequest(
                call_id=call_id,
                prompt=made.prompt,
                prompt_tokens=made.prompt_tokens,
                completion_tokens=made.completion_tokens,
                context=made.context,
                priority=priority,
            ),
            now,
        )
        self._wake(replica_id)

    def _id(self, program: int) -> str:
        # Names need not be unique in a workload; positions are.
        return f"{program}:{self._traces[program].program_id}"


def _waits(trace: ProgramTrace) -> list[int]:
    """For each step, how many it waits for."""
    return [len(set(step.after)) for step in trace.steps]


def _readers(trace: ProgramTrace) -> list[list[StepId]]:
    """For each step, those that wait for it."""
    readers: list[list[StepId]] = [[] for _ in trace.steps]
    for at, step in enumerate(trace.steps):
        for before in set(step.after):
            readers[before].append(at)
    return readers


def replica_calls(replay: Replay) -> Iterator[tuple[ReplicaId, list[CallRecord]]]:
    """Each replica's calls, in the order it began with them."""
    by_replica: dict[ReplicaId, list[CallRecord]] = {}
    for call in replay.calls:
        if call.started_s is not None:
            by_replica.setdefault(call.replica_id, []).append(call)
    for replica_id in sorted(by_replica):
        yield replica_id, sorted(by_replica[replica_id], key=_began)


def call_step(replay: Replay, call: CallRecord) -> CallStep:
    """What a call was."""
    step = replay.workload.programs[call.program].steps[call.step]
    if not isinstance(step, CallStep):
        raise InvariantError(f"step {call.step} of program {call.program} is no call")
    return step


def cacheable(chain: Chain, prompt_tokens: int, block_tokens: int) -> int:
    """Blocks of a prompt that can be hits: an engine computes the last token in any case."""
    blocks = sum(run.count for run in chain)
    return min(blocks, (prompt_tokens - 1) // block_tokens)


def _began(call: CallRecord) -> tuple[float, int, int]:
    return (call.started_s or 0.0, call.program, call.step)
