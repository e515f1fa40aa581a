"""A server that replays completions at stated speeds, over HTTP: what a model would write, in its time.

`PUT /runs/{run}` says what will be written, by model, and how fast; then `/runs/{run}/v1/chat/completions`
streams it, call by call. A call takes a fixed time, then its prompt's tokens that are not cached, then
its completion token by token. Times are kept from the beginning of a call, so that lateness does not
add up.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from aiohttp import web

from tests.benchmarks.function_calling_tokens import count, tokens

CALL_TOKENS = 6
"""What a call of a tool costs besides its name and arguments: the frame that a model writes around it."""

_HEAD = {"id": "r", "object": "chat.completion.chunk", "created": 1, "model": "replay"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast a model answers.

    Attributes:
        overhead_s: Of each call, whatever it asks: network, queue, the engine's own.
        cache_block: Tokens that are cached together; 0: nothing is cached.
        cache_least: Cached tokens below this count for nothing.
    """

    overhead_s: float
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    cache_block: int = 0
    cache_least: int = 0

    def ideal_s(self, uncached: int, completion: int) -> float:
        return (
            self.overhead_s
            + uncached / self.prefill_tokens_per_s
            + completion / self.decode_tokens_per_s
        )


@dataclass(slots=True)
class Run:
    """What one run of one contender will be answered."""

    speed: Speed
    scale: float
    cache: str
    completions: dict[str, deque[Any]]
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class Replays:
    """The application: runs by name, and the prefixes that each cache holds."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._cached: dict[str, set[bytes]] = {}

    def application(self) -> web.Application:
        found = web.Application(client_max_size=2**26)
        found.router.add_put("/runs/{run}", self.put)
        found.router.add_get("/runs/{run}", self.calls)
        found.router.add_get("/runs/{run}/v1/models", self.models)
        found.router.add_post("/runs/{run}/v1/chat/completions", self.complete)
        return found

    async def put(self, request: web.Request) -> web.Response:
        said = await request.json()
        completions = {model: deque(texts) for model, texts in said["completions"].items()}
        run = Run(Speed(**said["speed"]), said["scale"], said["cache"], completions)
        self._runs[request.match_info["run"]] = run
        return web.json_response({})

    async def calls(self, request: web.Request) -> web.Response:
        """What was asked so far, and when it is answered, in seconds of the monotonic clock."""
        return web.json_response(self._runs[request.match_info["run"]].calls)

    async def models(self, request: web.Request) -> web.Response:
        names = self._runs[request.match_info["run"]].completions
        listed = [{"id": name, "object": "model", "owned_by": "replays"} for name in names]
        return web.json_response({"object": "list", "data": listed})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        began = asyncio.get_running_loop().time()
        asked = await request.json()
        run = self._runs[request.match_info["run"]]
        left = run.completions.get(asked["model"])
        if not left:
            raise web.HTTPConflict(text=f"{asked['model']} was to be asked no more")
        deltas = list(_deltas(left.popleft()))
        prompt = tokens(rendered(asked))
        cached = self._take(run, prompt)
        speed = run.speed
        first = began + speed.ideal_s(len(prompt) - cached, 0) / run.scale
        token_s = 1 / (speed.decode_tokens_per_s * run.scale)
        completion = sum(cost for _, cost in deltas)
        call = {
            "model": asked["model"],
            "began_s": began,
            "ended_s": first + completion * token_s,
            "prompt_tokens": len(prompt),
            "cached_tokens": cached,
            "completion_tokens": completion,
            "ideal_s": speed.ideal_s(len(prompt) - cached, completion),
        }
        run.calls.append(call)
        usage = {
            "prompt_tokens": len(prompt),
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        if not asked.get("stream"):
            await _until(call["ended_s"])
            text = "".join(delta["content"] for delta, _ in deltas)
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response(_HEAD | {"choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await _until(first)
        await response.prepare(request)
        written = 0
        for number, (delta, cost) in enumerate(deltas, 1):
            written += cost
            await _until(first + written * token_s)
            reason = "stop" if number == len(deltas) else None
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            await response.write(_event({"choices": [choice]}))
        await response.write(_event({"choices": [], "usage": usage, "ideal_s": call["ideal_s"]}))
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    def _take(self, run: Run, prompt: list[str]) -> int:
        """Tokens of `prompt` that were cached; from now on all of them are."""
        block = run.speed.cache_block
        if not block:
            return 0
        known = self._cached.setdefault(run.cache, set())
        chain = list(_chain(prompt, block))
        hits = next((n for n, key in enumerate(chain) if key not in known), len(chain))
        known.update(chain)
        cached = min(hits * block, len(prompt) - 1)
        return cached if cached >= run.speed.cache_least else 0


def rendered(asked: dict[str, Any]) -> str:
    """A request as a model reads it; everything that is sent counts."""
    parts = [json.dumps(asked["tools"]) + "\n"] if asked.get("tools") else []
    for message in asked["messages"]:
        calls = "".join(
            f"\n{call['function']['name']}{call['function']['arguments']}"
            for call in message.get("tool_calls", ())
        )
        parts.append(f"<|{message['role']}|>\n{message.get('content') or ''}{calls}\n")
    if asked.get("response_format"):
        parts.append(json.dumps(asked["response_format"]))
    return "".join(parts)


def _chain(prompt: list[str], block: int) -> Iterator[bytes]:
    key = b""
    for start in range(0, len(prompt) - block + 1, block):
        text = "\0".join(prompt[start : start + block])
        key = blake2b(key + text.encode(), digest_size=16).digest()
        yield key


def _deltas(completion: Any) -> Iterable[tuple[dict[str, Any], int]]:
    """Pieces of a completion, as they are streamed, and the tokens that each of them took."""
    if isinstance(completion, str):
        yield from (({"content": piece}, 1) for piece in tokens(completion))
        return
    for index, call in enumerate(completion):
        name = {"name": call["name"], "arguments": ""}
        first = {"index": index, "id": f"call_{index}", "type": "function", "function": name}
        yield {"tool_calls": [first]}, CALL_TOKENS + count(call["name"])
        for piece in tokens(call["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, 1


async def _until(when: float) -> None:
    delay = when - asyncio.get_running_loop().time()
    if delay > 0:
        await asyncio.sleep(delay)


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(_HEAD | data).encode() + b"\n\n"


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    """The port of a server in this process."""
    runner = web.AppRunner(Replays().application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def serve() -> None:
    async with listening() as port:
        sys.stdout.write(json.dumps({"port": port}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
