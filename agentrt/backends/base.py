"""The seam to inference servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from agentrt.ir.request import Capabilities, Chunk, Completion, Request

OnChunk: TypeAlias = Callable[[Chunk], None]


class Backend(Protocol):
    """One inference server, or something that stands for one.

    A backend makes one attempt per `complete`: retries, queues and records are the runtime's. It is
    bound to one event loop between the first call and `aclose`.
    """

    @property
    def name(self) -> str:
        """How reports name it: its URL without credentials, or its kind."""
        ...

    async def capabilities(self) -> Capabilities:
        """What the server can do. Asked once; later calls are answered from memory.

        Raises:
            BackendError: nobody answers, or what answers is not an inference server.
        """
        ...

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        """Answer `request`; with `on_chunk`, stream and hand over each piece as it comes.

        Cancelling the task closes the connection, so that the server stops too.

        Raises:
            BackendError: with `retryable` saying whether another attempt makes sense.
        """
        ...

    async def aclose(self) -> None:
        """Give up connections, threads and memory. Idempotent."""
        ...
