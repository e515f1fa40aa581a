"""Calls to backends: queued by program, retried and asked again when that can help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agentrt.backends.base import Backend, OnChunk
from agentrt.clock import Clock
from agentrt.dsl.value_type import ValueType
from agentrt.errors import BackendError, BackendTimeout, OutputError, SchemaError
from agentrt.ir.node import Tier
from agentrt.ir.request import Capabilities, Chunk, Completion, Message, Request
from agentrt.runtime.backoff import backend_wait_s
from agentrt.scheduler.call_queue import (
    CallEnded,
    CallQueue,
    CallReady,
    CallWithdrawn,
    CapacityChanged,
    SendCall,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call, for the record."""

    number: int
    started_s: float
    finished_s: float
    completion: Completion | None = None
    error: Exception | None = None
    retry_in_s: float | None = None


class CallObserver(Protocol):
    """Whoever wants to know how a call fares; attempts are numbered over all its requests."""

    def call_sent(self, attempt: int) -> None: ...

    def call_ended(self, attempt: Attempt) -> None: ...


class Endpoint:
    """One backend and the queue in front of it."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._queue = CallQueue(None)
        self._gates: dict[int, asyncio.Future[None]] = {}
        self._next_call = 0
        self._capabilities: Capabilities | None = None
        self._asking = asyncio.Lock()

    async def capabilities(self) -> Capabilities:
        """Asked for before the first call; bounds how many calls are sent at once."""
        if self._capabilities is None:
            async with self._asking:
                if self._capabilities is None:
                    found = await self.backend.capabilities()
                    self._perform(self._queue.handle(CapacityChanged(found.max_concurrency)))
                    self._capabilities = found
        return self._capabilities

    @asynccontextmanager
    async def turn(self, program: int) -> AsyncGenerator[None]:
        """Wait until a call of `program` may be sent; it ends with the block."""
        call_id = self._next_call
        self._next_call += 1
        gate = asyncio.get_running_loop().create_future()
        self._gates[call_id] = gate
        self._perform(self._queue.handle(CallReady(call_id, program)))
        try:
            await gate
        except asyncio.CancelledError:
            sent = call_id in self._queue.sent
            del self._gates[call_id]
            self._perform(
                self._queue.handle(CallEnded(call_id) if sent else CallWithdrawn(call_id))
            )
            raise
        try:
            yield
        finally:
            del self._gates[call_id]
            self._perform(self._queue.handle(CallEnded(call_id)))

    def _perform(self, sends: list[SendCall]) -> None:
        for send in sends:
            gate = self._gates[send.call_id]
            if not gate.done():
                gate.set_result(None)


class LLMCalls:
    """All LLM calls of one runtime."""

    def __init__(
        self, endpoints: Mapping[Tier, Endpoint], *, clock: Clock, random_source: random.Random
    ) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._random = random_source

    def endpoint(self, tier: Tier | None) -> Endpoint:
        """Where calls of `tier` go; with one backend, all go there."""
        return self._endpoints[tier or "large"]

    async def complete(
        self,
        request: Request,
        *,
        program: int,
        observer: CallObserver,
        on_chunk: OnChunk | None = None,
        first_attempt: int = 1,
        is_text_final: bool = False,
    ) -> Completion:
        """The backend's answer, after as many attempts as it takes and `options.retries` allows.

        A schema or stream the backend cannot handle is left out; whoever asked validates anyway.
        With `is_text_final` nothing is tried again once text has been handed to `on_chunk`: whoever
        reads it cannot take it back.

        Raises:
            BackendError: the last attempt's, or the first one's if it cannot be retried.
        """
        endpoint = self.endpoint(request.options.tier)
        attempt = first_attempt
        stream = None if on_chunk is None else _Stream(on_chunk)
        while True:
            wait_s: float | None = None
            started_s = self._clock.now()
            try:
                # Asked before the call queues: it says how many calls may be sent at once.
                capabilities = await endpoint.capabilities()
                async with endpoint.turn(program):
                    started_s = self._clock.now()
                    observer.call_sent(attempt)
                    completion = await self._send(
                        endpoint.backend, *_fitted(request, stream, capabilities)
                    )
            except BackendError as error:
                spent = attempt - first_attempt
                is_spoilt = is_text_final and stream is not None and stream.has_text
                if error.retryable and spent < request.options.retries and not is_spoilt:
                    wait_s = backend_wait_s(error, spent + 1, self._random)
                ended_s = self._clock.now()
                observer.call_ended(
                    Attempt(attempt, started_s, ended_s, error=error, retry_in_s=wait_s)
                )
                if wait_s is None:
                    raise
            else:
                observer.call_ended(Attempt(attempt, started_s, self._clock.now(), completion))
                return completion
            await self._clock.sleep(wait_s)
            attempt += 1

    async def answer(
        self,
        request: Request,
        answer: ValueType[Any],
        *,
        program: int,
        observer: CallObserver,
        on_chunk: OnChunk | None = None,
    ) -> Any:
        """The backend's answer as a value of its type.

        An answer that does not fit is shown to the model again with what is wrong with it, at most
        `options.output_retries` times.

        Raises:
            BackendError: as `complete`.
            OutputError: no answer fitted.
        """
        counted = _Counted(observer)
        for ask in range(request.options.output_retries + 1):
            completion = await self.complete(
                request,
                program=program,
                observer=counted,
                on_chunk=on_chunk,
                first_attempt=counted.attempts + 1,
            )
            try:
                return answer.parse_answer(completion.text)
            except SchemaError as error:
                problem = str(error)
                if completion.finish_reason == "length":
                    problem += " (it was cut off: max_tokens is too low for it)"
                if ask == request.options.output_retries:
                    message = f"the answer does not fit {answer.name}: {problem}"
                    raise OutputError(message, answer=completion.text) from error
            request = replace(request, messages=(*request.messages, *_again(completion, problem)))
        raise AssertionError("unreachable: the last ask returns or raises")

    async def _send(
        self, backend: Backend, request: Request, on_chunk: OnChunk | None
    ) -> Completion:
        timeout_s = request.options.timeout_s
        if timeout_s is None:
            return await backend.complete(request, on_chunk=on_chunk)
        try:
            async with asyncio.timeout(timeout_s):
                return await backend.complete(request, on_chunk=on_chunk)
        except TimeoutError as error:
            message = f"no answer from {backend.name} within {timeout_s:g} s"
            raise BackendTimeout(message, url=backend.name) from error


def _fitted(
    request: Request, on_chunk: OnChunk | None, capabilities: Capabilities
) -> tuple[Request, OnChunk | None]:
    """The request without what the backend cannot do; answers are validated anyway."""
    if request.output_schema is not None and not capabilities.json_schema:
        request = replace(request, output_schema=None)
    return request, on_chunk if capabilities.streaming else None


class _Stream:
    """Passes chunks on and remembers whether there was text in them."""

    def __init__(self, on_chunk: OnChunk) -> None:
        self._on_chunk = on_chunk
        self.has_text = False

    def __call__(self, chunk: Chunk) -> None:
        self.has_text = self.has_text or bool(chunk.text)
        self._on_chunk(chunk)


class _Counted:
    """Passes on to another observer and counts the attempts."""

    def __init__(self, observer: CallObserver) -> None:
        self._observer = observer
        self.attempts = 0

    def call_sent(self, attempt: int) -> None:
        self.attempts = attempt
        self._observer.call_sent(attempt)

    def call_ended(self, attempt: Attempt) -> None:
        self._observer.call_ended(attempt)


def _again(completion: Completion, problem: str) -> tuple[Message, Message]:
    return (
        Message("assistant", completion.text),
        Message(
            "user", f"That answer cannot be used: {problem}. Answer again, only with the JSON."
        ),
    )


def first_messages(system: str | None, user: str, instructions: str) -> tuple[Message, ...]:
    """The opening of a conversation; the form of the answer is part of the stable system text."""
    system_text = "\n\n".join(part for part in (system, instructions) if part)
    opening = (Message("system", system_text),) if system_text else ()
    return (*opening, Message("user", user))
