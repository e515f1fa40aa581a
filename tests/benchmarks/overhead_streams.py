"""A stub of an engine that streams, and a client that counts: as little of each as there can be."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import cast

_LONGEST_S = 600.0
PATH = "/v1/chat/completions"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
_MODELS = json.dumps(
    {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "stub"}]}
).encode()


def framed(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def chunk(choices: list[object], **fields: object) -> bytes:
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return framed(b"data: " + json.dumps(body | {"choices": choices} | fields).encode() + b"\n\n")


TOKEN = chunk([{"index": 0, "delta": {"content": "word "}, "finish_reason": None}])
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
LAST = (
    chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    + chunk([], usage=USAGE)
    + framed(b"data: [DONE]\n\n")
    + END
)


class Stub(asyncio.Protocol):
    """Streams `max_tokens` tokens, each `temperature` seconds after the one before; 0: at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's only look like it
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):
            self.received = b""
            is_list = b"/models" in head.split(b"\r\n")[0]
            is_known = is_list or head.startswith(b"GET /health ")
            self.respond(_MODELS if is_list else b"{}", 200 if is_known else 404)
            return
        lines = head.lower().split(b"\r\n")
        length = next(int(at.split(b":")[1]) for at in lines if at.startswith(b"content-length:"))
        if len(body) >= length:
            self.received = body[length:]
            asked = json.loads(body[:length])
            if asked.get("stream"):
                self.transport.write(HEAD)
                self.step(asked.get("max_tokens", 1), asked.get("temperature", 0))
            else:
                # Somebody finds out what this is.
                message = {"role": "assistant", "content": "word"}
                choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
                self.respond(
                    json.dumps({"model": "m", "choices": choices, "usage": USAGE}).encode()
                )

    def respond(self, body: bytes, status: int = 200) -> None:
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def step(self, left: int, pause_s: float) -> None:
        if self.transport.is_closing():
            return
        if left == 0:
            self.transport.write(LAST)
            return
        self.transport.write(TOKEN)
        loop = asyncio.get_running_loop()
        if pause_s:
            loop.call_later(pause_s, self.step, left - 1, pause_s)
        else:
            loop.call_soon(self.step, left - 1, 0)


@dataclass
class Streams:
    """What came of them.

    Attributes:
        first_s: Seconds from asking to the first token, of each.
        tokens: Of all together.
    """

    first_s: list[float] = field(default_factory=list)
    tokens: int = 0
    wall_s: float = 0.0


@dataclass(frozen=True)
class Load:
    """Attributes:
    at_once: Clients, each with a connection of its own; each asks as soon as it has its answer.
    each: Answers to each of them.
    turns: Of a program, which then is silent: its conversation goes on so often.
    name: Of whoever has conversations of its own: those of another load are none of its.
    """

    at_once: int
    each: int
    tokens: int
    pause_s: float
    turns: int = 1
    name: str = ""

    def body(self, client: int, number: int) -> bytes:
        """A conversation of its own, from 4 kB on: nobody's is anybody else's, or goes on by itself."""
        program, turn = divmod(number, self.turns)
        own = f"{self.name} {client} {program}"
        # Programs of many turns are of one kind, as agents are; others begin with nothing in common.
        system = "s" * 2000 if self.turns > 1 else f"{own} " + "s" * 2000
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": f"{own} " + "u" * 2000},
        ]
        for said in range(turn):
            messages.append({"role": "assistant", "content": "word " * self.tokens})
            messages.append({"role": "user", "content": f"{own} {said} " + "o" * 200})
        asked = {
            "model": "m",
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": self.tokens,
            "temperature": self.pause_s,
        }
        return json.dumps(asked).encode()


class _Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.first_at = 0.0
        self.bytes = 0
        self.tail = b""
        self.done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's only look like it

    def connection_lost(self, _error: Exception | None) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_exception(ConnectionError("the answer broke off"))

    def data_received(self, data: bytes) -> None:
        if not self.first_at and b"data: " in data:
            self.first_at = time.perf_counter()
        self.bytes += len(data)
        self.tail = (self.tail + data)[-5:]
        if self.tail == END and self.done is not None:
            self.done.set_result(None)

    async def ask(self, body: bytes) -> float:
        """Seconds until the first token; the answer is whole when it returns."""
        self.first_at = 0.0
        self.tail = b""
        self.done = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await self.done
        return self.first_at - began


async def stream_all(port: int, load: Load) -> Streams:
    """Have `load` answered by whoever listens at `port`."""
    loop = asyncio.get_running_loop()
    source = random.Random(1)
    streams = Streams()

    async def worker(number: int) -> None:
        _, client = await loop.create_connection(_Client, host="127.0.0.1", port=port)
        # Nobody's clients all begin at the same time.
        await asyncio.sleep(source.random() * load.tokens * load.pause_s)
        for turn in range(load.each):
            streams.first_s.append(await client.ask(load.body(number, turn)))
            streams.tokens += load.tokens
        client.transport.close()

    began = time.perf_counter()
    async with asyncio.timeout(_LONGEST_S), asyncio.TaskGroup() as tasks:
        for number in range(load.at_once):
            tasks.create_task(worker(number))
    streams.wall_s = time.perf_counter() - began
    return streams
