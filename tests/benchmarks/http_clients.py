"""What a chat completion costs this process, by HTTP client: CPU and latency per request.

    python tests/benchmarks/http_clients.py [--requests 400] [--rounds 5]

A stub server in another process answers at once: a completion, or 64 events in 8 writes. Clients
take turns for `--rounds` rounds; the figures are medians over the rounds. Prints a table, then one
JSON object. CPU is this process's, so a busy machine blurs the latency but hardly the CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import httpx
import httpx2
import openai

from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.wire import parse_completion, parse_json, request_body
from agentrt.backends.wire_stream import StreamedCompletion
from agentrt.ir.request import Completion, Message, Request

EVENTS = 64
WRITES = 8
REQUEST = Request(messages=(Message("system", "s" * 2000), Message("user", "u" * 2000)))
PATH = "/v1/chat/completions"
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer none"}

Ask = Callable[[bool], Awaitable[Completion]]


@dataclass(frozen=True)
class Row:
    client: str
    is_streamed: bool
    concurrency: int
    cpu_us: float
    p50_ms: float
    p99_ms: float


class Stub(asyncio.Protocol):
    """Answers every POST; reads no more of it than its length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        if len(body) < length:
            return
        self.received = body[length:]
        if b'"stream":true' in body.replace(b" ", b""):
            for piece in STREAM:
                self.transport.write(piece)
        else:
            self.transport.write(WHOLE)


def chunk(choices: list[Any], **fields: Any) -> bytes:
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps(body | {"choices": choices} | fields).encode() + b"\n\n"


def delta(finish: str | None = None, **fields: Any) -> list[Any]:
    return [{"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish}]


def whole_response() -> bytes:
    message = {"role": "assistant", "content": "word " * EVENTS}
    body = json.dumps(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": EVENTS, "total_tokens": 1064},
        }
    ).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def stream_response() -> list[bytes]:
    usage = {"prompt_tokens": 1000, "completion_tokens": EVENTS, "total_tokens": 1064}
    events = [chunk(delta(content="word ")) for _ in range(EVENTS)]
    events += [chunk(delta("stop")), chunk([], usage=usage), b"data: [DONE]\n\n"]
    size = -(-len(events) // WRITES)
    writes = [b"".join(events[at : at + size]) for at in range(0, len(events), size)]
    framed = [f"{len(data):x}\r\n".encode() + data + b"\r\n" for data in writes]
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return [head, *framed, b"0\r\n\r\n"]


WHOLE = whole_response()
STREAM = stream_response()


def content_of(is_streamed: bool) -> bytes:
    return json.dumps(request_body(REQUEST, model="m", is_streamed=is_streamed)).encode()


@asynccontextmanager
async def with_httpx(url: str) -> AsyncIterator[Ask]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(headers=HEADERS, limits=limits, timeout=60) as client:

        async def ask(is_streamed: bool) -> Completion:
            content = content_of(is_streamed)
            if not is_streamed:
                whole = await client.post(url + PATH, content=content)
                return parse_completion(parse_json(whole.content))
            stream = StreamedCompletion()
            async with client.stream("POST", url + PATH, content=content) as response:
                # httpx has no reader of events; lines are as little as can be done.
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        stream.feed(line[6:])
            return stream.completion()

        yield ask


@asynccontextmanager
async def with_httpx2(url: str) -> AsyncIterator[Ask]:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(headers=HEADERS, limits=limits, timeout=60) as client:

        async def ask(is_streamed: bool) -> Completion:
            content = content_of(is_streamed)
            if not is_streamed:
                whole = await client.post(url + PATH, content=content)
                return parse_completion(parse_json(whole.content))
            stream = StreamedCompletion()
            async with client.stream("POST", url + PATH, content=content) as response:
                async for event in httpx2.EventSource(response):
                    stream.feed(event.data)
            return stream.completion()

        yield ask


@asynccontextmanager
async def with_openai(url: str) -> AsyncIterator[Ask]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:

        async def ask(is_streamed: bool) -> Completion:
            body: dict[str, Any] = request_body(REQUEST, model="m", is_streamed=is_streamed)
            answer: Any = await client.chat.completions.create(**body)
            if not is_streamed:
                return Completion(text=answer.choices[0].message.content)
            pieces: list[str] = []
            async for part in answer:
                pieces += [choice.delta.content or "" for choice in part.choices]
            return Completion(text="".join(pieces))

        yield ask


@asynccontextmanager
async def with_agentrt(url: str) -> AsyncIterator[Ask]:
    backend = OpenAIBackend(url, model="m", api_key="none")

    async def ask(is_streamed: bool) -> Completion:
        return await backend.complete(REQUEST, on_chunk=(lambda _: None) if is_streamed else None)

    try:
        yield ask
    finally:
        await backend.aclose()


CLIENTS = {
    "httpx": with_httpx,
    "httpx2": with_httpx2,
    "openai": with_openai,
    "OpenAIBackend": with_agentrt,
}


async def measure(
    ask: Ask, *, count: int, concurrency: int, is_streamed: bool
) -> tuple[float, ...]:
    latencies: list[float] = []

    async def worker(share: int) -> None:
        for _ in range(share):
            began = time.perf_counter()
            completion = await ask(is_streamed)
            latencies.append(time.perf_counter() - began)
            assert completion.text == "word " * EVENTS

    async with asyncio.TaskGroup() as warmup:
        for _ in range(concurrency):
            warmup.create_task(worker(1))
    latencies.clear()
    cpu = time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(worker(max(1, count // concurrency)))
    cpu = time.process_time() - cpu
    latencies.sort()
    p99 = latencies[int(len(latencies) * 0.99)]
    return cpu / len(latencies) * 1e6, statistics.median(latencies) * 1e3, p99 * 1e3


async def compare(url: str, *, count: int, rounds: int) -> list[Row]:
    rows: list[Row] = []
    for is_streamed in (False, True):
        for concurrency in (1, 64):
            found: dict[str, list[tuple[float, ...]]] = {name: [] for name in CLIENTS}
            for _ in range(rounds):
                for name, client in CLIENTS.items():
                    async with client(url) as ask:
                        found[name].append(
                            await measure(
                                ask, count=count, concurrency=concurrency, is_streamed=is_streamed
                            )
                        )
            for name, samples in found.items():
                cpu, p50, p99 = map(statistics.median, zip(*samples, strict=True))
                rows.append(Row(name, is_streamed, concurrency, cpu, p50, p99))
    return rows


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def run(count: int, rounds: int) -> list[Row]:
    server = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        port = int(await server.stdout.readline())
        return await compare(f"http://127.0.0.1:{port}", count=count, rounds=rounds)
    finally:
        server.terminate()
        await server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    rows = asyncio.run(run(options.requests, options.rounds))
    lines = [
        f"{'client':14} {'streamed':>8} {'at once':>7} {'CPU us':>8} {'p50 ms':>7} {'p99 ms':>7}"
    ]
    lines += [
        f"{row.client:14} {'yes' if row.is_streamed else 'no':>8} {row.concurrency:7} "
        f"{row.cpu_us:8.0f} {row.p50_ms:7.2f} {row.p99_ms:7.2f}"
        for row in rows
    ]
    about = {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("httpx", "httpx2", "openai")},
        "requests": options.requests,
        "rounds": options.rounds,
        "events": EVENTS,
        "rows": [asdict(row) for row in rows],
    }
    sys.stdout.write("\n".join([*lines, json.dumps(about)]) + "\n")


if __name__ == "__main__":
    main()
