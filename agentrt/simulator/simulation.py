"""`simulate`: a workload on modelled engines, scheduled by the scheduler that would run it for real.

What is in between is three parties, none of which knows another: the `Client` makes programs' steps,
the `Fleet` is the engines, and the scheduler decides. Here they are told of one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias, assert_never

from agentrt.errors import InputError, InvariantError
from agentrt.ir.workload import Workload
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
    CallStarted,
    FirstToken,
    ReplicaId,
    SchedulerEvent,
    TimerFired,
    TimerId,
)
from agentrt.scheduler.policy import Policy
from agentrt.simulator import engine_request as told
from agentrt.simulator.client import Client, ClientDue
from agentrt.simulator.clockwork import EventHeap
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.fleet import Fleet, FleetSettings
from agentrt.simulator.replay import Replay


class Handles(Protocol):
    """What decides: the scheduler, or something that stands in for it."""

    def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]: ...


@dataclass(frozen=True, slots=True)
class _Timer:
    timer_id: TimerId


@dataclass(frozen=True, slots=True)
class _EngineWake:
    replica_id: ReplicaId


_Due: TypeAlias = ClientDue | _Timer | _EngineWake
# At one time: what engines did comes first, then what clients do, then timers.
_ENGINE_RANK, _CLIENT_RANK, _TIMER_RANK = 0, 1, 2


def scheduler_of(policy: Policy, workload: Workload) -> Scheduler:
    """The scheduler that runs for real, as it is when it knows nothing yet of such programs."""
    return Scheduler(policy, block_tokens=workload.block_tokens)


def simulate(
    workload: Workload,
    policy: Policy,
    *,
    model: EngineModel,
    kv_blocks: int,
    replicas: int = 1,
    programs_at_once: int | None = None,
) -> Replay:
    """`simulate_with` the scheduler of `policy` on replicas that take no holds."""
    fleet = FleetSettings(model=model, kv_blocks=kv_blocks, replicas=replicas)
    scheduler = scheduler_of(policy, workload)
    return simulate_with(scheduler, workload, fleet, programs_at_once=programs_at_once)


def simulate_with(
    scheduler: Handles,
    workload: Workload,
    fleet: FleetSettings,
    *,
    programs_at_once: int | None = None,
) -> Replay:
    """Replay `workload` to its end. The same arguments give the same replay.

    Args:
        scheduler: A new one.
        programs_at_once: Programs without a time of arrival come this many at a time, the next when
            one ends (a closed loop, for each tenant by itself); None: they all come at the start.

    Raises:
        InputError: an empty workload.
    """
    if not workload.programs:
        raise InputError(f"workload {workload.name!r} has no programs")
    return _Run(scheduler, workload, fleet, programs_at_once).to_the_end()


class _Run:
    """One simulation under way."""

    def __init__(
        self,
        scheduler: Handles,
        workload: Workload,
        settings: FleetSettings,
        programs_at_once: int | None,
    ) -> None:
        self._workload = workload
        self._settings = settings
        self._scheduler = scheduler
        self._due: EventHeap[_Due] = EventHeap()
        self._timers: dict[TimerId, int] = {}
        self._client = Client(workload, programs_at_once, tell=self._tell, later=self._later)
        self._fleet = Fleet(
            settings, workload.block_tokens, wake=self._wake, unwake=self._due.cancel
        )
        self._events = 0

    def to_the_end(self) -> Replay:
        for up in self._fleet.ups():
            self._tell(up, 0.0)
        self._client.begin()
        while len(self._due):
            now, due = self._due.pop()
            self._happen(due, now)
        stuck = self._client.unended()
        if stuck:
            raise InvariantError(f"programs wait for ever: {', '.join(stuck[:5])}")
        return Replay(
            workload=self._workload,
            model=self._settings.model,
            kv_blocks=self._settings.kv_blocks,
            replicas=self._settings.replicas,
            programs=tuple(self._client.programs),
            calls=tuple(self._client.calls.values()),
            computed_tokens=self._fleet.computed_tokens,
            prewarmed_tokens=self._fleet.prewarmed_tokens,
            occupancy=self._fleet.occupancy,
            events=self._events,
        )

    def _happen(self, due: _Due, now: float) -> None:
        match due:
            case _EngineWake(replica_id):
                for event in self._fleet.advance(replica_id, now):
                    self._engine_told(event)
                self._fleet.look_again(replica_id)
            case _Timer(timer_id):
                del self._timers[timer_id]
                self._tell(TimerFired(timer_id), now)
            case _:
                self._client.happen(due, now)

    def _engine_told(self, event: told.EngineEvent) -> None:
        if self._client.is_given_up(event.call_id):
            return
        record = self._client.calls[event.call_id]
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
                is_last = self._client.is_last(call_id)
                self._tell(CallFinished(call_id, usage, context, is_last), at)
                self._client.answered(call_id, at)
            case told.Refused(call_id, at, _):
                self._client.give_up(call_id, at)
            case told.Preempted():
                pass  # it comes back by itself; the time it costs is counted
            case _:
                assert_never(event)

    def _wake(self, replica_id: ReplicaId, at: float) -> int:
        return self._due.push(at, _ENGINE_RANK, _EngineWake(replica_id))

    def _later(self, at: float, due: ClientDue) -> None:
        self._due.push(at, _CLIENT_RANK, due)

    # -- the scheduler -----------------------------------------------------------------------

    def _tell(self, event: SchedulerEvent, now: float) -> None:
        self._events += 1
        for action in self._scheduler.handle(event, now):
            self._perform(action, now)

    def _perform(self, action: SchedulerAction, now: float) -> None:
        match action:
            case SendCall():
                self._send(action, now)
            case CancelCall(call_id):
                self._fleet.cancel(self._client.calls[call_id].replica_id, call_id, now)
            case HoldKV():
                self._fleet.hold(action, now)
            case ReleaseKV():
                self._fleet.release(action, now)
            case Prewarm():
                self._fleet.prewarm(action, now)
            case SetTimer(timer_id, at):
                ticket = self._timers.pop(timer_id, None)
                if ticket is not None:
                    self._due.cancel(ticket)
                self._timers[timer_id] = self._due.push(max(at, now), _TIMER_RANK, _Timer(timer_id))
            case Shed(call_id, retry_after_s):
                self._client.refused(call_id, retry_after_s, now)
            case _:
                assert_never(action)

    def _send(self, action: SendCall, now: float) -> None:
        step = self._client.step_of(action.call_id)
        self._client.calls[action.call_id].replica_id = action.replica_id
        request = told.EngineRequest(
            call_id=action.call_id,
            prompt=step.prompt,
            prompt_tokens=step.prompt_tokens,
            completion_tokens=step.completion_tokens,
            context=step.context,
            priority=action.priority,
        )
        self._fleet.submit(action.replica_id, request, now)
