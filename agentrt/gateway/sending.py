"""`Sending`: one request on its way to replicas, as often as it takes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from agentrt.clock import Clock
from agentrt.errors import BackendError
from agentrt.gateway.replicas import Replicas
from agentrt.gateway.turns import Forward
from agentrt.ir.hints import Hints
from agentrt.ir.request import Completion
from agentrt.runtime.backoff import backend_wait_s
from agentrt.runtime.pool import Pool, Replica
from agentrt.scheduler.events import ReplicaId

MOST_ATTEMPTS = 3
_LONGEST_WAIT_S = 5.0
"""A server that wants to be left alone for longer is not waited for: the client is told to come again."""


class Sending:
    """Forwards it, and tells the replicas how that went.

    Attributes:
        attempts: How often it was sent.
        replica_id: Where it was sent last; empty: it has not been.
        failed_at: Where it came to no answer.
        sent_at, begun_at: When it was sent last, and when the answer began; None: not yet.
    """

    def __init__(
        self, forward: Forward, replicas: Replicas, *, clock: Clock, random_source: random.Random
    ) -> None:
        self.attempts = 0
        self.replica_id = ""
        self.failed_at: set[ReplicaId] = set()
        self.sent_at: float | None = None
        self.begun_at: float | None = None
        self._forward = forward
        self._replicas = replicas
        self._clock = clock
        self._random = random_source
        self._failed: BackendError | None = None
        self._is_first_there = False

    async def send(self, replica: Replica, hints: Hints) -> Completion:
        """Have it answered there.

        Raises:
            BackendError: as `Forward` does.
        """
        self.attempts += 1
        self.replica_id = replica.replica_id
        self.sent_at = self._clock.now()

        def first_token() -> None:
            self.begun_at = self._clock.now()
            self._replicas.first_token(replica.replica_id)
            replica.first_token()

        try:
            completion = await self._forward(replace(replica, first_token=first_token), hints)
        except BackendError as error:
            self._failed = error
            self._is_first_there = replica.replica_id not in self.failed_at
            self.failed_at.add(replica.replica_id)
            self._replicas.failed(replica.replica_id, error)
            raise
        self._replicas.succeeded(replica.replica_id)
        return completion

    async def wait(self, error: BackendError, pools: Iterable[Pool]) -> None:
        """Until it is worth sending once more to one of `pools`: at once, where one has not failed yet.

        Raises:
            BackendError: `error`, where it is not: another attempt would fail too, the client has
                some of an answer, or it was nobody's failure to answer.
        """
        is_sending = error is self._failed and error.retryable and self.begun_at is None
        if not is_sending or self.attempts >= MOST_ATTEMPTS:
            raise error
        if self._is_first_there and any(set(pool.up_ids) - self.failed_at for pool in pools):
            return
        wait_s = backend_wait_s(error, self.attempts, self._random)
        if wait_s > _LONGEST_WAIT_S:
            raise error
        await self._clock.sleep(wait_s)
