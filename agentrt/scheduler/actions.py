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
    """Keep the blocks of `chain` on a replica until `until`, for a program's next call.

    Only for replicas that take holds. Another hold of the same program there is in addition to it.
    """

    program_id: ProgramId
    replica_id: ReplicaId
    chain: Chain
    until: float


@dataclass(frozen=True, slots=True)
class ReleaseKV:
    """All blocks that are held for a program on a replica may go."""

    program_id: ProgramId
    replica_id: ReplicaId


@dataclass(frozen=True, slots=True)
class Prewarm:
    """Have a replica compute a prefix that will be needed soon, or use it so that it is kept.

    Advice: a driver that cannot do it does nothing. On any engine it is a call with this prompt and
    one token of answer; nothing is told of it to the scheduler, which does not wait for it.
    """

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
    """Refuse a call, and forget it; it may be made again, under its id, after `retry_after_s`."""

    call_id: CallId
    retry_after_s: float


SchedulerAction: TypeAlias = SendCall | CancelCall | HoldKV | ReleaseKV | Prewarm | SetTimer | Shed
