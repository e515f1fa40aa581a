"""`WatchedReplica`: one server behind a gateway, from the first question whether it is there."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import replace

from agentrt.backends.base import Backend
from agentrt.backends.vital_signs import vital_signs
from agentrt.clock import Clock
from agentrt.errors import BackendError, BackendTimeout
from agentrt.gateway.circuit import Circuit
from agentrt.gateway.foreign_load import ForeignLoad
from agentrt.gateway.health import Health, Patience
from agentrt.gateway.models import Models
from agentrt.gateway.replica_source import ReplicaSource, ReplicaState
from agentrt.runtime.pool import Pool
from agentrt.scheduler.events import ReplicaReported
from agentrt.scheduler.replica import Replica

_log = logging.getLogger("agentrt.gateway")

_QUESTIONS = 8
"""That are asked of a replica before calls go there, each of which may take its time."""


class WatchedReplica:
    """One replica: found, asked whether it is well, and left out while it is not.

    Attributes:
        state: How it is.
        has_been_asked: Once it was, whether it was there or not.
    """

    def __init__(
        self,
        source: ReplicaSource,
        models: Models,
        *,
        patience: Patience,
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
        self._models = models
        self._patience = patience
        self._clock = clock
        self._random = random_source
        self._circuit = Circuit(
            failures=self._patience.circuit_failures,
            first_s=self._patience.circuit_s,
            longest_s=self._patience.longest_circuit_s,
        )
        self._health = Health(self._patience)
        self._foreign = ForeignLoad()
        self._backend: Backend | None = None
        self._look_now = asyncio.Event()

    # -- told by calls -----------------------------------------------------------------------

    def heard(self) -> None:
        """An answer of its has begun."""
        self._health.heard_at = self._clock.now()

    def succeeded(self) -> None:
        """It has answered a call."""
        self.heard()
        self._circuit.succeeded()

    def failed(self, error: BackendError) -> None:
        """It has not answered a call as it should."""
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
                self._is_not_there(str(error))
            except Exception:  # noqa: BLE001  one replica's trouble is not the others'
                _log.exception("watching %s failed", self._source.replica_id)
                self._is_not_there("internal error")
            self.has_been_asked.set()
            attempt += 1
            await self._wait(attempt)

    async def aclose(self) -> None:
        """Close its connections."""
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
        self._health.up(signs)
        self._foreign = ForeignLoad()
        self._circuit.close()
        self._look_now.clear()
        self._models.join(self._source.replica_id, backend, capabilities)
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
        asked_at, running = self._clock.now(), self._running()
        try:
            signs = await vital_signs(backend, timeout_s=self._patience.check_timeout_s)
        except BackendError as error:
            if self._health.unwell(error, asked_at):
                self._go_down(str(error))
            return
        if not self._health.well(signs):
            self._go_down("it was started anew, or serves other models")
            return
        seen = self._foreign.seen(signs, max(running, self._running()))
        scheduled = self._scheduled()
        if seen is not None and scheduled is not None:
            pool, replica = scheduled
            used_share, calls = seen
            pool.tell(
                ReplicaReported(
                    replica_id=replica.replica_id,
                    used_blocks=int(used_share * replica.kv_blocks),
                    running=calls,
                    waiting=0,
                )
            )

    def _running(self) -> int:
        """Our calls there now."""
        scheduled = self._scheduled()
        return 0 if scheduled is None else len(scheduled[1].running)

    def _scheduled(self) -> tuple[Pool, Replica] | None:
        """What the scheduler knows of it; None: it is down."""
        pool = self._models.pool_of(self._source.replica_id)
        for replica in () if pool is None else pool.scheduler.replicas:
            if pool is not None and replica.replica_id == self._source.replica_id:
                return pool, replica
        return None

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
        self._models.leave(self._source.replica_id)

    def _is_not_there(self, reason: str) -> None:
        """It has not come up, or nobody could go on watching it."""
        if self.state.is_up:
            self._go_down(reason)
        else:
            self._say_down(reason)

    def _say_down(self, reason: str) -> None:
        if self.state.is_up or self.state.reason != reason:
            _log.warning("%s is down: %s", self._source.replica_id, reason)
        since = self._clock.now() if self.state.is_up else self.state.since
        self.state = replace(self.state, is_up=False, reason=reason, since=since)
