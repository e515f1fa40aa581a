"""A stand-in for an engine, over real HTTP, that dies and comes back as tests ask for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from tests.integration.misbehaving_server import Call, _read_call, completion, stream, whole_stream

Answer = Callable[[Call], Awaitable[None]]


@dataclass
class StubEngine:
    """Serves `models` with pages as vLLM has them. `stop` and `start` keep its port.

    Attributes:
        answer: What it does with calls; None: it says hello.
        is_well: What `/health` says.
        is_slow: `/health` answers nothing any more.
        asked: The bodies of all calls.
        started_at: As its metrics say.
        running, used_share: Likewise: calls, and the part of its KV cache that they are at work on.
    """

    models: tuple[str, ...] = ("m",)
    kv_tokens: int = 100_000
    answer: Answer | None = None
    is_well: bool = True
    is_slow: bool = False
    started_at: float = 1.0
    running: int = 0
    used_share: float = 0.0
    asked: list[Any] = field(default_factory=list)
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, where it did before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Die: nobody listens, and all connections break."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            await asyncio.wait([task])
        await server.wait_closed()

    async def restart(self) -> None:
        """So quickly that nobody sees it."""
        await self.stop()
        self.started_at += 100.0
        await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (call := await _read_call(reader, writer, 0)) is not None:
                await self._respond(call)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            if writer.can_write_eof():
                writer.transport.abort()
            else:
                writer.close()

    async def _respond(self, call: Call) -> None:
        match call.path:
            case "/health":
                if self.is_slow:
                    await asyncio.sleep(3600)
                await call.respond(200 if self.is_well else 503, "{}")
            case "/v1/models":
                entries = [{"id": name, "owned_by": "vllm"} for name in self.models]
                await call.respond(200, {"object": "list", "data": entries})
            case "/metrics":
                await call.respond(200, self._metrics())
            case "/v1/chat/completions" if _is_probe(call.json):
                await call.respond(400, {"error": {"message": "no"}})
            case "/v1/chat/completions":
                self.asked.append(call.json)
                await (self.answer or _hello)(call)
            case _:
                await call.respond(404, "{}")

    def _metrics(self) -> str:
        blocks = self.kv_tokens // 16
        return (
            f'vllm:cache_config_info{{block_size="16",num_gpu_blocks="{blocks}"}} 1.0\n'
            f"process_start_time_seconds {self.started_at}\n"
            f'vllm:num_requests_running{{model_name="m"}} {self.running}\n'
            f'vllm:kv_cache_usage_perc{{model_name="m"}} {self.used_share}\n'
        )


def _is_probe(body: Any) -> bool:
    """Whether it only asks what this server can do."""
    return not isinstance(body["messages"], list) or "vllm_xargs" in body


async def _hello(call: Call) -> None:
    if call.json.get("stream"):
        await stream(*whole_stream())(call)
    else:
        await call.respond(200, completion())


async def hang(call: Call) -> None:
    """Say nothing, for as long as the client is there."""
    while await call.reader.read(4096):
        pass


async def begin_and_hang(call: Call) -> None:
    """Begin a stream, and say nothing more."""
    await call.start_stream()
    await call.send_chunk(
        b"data: " + json.dumps({"choices": [{"delta": {"content": "a"}}]}).encode() + b"\n\n"
    )
    await hang(call)


def failing(status: int = 500) -> Answer:
    async def fail(call: Call) -> None:
        await call.respond(status, {"error": {"message": "out of order"}})

    return fail
