"""Timing an engine: requests of known sizes, sent to a server that has nothing else to do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from agentrt.backends.base import Backend
from agentrt.backends.made_text import TextSizes, made_words, measure_sizes
from agentrt.clock import Clock
from agentrt.errors import InvalidAnswer, RateLimited
from agentrt.ir.engine_timing import BatchTiming, CallTiming
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Chunk, Completion, Message, Request

OnProbe: TypeAlias = Callable[[int, int, str], None]
"""Told (probes done, probes in all, the next one) before each."""

_SHORT_TOKENS = 32
_DECODED_TOKENS = 33
_MANY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Requests to be sent together.

    Attributes:
        prompt_tokens: Of each request, about; none of them shared with any other.
        behind_tokens: Tokens before them, computed beforehand, that the server should have cached.
    """

    what: str
    prompt_tokens: tuple[int, ...]
    answer_tokens: int = 1
    behind_tokens: int = 0
    is_held_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """What was measured. `notes` are for people: what the server did not do as asked."""

    batches: tuple[BatchTiming, ...]
    notes: tuple[str, ...] = ()


def probes_for(*, longest_tokens: int, most_at_once: int) -> list[Probe]:
    """Prompts of up to `longest_tokens`, alone and together with others, cached and not."""
    longest = max(longest_tokens, _SHORT_TOKENS)
    lengths = sorted({max(_SHORT_TOKENS, longest // part) for part in (32, 16, 8, 4, 2, 1)})
    found = [Probe(what=f"prompt of {n}", prompt_tokens=(n,)) for n in lengths]
    half = longest // 2
    for n in sorted({max(_SHORT_TOKENS, longest // part) for part in (32, 8)}):
        if half > n:
            what = f"prompt of {n} behind {half} cached"
            found.append(Probe(what=what, prompt_tokens=(n,), behind_tokens=half))
    together = [1 << power for power in range(most_at_once.bit_length())]
    found += [_decoding(_SHORT_TOKENS, count) for count in together]
    found += [_decoding(half, count) for count in sorted({1, min(4, together[-1])})]
    mixed = (longest // 4, longest // 8, longest // 3, longest // 16)[: together[-1]]
    return [
        *found,
        Probe(
            what=f"prompt of {3 * longest // 8}",
            prompt_tokens=(3 * longest // 8,),
            is_held_out=True,
        ),
        Probe(
            what=f"{len(mixed)} different ones at once",
            prompt_tokens=tuple(max(_SHORT_TOKENS, n) for n in mixed),
            answer_tokens=_DECODED_TOKENS,
            is_held_out=True,
        ),
        replace(_decoding(longest // 4, max(1, together[-1] * 3 // 4)), is_held_out=True),
    ]


def _decoding(context: int, count: int) -> Probe:
    what = f"{count} with a context of {context}"
    return Probe(what=what, prompt_tokens=(context,) * count, answer_tokens=_DECODED_TOKENS)


class EngineTimer:
    """Sends probes to `backend` and times them by `clock`. Text is drawn anew each time."""

    def __init__(self, backend: Backend, clock: Clock, *, rng: random.Random) -> None:
        self._backend = backend
        self._clock = clock
        self._rng = rng
        self._notes: list[str] = []

    async def measure(self, probes: Sequence[Probe], *, repeats: int, on_probe: OnProbe) -> Timings:
        """Every probe, `repeats` times over; rounds, so that a busy minute hits all alike.

        Raises:
            BackendError: nobody answers, or not in a way that can be timed: no usage, no stream.
        """
        sizes = await measure_sizes(self._backend, self._rng)
        if not sizes.extra:
            self._notes.append("the server does not know ignore_eos: answers may end early")
        batches: list[BatchTiming] = []
        total = len(probes) * repeats
        for turn in range(repeats):
            for at, probe in enumerate(probes):
                on_probe(turn * len(probes) + at, total, probe.what)
                batch = await self._timed(probe, sizes)
                if batch is not None:
                    batches.append(batch)
        return Timings(batches=tuple(batches), notes=tuple(dict.fromkeys(self._notes)))

    async def _timed(self, probe: Probe, sizes: TextSizes) -> BatchTiming | None:
        texts = [self._words(tokens - sizes.frame_tokens, sizes) for tokens in probe.prompt_tokens]
        if probe.behind_tokens:
            behind = self._words(probe.behind_tokens - sizes.frame_tokens, sizes)
            await self._ask(behind, 1, sizes, [])
            texts = [f"{behind} {self._words(tokens, sizes)}" for tokens in probe.prompt_tokens]
        began = self._clock.now()
        try:
            async with asyncio.TaskGroup() as tasks:
                calls = [
                    tasks.create_task(self._call(text, probe.answer_tokens, sizes, began))
                    for text in texts
                ]
        except ExceptionGroup as group:
            raise _told(_first(group), len(texts)) from group
        timings = tuple(task.result() for task in calls)
        if probe.behind_tokens and timings[0].cached_tokens < probe.behind_tokens // 2:
            self._notes.append(
                "repeated prompts are not reported as cached: what a cached prefix costs is not fitted"
            )
            return None
        shortest = min(call.completion_tokens for call in timings)
        if shortest < probe.answer_tokens:
            self._notes.append(f"answers ended early: {shortest} of {probe.answer_tokens} tokens")
        return BatchTiming(what=probe.what, calls=timings, is_held_out=probe.is_held_out)

    async def _call(
        self, text: str, answer_tokens: int, sizes: TextSizes, began: float
    ) -> CallTiming:
        pieces: list[float] = []
        completion = await self._ask(text, answer_tokens, sizes, pieces)
        ended_s = self._clock.now() - began
        if completion.usage.completion_tokens > _MANY and len(pieces) <= 1:
            raise InvalidAnswer(
                f"{self._backend.name} does not stream: answers come in one piece, so there is no"
                " telling how long a token takes",
                url=self._backend.name,
                retryable=False,
            )
        return CallTiming(
            prompt_tokens=completion.usage.prompt_tokens,
            cached_tokens=completion.usage.cached_tokens,
            completion_tokens=completion.usage.completion_tokens,
            piece_s=tuple(at - began for at in pieces),
            ended_s=ended_s,
        )

    async def _ask(
        self, text: str, answer_tokens: int, sizes: TextSizes, pieces: list[float]
    ) -> Completion:
        def came(chunk: Chunk) -> None:
            if chunk.text:
                pieces.append(self._clock.now())

        request = Request(
            messages=(Message("user", text),),
            options=LLMOptions(max_tokens=answer_tokens, temperature=0.0, retries=0),
            extra=sizes.extra,
        )
        return await self._backend.complete(request, on_chunk=came)

    def _words(self, tokens: float, sizes: TextSizes) -> str:
        return made_words(self._rng, sizes.words(tokens))


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group.exceptions[0]
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error


def _told(error: Exception, at_once: int) -> Exception:
    if not isinstance(error, RateLimited):
        return error
    return RateLimited(
        f"the server limits how much it is asked ({error}); {at_once} requests at once were too many",
        url=error.url,
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
    )
