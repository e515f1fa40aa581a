"""What the scheduler answers. Drivers perform these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agentrt.ir.prefix import Chain
from agentrt.scheduler.events import CallId, ProgramId, ReplicaId, TimerId


@dataclass(frozen=True, slots=True)
class SendCall:
    """Send a call to a replica now. `priority`: higher goes first, where the engine has one."""

    call_id: CallId
    replica_id: ReplicaId
    priority: int = 0


@dataclass(frozen=True, slots=True)
class CancelCall:
    """Break off a call that was sent."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class HoldKV:
    """Keep a program's blocks on a replica, where the engine can be asked to, until `until`."""

    program_id: ProgramId
    replica_id: ReplicaId
    until: float


@dataclass(frozen=True, slots=True)
class ReleaseKV:
    """A program's blocks on a replica may go."""

    program_id: ProgramId
    replica_id: ReplicaId


@dataclass(frozen=True, slots=True)
class Prewarm:
    """Have a replica compute a prefix that will be needed soon."""

    program_id: ProgramId
    replica_id: ReplicaId
    chain: Chain


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send `TimerFired(timer_id)` at `at`; a timer set again replaces the earlier one."""

    timer_id: TimerId
    at: float


@dataclass(frozen=True, slots=True)
class Shed:
    """Refuse a call; it may be tried again after `retry_after_s`."""

    call_id: CallId
    retry_after_s: float


SchedulerAction: TypeAlias = SendCall | CancelCall | HoldKV | ReleaseKV | Prewarm | SetTimer | Shed
