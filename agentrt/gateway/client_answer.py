"""`ClientAnswer`: an answer on its way to one client, who may read slower than it is made."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
AsgiSend: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ClientConnection:
    """What the HTTP server can do with a client's connection, beside ASGI; None: it cannot.

    Attributes:
        abort: Drops it, where the client takes nothing from it any more.
        write: Sends a piece of the body, after the head; False: not without waiting, and nothing was.
    """

    abort: Callable[[], None] | None = None
    write: Callable[[bytes], bool] | None = None


class ClientAnswer:
    """What is put in here by whoever reads the server, and sent by `deliver`.

    So a server is read as fast as it writes, and a slow client holds neither its slot nor anybody
    else; what the client has not read yet is kept, up to a limit.

    Attributes:
        status: As begun with; 0: not yet.
        is_abandoned: The client is gone.
        has_begun: The client may have some of it: it cannot be another server's any more.
        is_whole: All of it is here.
        first_sent_at: When the head went to the client, on the loop's clock; None: not yet.
        sending_since: When what is being sent was first offered, on the loop's clock; None: the
            client has taken all there was.
    """

    __slots__ = (
        "_changed",
        "_headers",
        "_max_bytes",
        "_pieces",
        "_room",
        "_size",
        "_write",
        "first_sent_at",
        "is_abandoned",
        "is_whole",
        "sending_since",
        "status",
    )

    def __init__(self, *, max_bytes: int, write: Callable[[bytes], bool] | None = None) -> None:
        """`max_bytes` are kept for the client; `write` as in `ClientConnection`."""
        self.status = 0
        self.is_whole = False
        self.is_abandoned = False
        self.first_sent_at: float | None = None
        self.sending_since: float | None = None
        self._headers: RawHeaders = ()
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._max_bytes = max_bytes
        self._write = write
        self._changed: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    @property
    def has_begun(self) -> bool:
        return self.status != 0

    @property
    def _is_taken(self) -> bool:
        """The client has all there was."""
        is_idle = self.sending_since is None and not self._pieces
        return is_idle and self.first_sent_at is not None and not self.is_abandoned

    @property
    def is_full(self) -> bool:
        """More is kept for the client than it should be: wait for `room`."""
        return self._size > self._max_bytes

    def begin(self, status: int, headers: RawHeaders) -> None:
        """The head. The first piece goes with it."""
        self.status = status
        self._headers = headers

    def add(self, piece: bytes) -> None:
        """Some of the body."""
        if self._is_taken and self._write is not None and self._write(piece):
            return
        self._pieces.append(piece)
        self._size += len(piece)
        self._wake()

    def end(self, piece: bytes = b"") -> None:
        """`piece` is the last of it."""
        if piece:
            self._pieces.append(piece)
        self.is_whole = True
        self._wake()

    def abandon(self) -> None:
        """Nobody reads it any more."""
        self.is_abandoned = True
        self._pieces.clear()
        self._size = 0
        self._wake()
        self._make_room()

    async def room(self) -> None:
        """Wait until the client has read enough to be given more."""
        while self.is_full:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    async def deliver(self, send: AsgiSend) -> None:
        """Send all of it as it comes, to its end or until it is abandoned."""
        loop = asyncio.get_running_loop()
        while not self.is_abandoned:
            if not self._pieces and not self.is_whole:
                self._changed = loop.create_future()
                await self._changed
                continue
            pieces = self._pieces
            body = pieces.popleft() if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            is_last = self.is_whole
            self.sending_since = loop.time()
            if self.first_sent_at is None:
                self.first_sent_at = self.sending_since
                start = {
                    "type": "http.response.start",
                    "status": self.status,
                    "headers": self._headers,
                }
                await send(start)
            await send({"type": "http.response.body", "body": body, "more_body": not is_last})
            self.sending_since = None
            self._size -= len(body)
            if self._room is not None:
                self._make_room()
            if is_last:
                return

    def _wake(self) -> None:
        changed = self._changed
        if changed is not None:
            self._changed = None
            if not changed.done():
                changed.set_result(None)

    def _make_room(self) -> None:
        room = self._room
        if room is not None and not self.is_full:
            self._room = None
            if not room.done():
                room.set_result(None)
