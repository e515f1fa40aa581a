"""An OpenAI client whose requests never leave the process."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import TypeAlias

import httpx2
from openai import AsyncOpenAI

from agentrt.backends.base import OnChunk
from agentrt.backends.wire import DONE
from agentrt.backends.wire_serving import (
    ChatCall,
    Stamp,
    completion_json,
    last_chunks,
    parse_call,
    sse,
    text_chunk,
)
from agentrt.clock import Clock, SystemClock
from agentrt.errors import (
    AgentRTError,
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ContextOverflow,
    InputError,
    InvalidAnswer,
    ModelUnavailable,
    RateLimited,
    RequestRejected,
)
from agentrt.ir.request import Chunk, Completion, Request
from agentrt.ir.schema import Json

Complete: TypeAlias = Callable[[Request, OnChunk | None], Awaitable[Completion]]
ListModels: TypeAlias = Callable[[], Awaitable[Sequence[str]]]

_BASE_URL = "http://agentrt.invalid/v1"
_STATUS: dict[type[AgentRTError], HTTPStatus] = {
    BackendTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    BackendUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    ContextOverflow: HTTPStatus.BAD_REQUEST,
    InputError: HTTPStatus.BAD_REQUEST,
    InvalidAnswer: HTTPStatus.BAD_GATEWAY,
    ModelUnavailable: HTTPStatus.NOT_FOUND,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    RequestRejected: HTTPStatus.BAD_REQUEST,
}


def openai_client(complete: Complete, *, models: ListModels | None = None) -> AsyncOpenAI:
    """A client for chat completions, streamed or not, answered by `complete` in this process.

    Its own retries are off: retrying is the runtime's. Errors of agentrt arrive as `openai`'s
    exceptions, by the status that fits, with the error's name as their `type`.
    """
    return AsyncOpenAI(
        base_url=_BASE_URL,
        api_key="none",
        # Named, so that the environment's are not taken: nothing here is for OpenAI.
        organization="",
        project="",
        max_retries=0,
        timeout=None,
        http_client=httpx2.AsyncClient(
            transport=LoopbackTransport(complete, models=models), trust_env=False, timeout=None
        ),
    )


class LoopbackTransport(httpx2.AsyncBaseTransport):
    """Serves POST /v1/chat/completions and GET /v1/models by calling `complete`.

    A stream's status is decided by its first chunk: what fails before it has its proper status,
    what fails after it is an error event. Closing a response, or the transport, cancels `complete`.
    """

    def __init__(
        self,
        complete: Complete,
        *,
        models: ListModels | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Without `models` the list of models is empty."""
        self._complete = complete
        self._models = models
        self._clock = clock or SystemClock()
        self._numbers = itertools.count(1)
        self._streams: set[_Stream] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        content = await request.aread()
        try:
            match request.method, request.url.path:
                case "POST", "/v1/chat/completions":
                    return await self._chat(content)
                case "GET", "/v1/models":
                    return await self._list_models()
                case _:
                    return _not_served(request)
        except AgentRTError as error:
            return error_response(error)

    async def aclose(self) -> None:
        for stream in list(self._streams):
            await stream.aclose()

    async def _chat(self, content: bytes) -> httpx2.Response:
        call = parse_call(content)
        stamp = Stamp(f"chatcmpl-{next(self._numbers)}", int(self._clock.wall_time()))
        if not call.is_streamed:
            return _json(200, completion_json(await self._complete(call.request, None), stamp))
        stream = _Stream(self._complete, call, stamp, self._streams.discard)
        self._streams.add(stream)
        try:
            await stream.begun()
        except BaseException:
            await stream.aclose()
            raise
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, stream=stream)

    async def _list_models(self) -> httpx2.Response:
        names = await self._models() if self._models else ()
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "agentrt"} for name in names
        ]
        return _json(200, {"object": "list", "data": models})


class _Stream(httpx2.AsyncByteStream):
    """One streamed answer: a task that produces it and the body that hands it over."""

    def __init__(
        self, complete: Complete, call: ChatCall, stamp: Stamp, closed: Callable[[_Stream], None]
    ) -> None:
        self._call = call
        self._stamp = stamp
        self._closed = closed
        self._sent = ""
        self._has_text = False
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._first = asyncio.Event()
        self._task = asyncio.ensure_future(self._produce(complete))

    async def begun(self) -> None:
        """Return when the first piece is there, or the end.

        Raises:
            Exception: what `complete` raised before any piece.
        """
        await self._first.wait()
        if not self._has_text:
            await self._completed()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._events()) as events:
            async for data in events:
                yield sse(data)

    async def aclose(self) -> None:
        self._closed(self)
        if not self._task.done():
            self._task.cancel()
        # Its failure was told, or nobody is listening any more.
        await asyncio.wait([self._task])
        _ = self._task.cancelled() or self._task.exception()

    async def _completed(self) -> Completion:
        """What `complete` answered.

        Raises:
            httpx2.ReadError: the transport was closed. Who reads is not cancelled by that.
        """
        await asyncio.wait([self._task])
        if self._task.cancelled():
            raise httpx2.ReadError("the client was closed")
        return self._task.result()

    async def _produce(self, complete: Complete) -> Completion:
        try:
            return await complete(self._call.request, self._put)
        finally:
            self._pieces.put_nowait(None)
            self._first.set()

    def _put(self, chunk: Chunk) -> None:
        if chunk.text:
            self._has_text = True
            self._pieces.put_nowait(chunk.text)
            self._first.set()

    async def _events(self) -> AsyncGenerator[Json]:
        yield text_chunk("", self._stamp, is_first=True)
        while (piece := await self._pieces.get()) is not None:
            self._sent += piece
            yield text_chunk(piece, self._stamp)
        try:
            completion = await self._completed()
        except AgentRTError as error:
            yield {"error": _error_json(error)}
            return
        if not completion.text.startswith(self._sent):
            # A retried attempt began anew, and what was sent cannot be taken back.
            said = "the answer broke off while it streamed, and a second attempt began differently"
            yield {"error": _error_json(InvalidAnswer(said))}
            return
        rest = completion.text[len(self._sent) :]
        if rest:
            yield text_chunk(rest, self._stamp, model=completion.model)
        for chunk in last_chunks(
            completion, self._stamp, has_usage_chunk=self._call.has_usage_chunk
        ):
            yield chunk
        yield DONE


def error_response(error: AgentRTError) -> httpx2.Response:
    """`error` with the status that makes `openai` raise what fits it; 500 where nothing does."""
    status = getattr(error, "status", None) if isinstance(error, RequestRejected) else None
    if status is None:
        found = (_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        status = next(found, HTTPStatus.INTERNAL_SERVER_ERROR)
    headers: dict[str, str] = {}
    if isinstance(error, BackendError) and error.retry_after_s is not None:
        headers["Retry-After"] = f"{error.retry_after_s:g}"
    return _json(status, {"error": _error_json(error)}, headers)


def _not_served(request: httpx2.Request) -> httpx2.Response:
    what = f"{request.method} {request.url.path}"
    said = f"{what} is not served here: POST /v1/chat/completions and GET /v1/models are"
    return _json(HTTPStatus.NOT_FOUND, {"error": {"message": said, "type": "NotFound"}})


def _error_json(error: AgentRTError) -> Json:
    code = "context_length_exceeded" if isinstance(error, ContextOverflow) else None
    return {"message": str(error), "type": type(error).__name__, "param": None, "code": code}


def _json(status: int, body: Json, headers: dict[str, str] | None = None) -> httpx2.Response:
    return httpx2.Response(
        status,
        headers={"Content-Type": "application/json"} | (headers or {}),
        content=json.dumps(body).encode(),
    )
