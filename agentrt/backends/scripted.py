"""A backend that answers from a script: agents under test need no model."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from agentrt.backends.base import OnChunk
from agentrt.errors import RequestRejected
from agentrt.ir.request import Capabilities, Chunk, Completion, Request, Usage
from agentrt.ir.schema import canonical_json

Answer: TypeAlias = str | Completion | Exception
"""What a script says: the text, a whole completion (for tool calls), or an error to raise."""

Script: TypeAlias = (
    Callable[[Request], Answer | Awaitable[Answer]]
    | Mapping[str, Answer | Sequence[Answer]]
    | Sequence[Answer]
)

CHARACTERS_PER_TOKEN = 4
_BLOCK_TOKENS = 16
_BLOCK = _BLOCK_TOKENS * CHARACTERS_PER_TOKEN
_INDEX = re.compile(r"\[[^\]]*\]")
_COUNTER = re.compile(r"_\d+$")
_WORD = re.compile(r"\s*\S+|\s+$")


class ScriptedBackend:
    """Answers from `script`, instantly or after `latency_s`; keeps what it was asked.

        ScriptedBackend("always this")
        ScriptedBackend(["first request", "second", RateLimited("slow down")])
        ScriptedBackend({"queries": '{"answer": ["sky"]}', "answer": "Rayleigh."})
        ScriptedBackend(lambda request: request.messages[-1].content.upper())

    A mapping is looked up by the node instance (`search[2].queries`), then without indices
    (`search.queries`), then by its parts from the last to the first (`queries`, `search`), each
    also without the `_2` of a repeated name. A list is used up in order, a single answer never.
    A typed answer is JSON: an object, or `{"answer": ...}` around any other type.

    Token counts are made up: a token is four characters of the request's messages and tools. Prefix
    caching is imitated as engines do it: whole blocks of 16 tokens that lead an earlier, answered
    request count as cached, with nothing ever evicted. Figures from here show how prompts share
    prefixes; they are no measurement of an engine.

    Attributes:
        requests: Every request, in the order they came.
        peak_concurrency: The most requests that were here at once, waiting ones included.
    """

    name = "scripted"

    def __init__(
        self,
        script: str | Script | None = None,
        *,
        latency_s: float | Callable[[Request], float] = 0.0,
        max_concurrency: int | None = None,
        model: str = "scripted",
        context_tokens: int | None = None,
    ) -> None:
        """Without a script, text is answered with "ok" and anything typed is refused.

        `latency_s` passes by `asyncio.sleep`, so a `VirtualClock` skips it. Requests beyond
        `max_concurrency` wait, as they would at a server.
        """
        self._next_answer = _reader(script)
        self._latency_s = latency_s
        self._model = model
        self._slots = asyncio.Semaphore(max_concurrency) if max_concurrency else None
        self._capabilities = Capabilities(
            models=(model,),
            json_schema=True,
            tools=True,
            streaming=True,
            reports_cached_tokens=True,
            max_concurrency=max_concurrency,
            context_tokens=context_tokens,
            server="scripted",
        )
        self._prefixes: set[int] = set()
        self._in_flight = 0
        self.requests: list[Request] = []
        self.peak_concurrency = 0

    async def capabilities(self) -> Capabilities:
        return self._capabilities

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        """The script's next answer to `request`.

        Raises:
            BackendError: the script says so, or has no answer to `request`.
        """
        self.requests.append(request)
        self._in_flight += 1
        self.peak_concurrency = max(self.peak_concurrency, self._in_flight)
        try:
            if self._slots is None:
                return await self._answer(request, on_chunk)
            async with self._slots:
                return await self._answer(request, on_chunk)
        finally:
            self._in_flight -= 1

    async def _answer(self, request: Request, on_chunk: OnChunk | None) -> Completion:
        # Taken before the wait, so that a list is used up in the order requests come.
        answer = self._next_answer(request)
        latency_s = self._latency_s(request) if callable(self._latency_s) else self._latency_s
        await asyncio.sleep(latency_s)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        completion = self._completed(request, answer, latency_s)
        if on_chunk is not None:
            for piece in _WORD.findall(completion.text):
                on_chunk(Chunk(piece))
            if completion.tool_calls:
                on_chunk(Chunk(tool_calls=completion.tool_calls))
        return completion

    def _completed(
        self, request: Request, answer: str | Completion, latency_s: float
    ) -> Completion:
        completion = Completion(text=answer) if isinstance(answer, str) else answer
        if completion.usage == Usage():
            completion = replace(completion, usage=self._usage(request, completion))
        return replace(
            completion,
            model=completion.model or self._model,
            ttft_s=latency_s if completion.ttft_s is None else completion.ttft_s,
        )

    def _usage(self, request: Request, completion: Completion) -> Usage:
        prompt = _prompt_text(request)
        prompt_tokens = len(prompt) // CHARACTERS_PER_TOKEN
        cached_blocks = 0
        is_prefix = True
        for key in _block_keys(prompt):
            is_prefix = is_prefix and key in self._prefixes
            cached_blocks += is_prefix
            self._prefixes.add(key)
        written = completion.text + "".join(
            call.name + call.arguments for call in completion.tool_calls
        )
        return Usage(
            prompt_tokens=prompt_tokens,
            # An engine always computes the last token, to have something to continue from.
            cached_tokens=min(cached_blocks * _BLOCK_TOKENS, max(prompt_tokens - 1, 0)),
            completion_tokens=len(written) // CHARACTERS_PER_TOKEN,
        )

    async def aclose(self) -> None:
        """Nothing to give up."""


def _reader(script: str | Script | None) -> Callable[[Request], Answer | Awaitable[Answer]]:
    """`script` as a function that also knows what is used up."""
    if script is None:
        return _unscripted
    if isinstance(script, str):
        return lambda _request: script
    if callable(script):
        return script
    if isinstance(script, Mapping):
        return _ByNode(script)
    return _InOrder(script, "the script")


class _InOrder:
    def __init__(self, answers: Sequence[Answer], owner: str) -> None:
        self._answers = tuple(answers)
        self._used = 0
        self._owner = owner

    def __call__(self, request: Request) -> Answer:
        if self._used == len(self._answers):
            raise RequestRejected(
                f"ScriptedBackend: {self._owner} has {self._used} answers, all used up, and "
                f"{_asker(request)} asks for another"
            )
        self._used += 1
        return self._answers[self._used - 1]


class _ByNode:
    def __init__(self, script: Mapping[str, Answer | Sequence[Answer]]) -> None:
        self._script = {
            name: answer
            if isinstance(answer, (str, Completion, Exception))
            else _InOrder(answer, repr(name))
            for name, answer in script.items()
        }

    def __call__(self, request: Request) -> Answer:
        for name in _names(request.node_id):
            answer = self._script.get(name)
            if answer is not None:
                return answer(request) if isinstance(answer, _InOrder) else answer
        raise RequestRejected(
            f"ScriptedBackend: no answer for {_asker(request)}; the script has "
            + (", ".join(map(repr, self._script)) or "none at all")
        )


def _unscripted(request: Request) -> Answer:
    if request.output_schema is None:
        return "ok"
    raise RequestRejected(
        f"ScriptedBackend: {_asker(request)} wants a typed answer, and there is no script; "
        "give ScriptedBackend a function, a mapping by node, or a list of answers"
    )


def _asker(request: Request) -> str:
    return f"node {request.node_id!r}" if request.node_id else "a request without a node"


def _names(node_id: str) -> Iterator[str]:
    """What a script may call `node_id`, most particular first."""
    plain = _INDEX.sub("", node_id)
    yield node_id
    yield plain
    for part in reversed(plain.split(".")):
        yield part
        yield _COUNTER.sub("", part)


def _prompt_text(request: Request) -> str:
    tools = canonical_json(
        [[tool.name, tool.description, tool.parameters] for tool in request.tools]
    )
    return "\n".join(
        [
            tools if request.tools else "",
            *(
                f"{message.role}: {message.content}"
                + "".join(f"{call.name}({call.arguments})" for call in message.tool_calls)
                for message in request.messages
            ),
        ]
    )


def _block_keys(text: str) -> Iterator[int]:
    """One key per whole block, each standing for everything up to its end."""
    key = 0
    for start in range(0, len(text) - _BLOCK + 1, _BLOCK):
        key = hash((key, text[start : start + _BLOCK]))
        yield key
