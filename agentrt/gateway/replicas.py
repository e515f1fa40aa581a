"""`Replicas`: the servers behind a gateway: found, watched, and kept out of the way while they fail."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Self

from agentrt.clock import Clock
from agentrt.errors import BackendError, BackendTimeout, BackendUnavailable, InvalidAnswer
from agentrt.gateway.health import Patience
from agentrt.gateway.models import Models
from agentrt.gateway.replica_source import ReplicaSource, ReplicaState
from agentrt.gateway.watched_replica import WatchedReplica
from agentrt.runtime.fleet import Fleet
from agentrt.runtime.pool import Pool
from agentrt.runtime.scheduling import Scheduling
from agentrt.scheduler.events import ReplicaId

__all__ = ["ReplicaSource", "ReplicaState", "Replicas"]

_FAILURES = (BackendUnavailable, BackendTimeout, InvalidAnswer)


class Replicas:
    """All replicas. Used as a context: they are looked for and watched inside of it.

    Attributes:
        models: Which of them serve what.
        fleet: Their pools, for programs.
        estimates: What their schedulers learn together; None: each for itself.
    """

    def __init__(
        self,
        sources: Sequence[ReplicaSource],
        *,
        clock: Clock,
        scheduling: Scheduling,
        patience: Patience | None = None,
        random_source: random.Random | None = None,
    ) -> None:
        self.patience = patience or Patience()
        self.estimates = scheduling.estimates
        self._clock = clock
        self._scheduling = scheduling
        self.models = Models(self._new_pool, unavailable_s=self.patience.unavailable_s)
        self.fleet = Fleet(self.models.pools, clock=clock)
        random_source = random_source or random.Random()
        self._watched = {
            source.replica_id: WatchedReplica(
                source,
                self.models,
                patience=self.patience,
                clock=clock,
                random_source=random_source,
            )
            for source in sources
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Look for all replicas. Nobody is waited for: see `settled`."""
        for replica_id, watched in self._watched.items():
            self.models.expect(replica_id)
            self._tasks.append(asyncio.create_task(watched.watch()))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give up all connections. Calls have to be over."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.fleet.close()
        for watched in self._watched.values():
            await watched.aclose()

    async def settled(self, timeout_s: float) -> None:
        """Wait until all replicas were asked once whether they are there, or for so long."""
        try:
            async with asyncio.timeout(timeout_s):
                for watched in self._watched.values():
                    await watched.has_been_asked.wait()
        except TimeoutError:
            pass

    @property
    def states(self) -> tuple[ReplicaState, ...]:
        """Of all replicas, in the order they were given."""
        return tuple(watched.state for watched in self._watched.values())

    def first_token(self, replica_id: ReplicaId) -> None:
        """An answer of a replica has begun."""
        self._watched[replica_id].heard()

    def succeeded(self, replica_id: ReplicaId) -> None:
        """A call has its answer from there."""
        self._watched[replica_id].succeeded()

    def failed(self, replica_id: ReplicaId, error: BackendError) -> None:
        """A call has come to no answer there. What it is not to blame for does not count."""
        is_others = isinstance(error, BackendTimeout | InvalidAnswer) and not error.url
        if isinstance(error, _FAILURES) and not is_others:
            self._watched[replica_id].failed(error)

    def _new_pool(self, name: str) -> Pool:
        return Pool(
            name,
            {},
            clock=self._clock,
            scheduling=self._scheduling,
            unavailable_s=self.patience.unavailable_s,
        )
