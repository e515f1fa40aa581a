"""`PoolReplicas`: the servers of a pool, which of them are up, and what they can do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentrt.backends.base import Backend
from agentrt.errors import BackendError
from agentrt.ir.request import Capabilities
from agentrt.runtime.prompt_chains import BLOCK_CHARACTERS
from agentrt.runtime.text_rate import TextRate
from agentrt.scheduler.events import ReplicaId, ReplicaResized

_NOTABLE_CHANGE = 0.03
"""Of the characters of a token, for the scheduler to hear what caches have room for now."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A server that a call was sent to, and what to tell when its answer begins.

    Attributes:
        is_streamed: It is to stream its answer, though nobody may read the pieces.
    """

    replica_id: ReplicaId
    backend: Backend
    capabilities: Capabilities
    first_token: Callable[[], None]
    is_streamed: bool


class PoolReplicas:
    """Known by the backends they are asked through; up once they have said what they can do.

    Attributes:
        backends: Of all, up or not.
    """

    def __init__(
        self, backends: Mapping[ReplicaId, Backend], rate: TextRate, *, kv_tokens: int | None
    ) -> None:
        """`kv_tokens`: what each cache has room for, whatever the servers say; None: as they say."""
        self.backends = dict(backends)
        self._up: dict[ReplicaId, Capabilities] = {}
        self._kv_tokens = kv_tokens
        self._rate = rate
        self._told_rate = rate.characters_per_token

    @property
    def is_up(self) -> bool:
        """Whether any is."""
        return bool(self._up)

    @property
    def up_ids(self) -> tuple[ReplicaId, ...]:
        return tuple(self._up)

    @property
    def streams(self) -> bool:
        """Whether all that are up do."""
        return all(capabilities.streaming for capabilities in self._up.values())

    def up(self, replica_id: ReplicaId, capabilities: Capabilities) -> None:
        """It is there (again)."""
        self._up[replica_id] = capabilities

    def down(self, replica_id: ReplicaId) -> None:
        """It is gone. Raises `KeyError` if it is not up."""
        del self._up[replica_id]

    def replica(
        self, replica_id: ReplicaId, first_token: Callable[[], None], *, is_wanted: bool
    ) -> Replica:
        """One that is up, to send a call to; `is_wanted`: its first token, so that it is to stream.

        Raises:
            KeyError: it is not up.
        """
        capabilities = self._up[replica_id]
        is_streamed = is_wanted and capabilities.streaming
        backend = self.backends[replica_id]
        return Replica(replica_id, backend, capabilities, first_token, is_streamed)

    async def asked(self) -> Mapping[ReplicaId, Capabilities | BackendError]:
        """What each says it can do, or why it does not."""
        answers: dict[ReplicaId, Capabilities | BackendError] = {}

        async def ask(replica_id: ReplicaId, backend: Backend) -> None:
            try:
                answers[replica_id] = await backend.capabilities()
            except BackendError as error:
                answers[replica_id] = error

        async with asyncio.TaskGroup() as tasks:
            for replica_id, backend in self.backends.items():
                tasks.create_task(ask(replica_id, backend))
        return {replica_id: answers[replica_id] for replica_id in self.backends}

    def kv_blocks(self, capabilities: Capabilities) -> int | None:
        """What a replica's cache has room for, in blocks of characters as its tokenizer cuts them."""
        kv_tokens = self._kv_tokens or capabilities.kv_tokens
        if kv_tokens is None:
            return None
        return int(kv_tokens * self._told_rate // BLOCK_CHARACTERS)

    def resized(self) -> list[ReplicaResized]:
        """What to tell of those that are up, if the rate has changed notably since it was told."""
        rate = self._rate.characters_per_token
        if abs(rate / self._told_rate - 1.0) < _NOTABLE_CHANGE:
            return []
        self._told_rate = rate
        blocks = {id_: self.kv_blocks(capabilities) for id_, capabilities in self._up.items()}
        return [ReplicaResized(id_, count) for id_, count in blocks.items() if count is not None]
