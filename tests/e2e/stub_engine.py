"""A server that counts as vLLM does: words are tokens, prompts that began the same way are cached."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from operator import eq

from tests.integration.misbehaving_server import Behaviour, Call, MisbehavingServer, answer, event

FRAME = ("<message>",) * 4
KV_TOKENS = 8_000
MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "vllm"}]}


@dataclass
class StubEngine:
    """Answers at once, as long as asked for. Not thread-safe to read before its server has ended.

    Attributes:
        is_counting: Answers say how many tokens they had.
        sessions: What the program of each call said of itself, in the header and in the body.
        released: Programs whose end was told.
    """

    is_counting: bool = True
    sessions: list[tuple[str | None, str | None]] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    prompts: list[list[str]] = field(default_factory=list)
    looked_up: int = 0
    found: int = 0

    async def __call__(self, call: Call) -> None:
        if call.path == "/metrics":
            await call.respond(200, self._metrics())
        elif call.path == "/programs/release":
            self.released.append(call.json["program_id"])
            await call.respond(200, {"released": True})
        elif call.path in {"/health", "/ready"}:
            await call.respond(200, {"status": "ok"})
        elif call.path.endswith("/v1/chat/completions"):
            await self._chat(call)
        else:
            await call.respond(404, {"error": {"message": "no such page"}})

    async def _chat(self, call: Call) -> None:
        asked = call.json
        if asked["model"] != "m":
            await call.respond(404, {"error": {"message": f"no model {asked['model']}"}})
            return
        if not isinstance(
            asked["messages"], list
        ):  # asked on purpose, to see what is refused first
            await call.respond(400, {"error": {"message": "messages are no list"}})
            return
        self.sessions.append((call.headers.get("x-session-id"), asked.get("program_id")))
        prompt = [word for m in asked["messages"] for word in (*FRAME, *m["content"].split())]
        cached = self._cached(prompt)
        answer = [f"w{index}" for index in range(asked["max_tokens"])]
        self.prompts.append([*prompt, *FRAME, *answer])
        await call.start_stream()
        delta = {"index": 0, "delta": {"content": " ".join(answer)}, "finish_reason": None}
        await call.send_chunk(event({"choices": [delta]}))
        end: dict[str, object] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
        if self.is_counting:
            end["usage"] = {
                "prompt_tokens": len(prompt),
                "completion_tokens": len(answer),
                "prompt_tokens_details": {"cached_tokens": cached},
            }
        await call.send_chunk(event(end))
        await call.send_chunk(event("[DONE]"))
        await call.end_stream()

    def _cached(self, prompt: list[str]) -> int:
        cached = max((_shared(prompt, known) for known in self.prompts), default=0)
        self.looked_up += len(prompt)
        self.found += cached
        return cached

    def _metrics(self) -> bytes:
        lines = (
            f'vllm:cache_config_info{{block_size="16",num_gpu_blocks="{KV_TOKENS // 16}"}} 1.0',
            'vllm:num_requests_running{model_name="m"} 0.0',
            'vllm:num_requests_waiting{model_name="m"} 0.0',
            f'vllm:prefix_cache_queries_total{{model_name="m"}} {float(self.looked_up)}',
            f'vllm:prefix_cache_hits_total{{model_name="m"}} {float(self.found)}',
        )
        return ("\n".join(lines) + "\n").encode()


def _shared(a: list[str], b: list[str]) -> int:
    return sum(takewhile(bool, map(eq, a, b)))


@contextlib.contextmanager
def serving(behaviour: Behaviour) -> Iterator[MisbehavingServer]:
    """The server in a thread of its own, so that the test may wait for a process."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    server = MisbehavingServer(behaviour, models=answer(200, MODELS))
    done = asyncio.Event()

    async def serve() -> None:
        async with server:
            ready.set()
            await done.wait()

    def work() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
