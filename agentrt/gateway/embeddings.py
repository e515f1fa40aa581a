"""`Embeddings`: requests that leave nothing in a cache, and so belong to no program."""

from __future__ import annotations

from agentrt.errors import BackendError
from agentrt.gateway.models import Models
from agentrt.gateway.sending import Sending
from agentrt.gateway.turns import Caller
from agentrt.ir.hints import Hints
from agentrt.ir.request import Completion
from agentrt.scheduler.events import ReplicaId


class Embeddings:
    """Those under way. They go where least of them is going on."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._under_way: dict[ReplicaId, int] = {}

    async def make(self, model: str, caller: Caller, sending: Sending) -> Completion:
        """Have one answered.

        Raises:
            BackendError: no replica of the model is up, or what came of the last that was tried.
        """
        hints = Hints(tenant=caller.tenant)
        while True:
            pool = await self._models.find_up(model)
            replica_id = min(
                pool.up_ids, key=lambda up: (up in sending.failed_at, self._under_way.get(up, 0))
            )
            self._under_way[replica_id] = self._under_way.get(replica_id, 0) + 1
            try:
                return await sending.send(pool.replica(replica_id), hints)
            except BackendError as error:
                await sending.wait(error, (pool,))
            finally:
                self._under_way[replica_id] -= 1
