"""How a runtime's calls are scheduled, and what its schedulers were told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from agentrt.errors import InputError
from agentrt.estimates.book import Estimates
from agentrt.scheduler.actions import SchedulerAction
from agentrt.scheduler.events import SchedulerEvent
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policy import Policy


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One event that a scheduler was told of, and what it answered.

    Attributes:
        pool: Which scheduler's: the tier of its model.
        at: The scheduler's time, in seconds of the runtime's clock.
    """

    pool: str
    event: SchedulerEvent
    at: float
    actions: Sequence[SchedulerAction]


OnScheduled: TypeAlias = Callable[[Scheduled], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduling:
    """How calls are scheduled.

    Attributes:
        policy: Makes the policy of a pool; every pool has its own.
        kv_tokens: Tokens that each replica's KV cache has room for. None: what the server says; from
            one that does not, programs are let in as far as the calls at once allow that it states.
        streams_all: Ask servers that stream to do so for every call, so that the scheduler hears of
            first tokens also where nobody reads the pieces.
        estimates: What is known of tools, workflows and replicas already; it learns on. Schedulers that
            share it learn together. None: every pool begins with nothing.
        tenant_weights: As `Scheduler` takes them.
        max_waiting: As `Scheduler` takes it.
        on_scheduled: Told everything the schedulers are told and answer, in order.
    """

    policy: Callable[[], Policy] = ByOccupancy
    kv_tokens: int | None = None
    streams_all: bool = False
    estimates: Estimates | None = None
    tenant_weights: Mapping[str, float] = field(default_factory=dict[str, float])
    max_waiting: int | None = None
    on_scheduled: OnScheduled | None = None

    def __post_init__(self) -> None:
        if self.kv_tokens is not None and self.kv_tokens < 1:
            raise InputError("kv_tokens: a KV cache has room for a token at least, or is not known")
