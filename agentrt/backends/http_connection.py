"""HTTP to one inference server: pooling, patience, and failures told as our errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import httpx2

from agentrt.backends.http_errors import error_for
from agentrt.backends.limits import RateLimits
from agentrt.backends.patience import Patience
from agentrt.backends.wire import clean
from agentrt.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    InputError,
    InvalidAnswer,
    RequestRejected,
)
from agentrt.ir.schema import Json

_MAX_BODY_BYTES = 64 * 2**20
_SUCCESS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How patient, how wide and how fast.

    Attributes:
        timeout_s: One whole attempt, from sending to the last byte.
        connect_timeout_s: Until the connection stands.
        stall_timeout_s: Between two pieces of an answer once it has begun. A request may well wait
            in the server's queue for longer before that.
        max_connections: Open at once. Queueing is the runtime's: this only bounds sockets.
        limits: Requests and tokens per minute; None: as fast as the runtime asks.
        headers: Further ones, of every request.
        dialects: Whose hints the server understands beside those of its kind, such as `llm-d`: a router
            in front of an engine cannot be told from outside. `agentrt.backends.hints.DIALECTS` has all.
        takes_markers: It takes Anthropic's `cache_control` on parts of messages, such as a proxy in front
            of Claude; None: as its kind does.
    """

    timeout_s: float = 600.0
    connect_timeout_s: float = 10.0
    stall_timeout_s: float = 120.0
    max_connections: int = 1024
    limits: RateLimits | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    dialects: tuple[str, ...] = ()
    takes_markers: bool | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A response that is being read."""

    response: httpx2.Response
    patience: Patience


class HttpConnection:
    """One server. `url` is its base, such as `http://host:8000/v1`; `/v1` is added to a bare host.

    Nothing that this class raises, logs or shows holds the API key.
    """

    def __init__(self, url: str, *, api_key: str | None, settings: HttpSettings) -> None:
        """Connects to nothing yet.

        Raises:
            InputError: `url` is no HTTP URL, or holds a user, a key or a query; or the key holds
                characters that no HTTP header can.
        """
        parsed = _parsed(url)
        path = parsed.path.rstrip("/")
        self.url = str(parsed.copy_with(path=path or "/v1", query=None, fragment=None))
        self.root_url = self.url.removesuffix("/v1")
        self.host = parsed.host
        self._settings = settings
        self._api_key = _checked_key(api_key)
        self._client: httpx2.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"HttpConnection({self.url!r})"

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        url: str,
        body: Json = None,
        *,
        timeout_s: float | None = None,
        is_any_status: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Exchange]:
        """Send a request; the block reads the response, which is a success.

        With `is_any_status` refusals are responses like any other; `headers` are of this request alone.

        Leaving the block early, by an error or by cancellation, closes the connection.

        Raises:
            BackendError: by status, by what went wrong on the way, or by the time it took.
        """
        total_s = self._settings.timeout_s if timeout_s is None else timeout_s
        content = None if body is None else _encoded(body)
        end = asyncio.get_running_loop().time() + total_s
        patience: Patience | None = None
        try:
            async with asyncio.timeout_at(end) as timeout:
                patience = Patience(
                    timeout, end=end, stall_timeout_s=self._settings.stall_timeout_s
                )
                response = await self._send(method, url, content, headers)
                try:
                    response.stream = _WatchedStream(response.stream, patience.heard)
                    if response.status_code // 100 != _SUCCESS and not is_any_status:
                        raise await self._refusal(response)
                    yield Exchange(response, patience)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise self._timed_out(patience, total_s) from error
        except httpx2.HTTPError as error:
            raise self._failed(error) from error
        except BackendError as error:
            self._scrub(error)
            raise

    async def read(self, exchange: Exchange) -> bytes:
        """The whole body."""
        pieces = [piece async for piece in exchange.response.aiter_bytes()]
        return b"".join(pieces)

    async def get(self, url: str, *, timeout_s: float | None = None) -> bytes:
        """The body at `url`.

        Raises:
            BackendError: as for `exchange`.
        """
        async with self.exchange("GET", url, timeout_s=timeout_s) as exchange:
            return await self.read(exchange)

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _send(
        self, method: str, url: str, content: bytes | None, headers: Mapping[str, str] | None
    ) -> httpx2.Response:
        """The response, as soon as its headers are there.

        A pooled connection that the server closes just as we write to it says nothing about the
        server: the request goes out again, until it fails on a connection made for it.
        """
        if self._client is None:
            self._client = self._new_client()
        while True:
            trace = _Trace()
            request = self._client.build_request(
                method, url, content=content, headers=headers, extensions={"trace": trace}
            )
            try:
                return await self._client.send(request, stream=True)
            except (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError):
                if trace.is_new_connection:
                    raise

    def _new_client(self) -> httpx2.AsyncClient:
        settings = self._settings
        headers = {"Content-Type": "application/json", "User-Agent": "agentrt", **settings.headers}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=settings.connect_timeout_s),
            limits=httpx2.Limits(
                max_connections=settings.max_connections,
                max_keepalive_connections=settings.max_connections,
                keepalive_expiry=30.0,
            ),
            # Making a TLS context takes longer than a request, and plain HTTP needs none.
            verify=self.url.startswith("https:"),
            # A proxy set for the outside world must not swallow what goes to this machine.
            trust_env=not _is_loopback(self.host),
        )

    async def _refusal(self, response: httpx2.Response) -> BackendError:
        try:
            body = (await response.aread()).decode(errors="replace")
        except httpx2.HTTPError:
            body = ""  # The status says enough.
        return error_for(
            response.status_code, self._redacted(body), url=self.url, headers=response.headers
        )

    def _failed(self, error: httpx2.HTTPError) -> BackendError:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        match error:
            case httpx2.ConnectTimeout():
                within = f"no connection within {self._settings.connect_timeout_s:g} s"
                failure: BackendError = BackendTimeout(f"{self.url}: {within}", url=self.url)
            case httpx2.TimeoutException():
                failure = BackendTimeout(f"{self.url}: {said}", url=self.url)
            case httpx2.ConnectError():
                failure = BackendUnavailable(f"nobody answers at {self.url} ({said})", url=self.url)
            case httpx2.RemoteProtocolError() if "without sending a response" not in said:
                failure = InvalidAnswer(
                    f"{self.url} broke off or garbled its answer ({said})", url=self.url
                )
            case httpx2.DecodingError() | httpx2.SSEError():
                failure = InvalidAnswer(f"{self.url}: unreadable answer ({said})", url=self.url)
            case httpx2.NetworkError() | httpx2.RemoteProtocolError() | httpx2.ProxyError():
                failure = BackendUnavailable(
                    f"the connection to {self.url} broke ({said})", url=self.url
                )
            case _:
                failure = BackendUnavailable(f"{self.url}: {said}", url=self.url, retryable=False)
        self._scrub(failure)
        return failure

    def _timed_out(self, patience: Patience | None, total_s: float) -> BackendTimeout:
        stall_s = self._settings.stall_timeout_s
        if patience is not None and patience.has_heard and stall_s < total_s:
            what = f"stopped in the middle of its answer: nothing came for {stall_s:g} s"
        else:
            what = f"gave no whole answer within {total_s:g} s"
        return BackendTimeout(f"{self.url} {what}", url=self.url)

    def _redacted(self, text: str) -> str:
        return text.replace(self._api_key, "[API key]") if self._api_key else text

    def _scrub(self, error: BackendError) -> None:
        """A server that echoes the key must not make us tell it."""
        error.args = tuple(
            self._redacted(part) if isinstance(part, str) else part for part in error.args
        )


class _Trace:
    """Learns from httpcore whether a request got a connection of its own."""

    def __init__(self) -> None:
        self.is_new_connection = False

    async def __call__(self, event: str, _info: dict[str, Any]) -> None:
        if event.endswith("connect_tcp.started"):
            self.is_new_connection = True


class _WatchedStream(httpx2.AsyncByteStream):
    """Tells of each piece of a body, and ends one that never does."""

    def __init__(self, stream: object, heard: Callable[[], None]) -> None:
        assert isinstance(stream, httpx2.AsyncByteStream)  # noqa: S101  an async client's always is
        self._stream = stream
        self._heard = heard

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._stream:
            self._heard()
            size += len(piece)
            if size > _MAX_BODY_BYTES:
                raise InvalidAnswer(f"the answer is longer than {_MAX_BODY_BYTES} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _parsed(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError):
        parsed = httpx2.URL()
    if parsed.userinfo or parsed.query:
        raise InputError(
            "a backend URL must not hold a user, a key or a query, since URLs are shown and "
            "stored: put the key into the environment variable AGENTRT_API_KEY"
        )
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise InputError("an inference server's URL is http://HOST[:PORT][/v1] or https://...")
    return parsed


def _checked_key(api_key: str | None) -> str | None:
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise InputError("the API key holds characters that an HTTP header cannot")
    return api_key or None


def _encoded(body: Json) -> bytes:
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestRejected(f"the request cannot be written as JSON: {error}") from error
    return clean(text).encode()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
