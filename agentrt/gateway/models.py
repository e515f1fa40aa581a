"""`Models`: which replicas serve which model. Those that serve the same ones make a pool.

Not each model has a pool of its own: the names that one server goes by, and the adapters that it
has beside a model, share its KV cache, and only one scheduler can count what is in that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentrt.backends.base import Backend
from agentrt.errors import BackendUnavailable, RequestRejected
from agentrt.ir.request import Capabilities
from agentrt.runtime.pool import Pool
from agentrt.scheduler.events import ReplicaId

_MOST_NAMED = 20
_MOST_SHOWN = 3
_ANY = "any model"


class Models:
    """The pools, by what their replicas serve. A pool stays when all its replicas have gone.

    Attributes:
        pools: By the names of their models, together.
        shared: Those that serve several models, or any.
    """

    def __init__(self, new_pool: Callable[[str], Pool], *, unavailable_s: float) -> None:
        """Args: how to make a pool of some name; how long a request waits for a model to appear."""
        self.pools: dict[str, Pool] = {}
        self.shared: set[Pool] = set()
        self._new_pool = new_pool
        self._unavailable_s = unavailable_s
        self._served: dict[str, dict[str, Pool]] = {}
        self._of: dict[ReplicaId, Pool] = {}
        self._home: dict[ReplicaId, str] = {}
        self._expected: set[ReplicaId] = set()
        self._changed = asyncio.Event()

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are served, also where no replica is up just now."""
        return tuple(self._served)

    def expect(self, replica_id: ReplicaId) -> None:
        """A replica may come up, nobody knows with which models."""
        self._expected.add(replica_id)

    def join(self, replica_id: ReplicaId, backend: Backend, capabilities: Capabilities) -> Pool:
        """A replica is up: its pool, which may be a new one."""
        self._expected.discard(replica_id)
        served = tuple(sorted(capabilities.models))
        name = ", ".join(served) or _ANY
        pool = self.pools.get(name)
        if pool is None:
            pool = self.pools[name] = self._new_pool(_shown(served))
            if len(served) != 1:
                self.shared.add(pool)
        for model in served:
            self._served.setdefault(model, {})[name] = pool
        self._move(replica_id, name)
        self._of[replica_id] = pool
        pool.join(replica_id, backend, capabilities)
        self._changed.set()
        self._changed = asyncio.Event()
        return pool

    def _move(self, replica_id: ReplicaId, name: str) -> None:
        """The models that it served before are not to be had any more, if nobody else may have them."""
        before = self._home.get(replica_id)
        self._home[replica_id] = name
        if before is not None and before not in self._home.values():
            for model, pools in tuple(self._served.items()):
                pools.pop(before, None)
                if not pools:
                    del self._served[model]

    def leave(self, replica_id: ReplicaId) -> None:
        """A replica is down."""
        self._of.pop(replica_id).leave(replica_id)

    def pool_of(self, replica_id: ReplicaId) -> Pool | None:
        """Where a replica is; None: it is down."""
        return self._of.get(replica_id)

    async def find(self, model: str) -> tuple[str, tuple[Pool, ...]]:
        """The model that is meant, and the pools that serve it: those with replicas up first.

        Nothing is waited for where the model is known. One that is not may be what a replica serves
        that has not come up yet.

        Raises:
            RequestRejected: no replica serves it.
            BackendUnavailable: it is not known, and not all replicas have been up yet.
        """
        found = self._find(model)
        if found is not None:
            return found
        try:
            async with asyncio.timeout(self._unavailable_s):
                while True:
                    found = self._find(model)
                    if found is not None:
                        return found
                    if not self._expected:
                        raise self._unknown(model)
                    await self._changed.wait()
        except TimeoutError as error:
            waits = f"{len(self._expected)} replicas have not come up yet"
            raise BackendUnavailable(f"{waits}, and no other serves {model!r}") from error

    async def find_up(self, model: str) -> Pool:
        """A pool of the model that has a replica up, as soon as there is one.

        Raises:
            RequestRejected: no replica serves the model.
            BackendUnavailable: none is up, and none has come up for too long.
        """
        _, pools = await self.find(model)
        try:
            async with asyncio.timeout(self._unavailable_s):
                while not pools[0].is_up:
                    await self._changed.wait()
                    _, pools = await self.find(model)
        except TimeoutError as error:
            message = f"no replica of {model} has been up for {self._unavailable_s:g} s"
            raise BackendUnavailable(message) from error
        return pools[0]

    def _find(self, model: str) -> tuple[str, tuple[Pool, ...]] | None:
        if not model and len(self._served) == 1:
            (model,) = self._served
        pools = tuple(self._served.get(model, {}).values())
        if not pools and _ANY in self._home.values():
            pools = (self.pools[_ANY],)
        if not pools:
            return None
        if len(pools) > 1:
            pools = tuple(sorted(pools, key=lambda pool: not pool.is_up))
        return model, pools

    def _unknown(self, model: str) -> RequestRejected:
        names = sorted(self._served)
        listed = ", ".join(names[:_MOST_NAMED]) + (" ..." if len(names) > _MOST_NAMED else "")
        said = f"no replica serves the model {model!r}" if model else "the request names no model"
        return RequestRejected(f"{said}: there are {listed or 'none'}", status=404)


def _shown(served: tuple[str, ...]) -> str:
    """What people are told of a pool."""
    more = len(served) - _MOST_SHOWN
    return (", ".join(served[:_MOST_SHOWN]) or _ANY) + (f" and {more} more" if more > 0 else "")
