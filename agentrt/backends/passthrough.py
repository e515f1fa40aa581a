"""Raw HTTP to one inference server: a body goes there as it is, and the answer comes as it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, TypeAlias

import aiohttp
from yarl import URL

from agentrt.backends.http_connection import HttpConnection, HttpSettings
from agentrt.backends.stall import StallWatch
from agentrt.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    InvalidAnswer,
)

RawHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]

_MAX_WHOLE_BYTES = 64 * 2**20
# A connection out of the pool may be one that the server is just closing. Not all of them are.
_MAX_STALE = 3


class PassedAnswer:
    """An answer that is being read.

    Attributes:
        headers: As they came, in their order; those that told how the body was packed are among
            them, though it is unpacked here.
    """

    __slots__ = ("_heard", "_response", "_stream", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, watch: StallWatch) -> None:
        self.status = response.status
        self.headers: RawHeaders = response.raw_headers
        self._response = response
        self._stream = response.content
        self._heard = watch.heard

    @property
    def is_event_stream(self) -> bool:
        return "event-stream" in self._response.headers.get("content-type", "").lower()

    @property
    def text_headers(self) -> Mapping[str, str]:
        """By names in lower case."""
        return {name.lower(): value for name, value in self._response.headers.items()}

    async def piece(self) -> bytes:
        """What has come of the body since the last piece, once there is any; empty: that was all."""
        piece = await self._stream.readany()
        self._heard()
        return piece

    async def read_out(self, within_s: float) -> None:
        """To the end of a body that is whole already, so that its connection can be used again.

        For no longer than that, and it does not matter how it ends.
        """
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(within_s):
                while await self.piece():
                    pass

    async def read(self) -> bytes:
        """All that is left of the body.

        Raises:
            InvalidAnswer: it is too long to be kept.
        """
        pieces: list[bytes] = []
        size = 0
        while piece := await self.piece():
            size += len(piece)
            if size > _MAX_WHOLE_BYTES:
                raise InvalidAnswer(f"the answer is longer than {_MAX_WHOLE_BYTES} bytes")
            pieces.append(piece)
        return b"".join(pieces)


class Passthrough:
    """The server at `url`, for requests that somebody else has written.

    Nothing is retried, but for a pooled connection that turns out to be closed. Nothing that this
    class raises or shows holds the API key.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, settings: HttpSettings | None = None
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: As for `OpenAIBackend`.
            settings: How patient and how wide; its limits per minute are not looked at.

        Raises:
            InputError: as for `OpenAIBackend`.
        """
        self._settings = settings or HttpSettings(timeout_s=3600.0)
        checked = HttpConnection(url, api_key=api_key, settings=self._settings)
        self.url = checked.url
        self.root_url = checked.root_url
        self._api_key = (api_key or "").encode()
        self._own = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # What an answer is read from as it streams must not be packed.
        self._own["Accept-Encoding"] = "identity"
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"Passthrough({self.url!r})"

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[PassedAnswer]:
        """Send a request; the block reads the answer, whatever its status is.

        Leaving the block before the answer's end closes the connection.

        Args:
            url: All of it, such as `f"{passthrough.url}/chat/completions"`.
            headers: As they are to be sent, beside the key; no others are made up but those that
                HTTP asks for.

        Raises:
            BackendError: there is no answer, or not a whole one in time.
        """
        settings = self._settings
        end = asyncio.get_running_loop().time() + settings.timeout_s
        watch: StallWatch | None = None
        try:
            async with asyncio.timeout_at(end) as timeout:
                response = await self._send(method, URL(url, encoded=True), body, headers or {})
                watch = StallWatch(timeout, end=end, stall_s=settings.stall_timeout_s)
                try:
                    yield PassedAnswer(response, watch)
                finally:
                    watch.stop()
                    # Gives the connection back where the answer is at its end, else closes it.
                    response.close()
        except aiohttp.ClientError as error:
            raise self._failed(error) from error
        except TimeoutError as error:
            raise self._timed_out(watch) from error

    async def get(self, url: str) -> bytes:
        """The body at `url`.

        Raises:
            BackendError: it cannot be had.
        """
        async with self.exchange("GET", url, headers={"Accept": "application/json"}) as answer:
            body = await answer.read()
            if answer.status != HTTPStatus.OK:
                message = f"{url} answered {answer.status}"
                raise BackendUnavailable(message, url=self.url, status=answer.status)
            return body

    def redacted(self, body: bytes) -> bytes:
        """A refusal without the key, which some servers say again."""
        return body.replace(self._api_key, b"[API key]") if self._api_key else body

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _send(
        self, method: str, url: URL, body: bytes | None, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """The response, as soon as its headers are there."""
        session = self._session or self._new_session()
        sent = {**headers, **self._own}
        for _ in range(_MAX_STALE):
            opened = _Opened()
            _OPENED.set(opened)
            try:
                return await session.request(
                    method,
                    url,
                    data=body,
                    headers=sent,
                    allow_redirects=False,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if opened.is_new or isinstance(error, aiohttp.ClientConnectorError):
                    raise
        return await session.request(
            method, url, data=body, headers={**sent, "Connection": "close"}, allow_redirects=False
        )

    def _new_session(self) -> aiohttp.ClientSession:
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.max_connections, keepalive_timeout=30.0, socket_factory=_new_socket
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
        )
        return self._session

    def _failed(self, error: aiohttp.ClientError) -> BackendError:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        match error:
            case aiohttp.ConnectionTimeoutError():
                within = f"no connection within {self._settings.connect_timeout_s:g} s"
                return BackendTimeout(f"{self.url}: {within}", url=self.url)
            case aiohttp.ClientConnectorError():
                return BackendUnavailable(f"nobody answers at {self.url} ({said})", url=self.url)
            case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
                return InvalidAnswer(f"{self.url} broke off or garbled its answer", url=self.url)
            case _:
                return BackendUnavailable(
                    f"the connection to {self.url} broke ({said})", url=self.url
                )

    def _timed_out(self, watch: StallWatch | None) -> BackendTimeout:
        settings = self._settings
        if watch is not None and watch.has_stalled:
            stalled = f"nothing came for {settings.stall_timeout_s:g} s"
            what = f"stopped in the middle of its answer: {stalled}"
        else:
            what = f"gave no whole answer within {settings.timeout_s:g} s"
        return BackendTimeout(f"{self.url} {what}", url=self.url)


class _Opened:
    """Whether a request has opened a connection of its own. A trace of aiohttp's would tell it too, at more cost."""

    __slots__ = ("is_new",)

    def __init__(self) -> None:
        self.is_new = False


_OPENED: ContextVar[_Opened | None] = ContextVar("_OPENED", default=None)
"""Of the request that is being sent."""


def _new_socket(address: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
    opened = _OPENED.get()
    if opened is not None:
        opened.is_new = True
    return socket.socket(family=address[0], type=address[1], proto=address[2])
