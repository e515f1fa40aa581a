"""uvicorn's HTTP protocol, with limits on what comes before a request's body."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES = 65_536
HEAD_WITHIN_S = 30.0
UNREAD_WITHIN_S = 30.0
"""How long what is left of a body may take that has its answer already."""
TAKEN_WITHIN_S = 120.0
"""How long a client may take nothing of what is left of a whole answer."""

_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class LimitedProtocol(HttpToolsProtocol):
    """Refuses heads that are too long, and closes connections whose heads do not come to an end.

    It also lets the application drop a connection, since what a client never reads would keep it for
    ever, and write to it without waiting; and does so itself where all of an answer has been written,
    and only the connection still has some of it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_bytes = 0
        self._is_in_head = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._cycles: list[RequestResponseCycle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_WITHIN_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_rest_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)
        # uvicorn tells the latest request alone, and others may be in line before it.
        for cycle in self._cycles:
            cycle.disconnected = cycle.disconnected or not cycle.response_complete
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if (
            self._is_in_head
            and self._head_bytes > MAX_HEAD_BYTES
            and not self.transport.is_closing()
        ):
            self.transport.write(_TOO_LONG)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self.transport.abort)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_bytes = 0
        self._stop_head_timer()
        super().on_headers_complete()
        self._cycles = [one for one in self._cycles if not one.response_complete]
        self._cycles.append(self.cycle)
        self.scope["extensions"] = {
            "agentrt.connection": {
                "abort": self.transport.abort,
                "write": partial(_written_at_once, self.cycle),
            }
        }

    def on_message_complete(self) -> None:
        self._stop_unread_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._stop_unread_timer()
            self._unread_timer = self.loop.call_later(UNREAD_WITHIN_S, self.transport.abort)
        self._watch_rest(self.transport.get_write_buffer_size())

    def _watch_rest(self, left_bytes: int) -> None:
        self._stop_rest_timer()
        if left_bytes:
            self._rest_timer = self.loop.call_later(TAKEN_WITHIN_S, self._look_at_rest, left_bytes)

    def _look_at_rest(self, before_bytes: int) -> None:
        if not self.cycle.response_complete:
            return  # the next answer adds to it, and its end is looked at in turn
        left_bytes = self.transport.get_write_buffer_size()
        if left_bytes >= before_bytes:
            self.transport.abort()
        else:
            self._watch_rest(left_bytes)

    def _stop_rest_timer(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _written_at_once(cycle: RequestResponseCycle, piece: bytes) -> bool:
    """Send some of the body of an answer that has begun; False: not now, the client has to catch up.

    As `cycle.send` would, without anybody waiting: most of what a token costs would be that.
    """
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_complete:
        return False
    if not (cycle.chunked_encoding and piece):
        return False
    cycle.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    return True
