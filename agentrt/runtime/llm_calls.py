"""Calls to backends: scheduled by program, retried and asked again when that can help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agentrt.backends.base import OnChunk
from agentrt.clock import Clock
from agentrt.dsl.value_type import ValueType
from agentrt.errors import BackendError, BackendTimeout, OutputError, SchemaError
from agentrt.ir.request import Chunk, Completion, Message, Request
from agentrt.planner.memory import PlanMemory
from agentrt.runtime.backoff import backend_wait_s
from agentrt.runtime.pool import Replica
from agentrt.runtime.scheduled_program import IsLast, ScheduledProgram, Served
from agentrt.runtime.standing import ALONE, Standing


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call, for the record; `served` if it has an answer."""

    number: int
    started_s: float
    finished_s: float
    served: Served | None = None
    error: Exception | None = None
    retry_in_s: float | None = None


class CallObserver(Protocol):
    """Whoever wants to know how a call fares; attempts are numbered over all its requests."""

    def call_sent(self, attempt: int) -> None: ...

    def call_ended(self, attempt: Attempt) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMCall:
    """A call to make.

    Attributes:
        is_text_final: Nothing is tried again once text has been handed to `on_chunk`: whoever reads
            it cannot take it back.
        is_last: No later prompt of the program will begin with this one and its answer; or what
            tells so from the answer.
        standing: What a plan knows of it.
        expects_more: It is likely that a later prompt begins with this one and its answer.
    """

    request: Request
    program: ScheduledProgram
    observer: CallObserver
    on_chunk: OnChunk | None = None
    is_text_final: bool = False
    is_last: IsLast | bool = False
    standing: Standing = ALONE
    expects_more: bool = True


class LLMCalls:
    """All LLM calls of one runtime.

    Attributes:
        plans: What earlier plans have taught.
    """

    def __init__(
        self, *, clock: Clock, random_source: random.Random, plans: PlanMemory | None = None
    ) -> None:
        self._clock = clock
        self._random = random_source
        self.plans = plans or PlanMemory()

    async def complete(self, call: LLMCall, *, first_attempt: int = 1) -> Completion:
        """The backend's answer, after as many attempts as it takes and `options.retries` allows.

        A schema or stream the backend cannot handle is left out; whoever asked validates anyway.

        Raises:
            BackendError: the last attempt's, or the first one's if it cannot be retried.
            RunCancelled: the program is over.
        """
        attempt = first_attempt
        stream = None if call.on_chunk is None else _Stream(call.on_chunk)
        while True:
            wait_s: float | None = None
            sending = _Sending(call, attempt, stream, self._clock)
            try:
                served = await call.program.complete(
                    call.request,
                    sending.send,
                    is_last=call.is_last,
                    standing=call.standing,
                )
            except BackendError as error:
                spent = attempt - first_attempt
                is_spoilt = call.is_text_final and stream is not None and stream.has_text
                if error.retryable and spent < call.request.options.retries and not is_spoilt:
                    wait_s = backend_wait_s(error, spent + 1, self._random)
                call.observer.call_ended(sending.ended(error=error, retry_in_s=wait_s))
                if wait_s is None:
                    raise
            else:
                call.observer.call_ended(sending.ended(served=served))
                return served.completion
            await self._clock.sleep(wait_s)
            attempt += 1

    async def answer(self, call: LLMCall, answer: ValueType[Any]) -> Any:
        """The backend's answer as a value of its type.

        An answer that does not fit is shown to the model again with what is wrong with it, at most
        `options.output_retries` times. So the call is the last one only if its answer fits, which is
        known beforehand of text.

        Raises:
            BackendError: as `complete`.
            OutputError: no answer fitted.
        """
        counted = _Counted(call.observer)
        call = replace(call, observer=counted)
        output_retries = call.request.options.output_retries
        for ask in range(output_retries + 1):
            reading = _Reading(answer)
            made = call
            if call.is_last is True and not answer.is_text and ask < output_retries:
                made = replace(call, is_last=reading.fits)
            completion = await self.complete(made, first_attempt=counted.attempts + 1)
            try:
                return reading.value(completion)
            except SchemaError as error:
                problem = str(error)
                if completion.is_cut:
                    problem += " (it was cut off: max_tokens is too low for it)"
                if ask == output_retries:
                    message = f"the answer does not fit {answer.name}: {problem}"
                    raise OutputError(message, answer=completion.text) from error
            messages = (*call.request.messages, *_again(completion, problem))
            call = replace(call, request=replace(call.request, messages=messages))
        raise AssertionError("unreachable: the last ask returns or raises")


class _Reading:
    """An answer, that is parsed once: the scheduler asks whether it fits before the value is taken."""

    def __init__(self, answer: ValueType[Any]) -> None:
        self._answer = answer
        self._read: tuple[Completion, Any, SchemaError | None] | None = None

    def fits(self, completion: Completion) -> bool:
        return self._of(completion)[1] is None

    def value(self, completion: Completion) -> Any:
        value, error = self._of(completion)
        if error is not None:
            raise error
        return value

    def _of(self, completion: Completion) -> tuple[Any, SchemaError | None]:
        if self._read is None or self._read[0] is not completion:
            try:
                self._read = completion, self._answer.parse_answer(completion.text), None
            except SchemaError as error:
                self._read = completion, None, error
        return self._read[1:]


class _Sending:
    """One attempt: sent when the scheduler says so, and again if its replica goes down."""

    def __init__(self, call: LLMCall, attempt: int, stream: _Stream | None, clock: Clock) -> None:
        self._call = call
        self._attempt = attempt
        self._stream = stream
        self._clock = clock
        self._started_s = clock.now()

    async def send(self, replica: Replica) -> Completion:
        self._started_s = self._clock.now()
        self._call.observer.call_sent(self._attempt)
        request, backend = self._call.request, replica.backend
        call = self._call
        hints = call.program.hints(request, standing=call.standing, expects_more=call.expects_more)
        request = replace(request, hints=hints)
        if request.output_schema is not None and not replica.capabilities.json_schema:
            request = replace(request, output_schema=None)
        stream = self._stream if replica.capabilities.streaming else None
        if stream is None and replica.is_streamed:
            stream = _Stream(None)
        if stream is not None:
            stream.first = replica.first_token
        timeout_s = request.options.timeout_s
        if timeout_s is None:
            return await backend.complete(request, on_chunk=stream)
        try:
            async with asyncio.timeout(timeout_s):
                return await backend.complete(request, on_chunk=stream)
        except TimeoutError as error:
            message = f"no answer from {backend.name} within {timeout_s:g} s"
            raise BackendTimeout(message, url=backend.name) from error

    def ended(
        self,
        *,
        served: Served | None = None,
        error: Exception | None = None,
        retry_in_s: float | None = None,
    ) -> Attempt:
        """The attempt, for the record."""
        ended_s = self._clock.now()
        return Attempt(self._attempt, self._started_s, ended_s, served, error, retry_in_s)


class _Stream:
    """Passes chunks on and remembers whether there was text in them.

    Attributes:
        first: Called at the next chunk, once.
    """

    def __init__(self, on_chunk: OnChunk | None) -> None:
        self._on_chunk = on_chunk
        self.first: Callable[[], None] | None = None
        self.has_text = False

    def __call__(self, chunk: Chunk) -> None:
        if self.first is not None:
            first, self.first = self.first, None
            first()
        self.has_text = self.has_text or bool(chunk.text)
        if self._on_chunk is not None:
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
        Message("assistant", completion.quoted()),
        Message(
            "user", f"That answer cannot be used: {problem}. Answer again, only with the JSON."
        ),
    )


def first_messages(system: str | None, user: str, instructions: str) -> tuple[Message, ...]:
    """The opening of a conversation; the form of the answer is part of the stable system text."""
    system_text = "\n\n".join(part for part in (system, instructions) if part)
    opening = (Message("system", system_text),) if system_text else ()
    return (*opening, Message("user", user))
