"""A backend that takes the time a model says, step by step, on whatever clock its loop has.

Words are tokens. It caches every prefix it has computed, of any length, for ever. It shares no code
with the simulator's engine.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agentrt.backends.base import OnChunk
from agentrt.errors import BackendError
from agentrt.ir.request import Capabilities, Chunk, Completion, Request, Usage
from agentrt.simulator.engine_model import EngineModel

FRAME_WORDS = 5


@dataclass(eq=False)
class _Sequence:
    words: list[str]
    answer: int
    on_chunk: OnChunk | None
    cached: int = 0
    computed: int = 0
    generated: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class SteppingEngine:
    """`model` says how long steps take, and how many run at once.

    Attributes:
        error: Raised instead of an answer, where a request's last message holds this text.
        is_streaming: Otherwise answers come in one piece.
        counts_cached: Otherwise `cached_tokens` is never reported.
        ends_early: Answers end after so many tokens.
        requests: Every request, in the order they came.
    """

    model: EngineModel
    error: tuple[str, BackendError] | None = None
    is_streaming: bool = True
    counts_cached: bool = True
    ends_early: int | None = None
    name: str = "stepping"
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._waiting: list[_Sequence] = []
        self._running: list[_Sequence] = []
        self._prefixes: set[tuple[str, ...]] = set()
        self._stepping: asyncio.Task[None] | None = None
        self._words = 0

    async def capabilities(self) -> Capabilities:
        return Capabilities(models=("stepping",), streaming=True, reports_cached_tokens=True)

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        self.requests.append(request)
        if self.error is not None and self.error[0] in request.messages[-1].content:
            raise self.error[1]
        words: list[str] = []
        for message in request.messages:
            words += [f"<{message.role}>"] * FRAME_WORDS + message.content.split()
        words += ["<assistant>"] * FRAME_WORDS
        most = request.options.max_tokens or 16
        answer = most if self.ends_early is None else min(most, self.ends_early)
        sequence = _Sequence(list(words), answer, on_chunk if self.is_streaming else None)
        self._waiting.append(sequence)
        if self._stepping is None or self._stepping.done():
            self._stepping = asyncio.create_task(self._step_on())
        try:
            await sequence.done.wait()
        finally:
            for line in (self._waiting, self._running):
                if sequence in line:
                    line.remove(sequence)
        text = " ".join(sequence.words[len(words) :])
        if not self.is_streaming and on_chunk is not None:
            on_chunk(Chunk(text))
        cached = sequence.cached if self.counts_cached else 0
        return Completion(
            text=text,
            finish_reason="length",
            usage=Usage(len(words), cached, sequence.generated),
            model="stepping",
        )

    async def aclose(self) -> None:
        if self._stepping is not None:
            self._stepping.cancel()

    async def _step_on(self) -> None:
        # Who asks at one time is there before the step begins.
        await asyncio.sleep(0.0)
        while self._waiting or self._running:
            self._let_in()
            await asyncio.sleep(self._step())
            await asyncio.sleep(0.0)

    def _let_in(self) -> None:
        while self._waiting and len(self._running) < self.model.max_running:
            sequence = self._waiting.pop(0)
            cached = len(sequence.words) - 1
            while cached and tuple(sequence.words[:cached]) not in self._prefixes:
                cached -= 1
            sequence.cached = sequence.computed = cached
            # As in vLLM: who comes right behind finds what is about to be computed.
            self._remember(sequence.words)
            self._running.append(sequence)

    def _step(self) -> float:
        """Have everybody go a step on; the seconds it takes. Tokens come when it has ended."""
        model = self.model
        seconds, room = model.step_s, model.max_batch_tokens
        ready: list[_Sequence] = []
        for sequence in self._running:
            if sequence.computed == len(sequence.words) - sequence.generated and sequence.generated:
                context = len(sequence.words) - 1
                seconds += model.decode_sequence_s + model.context_token_s * context
                room -= 1
                ready.append(sequence)
        for sequence in self._running:
            chunk = min(room, len(sequence.words) - sequence.computed)
            if sequence.generated or chunk <= 0:
                continue
            seconds += model.prefill_s(chunk, sequence.computed)
            sequence.computed += chunk
            room -= chunk
            if sequence.computed == len(sequence.words):
                ready.append(sequence)
        asyncio.get_running_loop().call_later(seconds, self._emit, ready)
        return seconds

    def _emit(self, ready: list[_Sequence]) -> None:
        for sequence in ready:
            self._words += 1
            sequence.generated += 1
            sequence.words.append(f"w{self._words}")
            if sequence.on_chunk is not None:
                sequence.on_chunk(Chunk(f"w{self._words} "))
            if sequence.generated >= sequence.answer:
                self._remember(sequence.words[:-1])
                self._running.remove(sequence)
                sequence.done.set()

    def _remember(self, words: list[str]) -> None:
        self._prefixes |= {tuple(words[:count]) for count in range(1, len(words) + 1)}
