"""`Replicas`: the servers behind a gateway: found, watched, and kept out of the way while they fail."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from agentrt.backends.base import Backend
from agentrt.backends.vital_signs import vital_signs
from agentrt.clock import Clock
from agentrt.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    InvalidAnswer,
)
from agentrt.gateway.circuit import Circuit
from agentrt.gateway.health import Health, Patience
from agentrt.gateway.models import Models
from agentrt.ir.request import Capabilities
from agentrt.runtime.fleet import Fleet
from agentrt.runtime.pool import Pool
from agentrt.runtime.scheduling import Scheduling
from agentrt.scheduler.events import ReplicaId

_log = logging.getLogger("agentrt.gateway")

_QUESTIONS = 8
"""That are asked of a replica before calls go there, each of which may take its time."""

_FAILURES = (BackendUnavailable, BackendTimeout, InvalidAnswer)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSource:
    """Where a replica is, and what its operator knows better than it says.

    Attributes:
        replica_id: Its URL, without a key.
        connect: A new backend; called again each time that the server has been away.
        models: Those to serve; empty: all that it names.
        kv_tokens, max_running: None: what it says.
    """

    replica_id: ReplicaId
    connect: Callable[[], Backend]
    models: tuple[str, ...] = ()
    kv_tokens: int | None = None
    max_running: int | None = None

    def corrected(self, capabilities: Capabilities) -> Capabilities:
        """What it can do, with what is known better."""
        return replace(
            capabilities,
            models=self.models or capabilities.models,
            kv_tokens=self.kv_tokens or capabilities.kv_tokens,
            max_concurrency=self.max_running or capabilities.max_concurrency,
        )


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What people are shown of a replica.

    Attributes:
        is_up: Calls go there.
        reason: Why not; empty: they do.
        since: When that began, in seconds of the clock.
    """

    replica_id: ReplicaId
    is_up: bool
    reason: str
    since: float
    capabilities: Capabilities | None


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
            source.replica_id: _Watched(source, self, clock, random_source) for source in sources
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
        """A call has come to no answer there. What the client is to blame for does not count."""
        is_clients = isinstance(error, BackendTimeout) and not error.url
        if isinstance(error, _FAILURES) and not is_clients:
            self._watched[replica_id].failed(error)

    def _new_pool(self, name: str) -> Pool:
        return Pool(
            name,
            {},
            clock=self._clock,
            scheduling=self._scheduling,
            unavailable_s=self.patience.unavailable_s,
        )


class _Watched:
    """One replica."""

    def __init__(
        self,
        source: ReplicaSource,
        replicas: Replicas,
        clock: Clock,
        random_source: random.Random,
    ) -> None:
        self.state = ReplicaState(
            source.replica_id,
            is_up=False,
            reason="not asked yet",
            since=clock.now(),
            capabilities=None,
        )
        self.has_been_asked = asyncio.Event()
        self._source = source
        self._replicas = replicas
        self._patience = replicas.patience
        self._clock = clock
        self._random = random_source
        self._circuit = Circuit(
            failures=self._patience.circuit_failures,
            first_s=self._patience.circuit_s,
            longest_s=self._patience.longest_circuit_s,
        )
        self._health = Health(self._patience)
        self._backend: Backend | None = None
        self._look_now = asyncio.Event()

    # -- told by calls -----------------------------------------------------------------------

    def heard(self) -> None:
        self._health.heard_at = self._clock.now()

    def succeeded(self) -> None:
        self.heard()
        self._circuit.succeeded()

    def failed(self, error: BackendError) -> None:
        if self._circuit.failed(self._clock.now()):
            open_s = self._circuit.open_s(self._clock.now())
            self._go_down(f"calls keep failing, for {open_s:.0f} s none are sent: {error}")
        self._look_now.set()

    # -- watching ----------------------------------------------------------------------------

    async def watch(self) -> None:
        """Find it, watch it until it is down, and find it again: for ever."""
        attempt = 0
        while True:
            try:
                await self._come_up()
                attempt = 0
                await self._stay_up()
            except BackendError as error:
                self._say_down(str(error))
            except Exception:  # noqa: BLE001  one replica's trouble is not the others'
                _log.exception("watching %s failed", self._source.replica_id)
                self._say_down("internal error")
            self.has_been_asked.set()
            attempt += 1
            await self._wait(attempt)

    async def aclose(self) -> None:
        if self._backend is not None:
            backend, self._backend = self._backend, None
            await backend.aclose()

    async def _come_up(self) -> None:
        """Ask what it can do, on connections of its own, and tell the models.

        Raises:
            BackendError: it is not there.
        """
        await self.aclose()
        backend = self._backend = self._source.connect()
        try:
            async with asyncio.timeout(_QUESTIONS * self._patience.check_timeout_s):
                capabilities = self._source.corrected(await backend.capabilities())
                signs = await vital_signs(backend, timeout_s=self._patience.check_timeout_s)
        except TimeoutError as error:
            raise BackendTimeout("it does not say in time what it can do") from error
        self._health = Health(self._patience)
        self._health.well(signs)
        self._circuit.close()
        self._look_now.clear()
        self._replicas.models.join(self._source.replica_id, backend, capabilities)
        self.state = ReplicaState(
            self._source.replica_id,
            is_up=True,
            reason="",
            since=self._clock.now(),
            capabilities=capabilities,
        )
        self.has_been_asked.set()
        _log.info("%s is up: %s", self._source.replica_id, ", ".join(capabilities.models))

    async def _stay_up(self) -> None:
        """Ask whether it is well, until it is not."""
        while self.state.is_up:
            await self._pause(self._patience.check_every_s)
            await self._check()

    async def _check(self) -> None:
        backend = self._backend
        if backend is None:
            return
        asked_at = self._clock.now()
        try:
            signs = await vital_signs(backend, timeout_s=self._patience.check_timeout_s)
        except BackendError as error:
            if self._health.unwell(error, asked_at):
                self._go_down(str(error))
            return
        if not self._health.well(signs):
            self._go_down("it was started anew, or serves other models")

    async def _wait(self, attempt: int) -> None:
        """Until it is time to look whether it is back."""
        longest_s = min(
            self._patience.first_retry_s * 2.0 ** min(attempt, 16), self._patience.longest_retry_s
        )
        retry_s = self._random.uniform(longest_s / 2, longest_s)
        await self._clock.sleep(max(retry_s, self._circuit.open_s(self._clock.now())))

    async def _pause(self, seconds: float) -> None:
        """Wait, unless a call fails meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._look_now.wait()
        except TimeoutError:
            return
        self._look_now.clear()

    def _go_down(self, reason: str) -> None:
        if not self.state.is_up:
            return  # a call or a question has said so before
        self._say_down(reason)
        self._replicas.models.leave(self._source.replica_id)

    def _say_down(self, reason: str) -> None:
        if self.state.is_up or self.state.reason != reason:
            _log.warning("%s is down: %s", self._source.replica_id, reason)
        since = self._clock.now() if self.state.is_up else self.state.since
        self.state = replace(self.state, is_up=False, reason=reason, since=since)
