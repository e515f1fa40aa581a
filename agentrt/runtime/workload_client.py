"""A workload as its programs would make it: each asks one endpoint, and no scheduler stands between."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from agentrt.backends.made_text import TextSizes
from agentrt.clock import Clock
from agentrt.errors import BackendError, InputError, InvalidAnswer
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Chunk, Completion, Request
from agentrt.ir.workload import CallStep, ProgramTrace, Step, StepId, ToolStep, Workload
from agentrt.runtime.backoff import backend_wait_s
from agentrt.runtime.workload_endpoint import Endpoint
from agentrt.runtime.workload_order import OnFinished, play_programs, play_steps
from agentrt.runtime.workload_served import Served, ServedCall, ServedProgram, first_error
from agentrt.runtime.workload_text import WorkloadText


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How programs are replayed as clients.

    Attributes:
        programs_at_once: Programs without a time of arrival come this many at a time, the next when
            one ends (a closed loop); None: they all come at the start.
        cap: At most so many programs are served at once; others wait before their first call until
            one ends, and that counts as their time. None: nobody waits.
        salt: Replays of different salts share no text, so that one finds nothing that another has
            left in a server's cache.
        retries: How often a call that failed in a way that may pass is made again; as many as the
            usual clients make.
        limit_s: After so long the replay is broken off; None: it ends when its programs have.
        timeout_s: One attempt of a call.
    """

    programs_at_once: int | None = None
    cap: int | None = None
    salt: str = ""
    retries: int = 2
    limit_s: float | None = None
    timeout_s: float = 600.0


_DEFAULTS = ClientOptions()


async def replay_as_client(
    workload: Workload,
    endpoint: Endpoint,
    sizes: TextSizes,
    *,
    clock: Clock,
    options: ClientOptions = _DEFAULTS,
    on_finished: OnFinished | None = None,
) -> Served:
    """Make every call of `workload`: streamed, with the answers so far in its prompt, tools slept through.

    Answers are asked for in the workload's length; servers that do not know how to go on after the
    model's end may give less. A program with a call that fails is given up.

    Args:
        workload: What to replay.
        endpoint: Where.
        sizes: What text comes to there.
        clock: For gaps, tools and what is measured.
        options: How.
        on_finished: Told whenever a program ends.

    Raises:
        InputError: an empty workload.
    """
    if not workload.programs:
        raise InputError(f"workload {workload.name!r} has no programs to replay")
    text = WorkloadText(workload, sizes, salt=options.salt)
    run = _ClientReplay(text, endpoint, clock=clock, options=options)
    is_cut = False
    limit = asyncio.timeout(options.limit_s)
    try:
        async with limit:
            await run.to_the_end(on_finished)
    except TimeoutError:
        if not limit.expired():
            raise
        is_cut = True
    return Served(programs=tuple(run.programs), calls=tuple(run.calls), is_cut=is_cut)


class _ClientReplay:
    """One replay under way."""

    def __init__(
        self, text: WorkloadText, endpoint: Endpoint, *, clock: Clock, options: ClientOptions
    ) -> None:
        self._text = text
        self._traces = text.workload.programs
        self._endpoint = endpoint
        self._clock = clock
        self._options = options
        self._began_s = clock.now()
        self._rng = random.Random(options.salt)
        self._places = asyncio.Semaphore(options.cap or max(1, len(self._traces)))
        self.programs = [ServedProgram() for _ in self._traces]
        self.calls: list[ServedCall] = []

    async def to_the_end(self, on_finished: OnFinished | None) -> None:
        await play_programs(
            self._traces,
            self._program,
            clock=self._clock,
            at_once=self._options.programs_at_once,
            on_finished=on_finished,
        )

    async def _program(self, index: int, trace: ProgramTrace) -> None:
        record = self.programs[index]
        record.arrived_s = self._now()
        async with self._places:
            try:
                await play_steps(trace, partial(self._step, index))
            except* BackendError as errors:
                record.error = first_error(errors)
            else:
                record.finished_s = self._now()
            finally:
                await self._endpoint.release(self._id(index))
        self._text.ended(index)

    async def _step(self, program: int, step_id: StepId, step: Step) -> None:
        match step:
            case ToolStep():
                await self._clock.sleep(step.duration_s)
            case CallStep():
                if step.gap_s > 0.0:
                    await self._clock.sleep(step.gap_s)
                await self._call(program, step_id, step)
            case _:
                assert_never(step)

    async def _call(self, program: int, step_id: StepId, step: CallStep) -> None:
        record = ServedCall(program=program, step=step_id, ready_s=self._now())
        self.calls.append(record)
        name = self._id(program)
        request = Request(
            messages=self._text.messages(program, step_id),
            options=LLMOptions(
                max_tokens=step.completion_tokens,
                temperature=0.0,
                retries=0,
                timeout_s=self._options.timeout_s,
            ),
            extra={**self._text.sizes.extra, **self._endpoint.fields(name)},
        )
        completion = await self._answered(name, request, record)
        record.finished_s, record.usage = self._now(), completion.usage
        self._text.answered(program, step_id, completion)

    async def _answered(self, name: str, request: Request, record: ServedCall) -> Completion:
        """The first answer that is one; what fails in a way that may pass is asked again."""
        while True:
            try:
                return await self._attempt(name, request, record)
            except BackendError as error:
                if not error.retryable or record.attempts > self._options.retries:
                    raise
                wait = backend_wait_s(error, record.attempts, self._rng)
            record.attempts += 1
            await self._clock.sleep(wait)

    async def _attempt(self, name: str, request: Request, record: ServedCall) -> Completion:
        record.first_token_s = None
        record.sent_s = self._now()

        def came(chunk: Chunk) -> None:
            if chunk.text and record.first_token_s is None:
                record.first_token_s = self._now()

        completion = await self._endpoint.backend(name).complete(request, on_chunk=came)
        if completion.usage.prompt_tokens == 0:
            # Without it, what comes next could not be given its length.
            raise InvalidAnswer(
                f"{self._endpoint.url} does not say how many tokens a call had (`usage`)",
                url=self._endpoint.url,
                retryable=False,
            )
        return completion

    def _now(self) -> float:
        return self._clock.now() - self._began_s

    def _id(self, program: int) -> str:
        """Of this replay alone: servers may remember programs of earlier ones."""
        salt = f"{self._options.salt}-" if self._options.salt else ""
        return f"{salt}{program}"
