"""What every contender of `function_calling` is given: a model over HTTP, the tools, and a record."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp

from tests.benchmarks.function_calling_questions import Question, Shape
from tests.benchmarks.function_calling_server import Speed

SEARCH_MEAN_S = 0.61
SEARCH_SIGMA = 0.48
"""Log-normal; with this the slowest of eight takes 1.13 s on average, as published."""
MATH_PROMPT_TOKENS = 1300
MATH_COMPLETION = "```text\n123.4 * 1.2\n```\n...numexpr.evaluate(value)...\nAnswer: 148.08"

OBSERVATION_TOKENS: dict[Shape, int] = {"movie": 62, "hotpotqa": 110, "parallelqa": 900}
"""Tokens of a search's result, with which the published contenders' prompts come to about what is
published of them (docs/function-calling.md says how near)."""

_WORDS = [
    "the",
    "of",
    "and",
    "in",
    "to",
    "was",
    "is",
    "for",
    "as",
    "on",
    "by",
    "with",
    "from",
    "at",
    "which",
    "also",
    "first",
    "known",
    "part",
    "city",
]


def filler(many: int, key: str) -> str:
    """Text of exactly so many tokens, the same for the same key."""
    chance = random.Random(key)
    return "".join(f" {chance.choice(_WORDS)}" for _ in range(many))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model, in seconds of the run, as measured.

    Attributes:
        ideal_s: What it would have taken had nothing but the stated speeds counted.
    """

    model: str
    began_s: float
    ended_s: float
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    ideal_s: float


@dataclass(frozen=True, slots=True)
class Setting:
    """Speeds, by shape: the published figures are of another model for one of them."""

    name: str
    speeds: dict[Shape, Speed]


@dataclass(slots=True)
class Record:
    """What one contender did about one question. Seconds are multiplied by the scale again."""

    contender: str
    question: str
    shape: Shape
    total_s: float = 0.0
    answer: str = ""
    is_right: bool = False
    is_from_cache: bool = False
    tool_calls: int = 0
    first_tool_s: float = 0.0
    calls: list[Call] = field(default_factory=list[Call])

    @property
    def counted(self) -> list[Call]:
        """Without those of the math tool, which no published figure counts."""
        return [call for call in self.calls if call.model != "math"]


@dataclass(slots=True)
class Bench:
    """One setting, as a contender meets it.

    Attributes:
        scale: What every latency is divided by.
    """

    http: aiohttp.ClientSession
    port: int
    setting: Setting
    scale: float
    seed: int


class World:
    """A question, seen by one contender: `ask` a model, `call` a tool."""

    def __init__(self, bench: Bench, question: Question, contender: str) -> None:
        self.question = question
        self.scale = bench.scale
        self.record = Record(contender, question.id, question.shape)
        self._bench = bench
        run = f"{bench.setting.name}-{contender}-{question.shape}-{question.id}"
        self._run_url = f"http://127.0.0.1:{bench.port}/runs/{run}"
        self._began = asyncio.get_running_loop().time()

    async def prepare(self, completions: Mapping[str, Sequence[Any]]) -> None:
        """Tell the server what will be written, and start the clock."""
        question, setting = self.question, self._bench.setting
        maths = sum(step.tool == "math" for step in question.steps)
        body = {
            "speed": asdict(setting.speeds[question.shape]),
            "scale": self.scale,
            "cache": f"{setting.name} {self.record.contender} {question.shape}",
            "completions": {**completions, "math": [MATH_COMPLETION] * maths},
        }
        async with self._bench.http.put(self._run_url, json=body) as response:
            response.raise_for_status()
        self.restart()

    @property
    def url(self) -> str:
        """What an OpenAI client is given as its base URL."""
        return f"{self._run_url}/v1"

    def restart(self) -> None:
        """The question is asked now."""
        self._began = asyncio.get_running_loop().time()

    def stop(self) -> None:
        """The answer is there now, whatever is done after it."""
        if not self.record.total_s:
            self.record.total_s = self.now_s()

    def finish(self, answer: str) -> Record:
        self.stop()
        self.record.answer = answer
        self.record.is_right = answer == self.question.answer
        return self.record

    def now_s(self) -> float:
        """Seconds since the question was asked."""
        return (asyncio.get_running_loop().time() - self._began) * self.scale

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.scale)

    # -- the model ---------------------------------------------------------------------------

    async def stream(
        self, model: str, messages: Sequence[dict[str, Any]], **fields: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """The deltas of a completion, as they come."""
        began = self.now_s()
        body = {"model": model, "messages": list(messages), "stream": True, **fields}
        url = f"{self.url}/chat/completions"
        last: dict[str, Any] = {}
        async with self._bench.http.post(url, json=body) as response:
            response.raise_for_status()
            async for line in response.content:
                if not line.startswith(b"data: {"):
                    continue
                last = json.loads(line[6:])
                for choice in last["choices"]:
                    yield choice["delta"]
        usage = last["usage"]
        self.record.calls.append(
            Call(
                model,
                began,
                self.now_s(),
                usage["prompt_tokens"],
                usage["prompt_tokens_details"]["cached_tokens"],
                usage["completion_tokens"],
                last["ideal_s"],
            )
        )

    async def read_calls(self, names: Mapping[str, Sequence[str]]) -> None:
        """Records calls that somebody else made, as the server saw them, each by a name in turn."""
        async with self._bench.http.get(self._run_url) as response:
            seen = [call for call in await response.json() if call["model"] in names]
        counts = Counter[str]()
        for call in seen:
            model = call["model"]
            call["model"] = names[model][counts[model]]
            counts[model] += 1
            for mark in ("began_s", "ended_s"):
                call[mark] = (call[mark] - self._began) * self.scale
            self.record.calls.append(Call(**call))

    async def ask(self, model: str, messages: Sequence[dict[str, Any]], **fields: Any) -> str:
        """A completion as a whole."""
        deltas = self.stream(model, messages, **fields)
        pieces = [delta.get("content", "") async for delta in deltas]
        return "".join(pieces)

    # -- the tools ---------------------------------------------------------------------------

    async def call(self, tool: str, text: str) -> str:
        """A search for `text`, or the result of the problem in it."""
        if not self.record.tool_calls:
            self.record.first_tool_s = self.now_s()
        self.record.tool_calls += 1
        return await (self._search(text) if tool == "search" else self._math(text))

    async def _search(self, entity: str) -> str:
        await self.pause(search_s(entity, self._bench.seed))
        many = OBSERVATION_TOKENS[self.question.shape]
        return f"{entity}:{filler(many, entity)}."

    async def _math(self, problem: str) -> str:
        """As published, a tool that asks the model itself: its prompt is of one size for all."""
        prompt = f"{problem}{filler(MATH_PROMPT_TOKENS, 'math')}"
        text = await self.ask("math", [{"role": "user", "content": prompt}])
        return text.rpartition("Answer: ")[2]


def search_s(entity: str, seed: int) -> float:
    """How long a search takes: the same for every contender."""
    digest = hashlib.blake2b(f"{seed} {entity}".encode(), digest_size=8).digest()
    drawn = random.Random(int.from_bytes(digest, "big")).gauss(0.0, 1.0)
    return SEARCH_MEAN_S * math.exp(SEARCH_SIGMA * drawn - SEARCH_SIGMA**2 / 2)
