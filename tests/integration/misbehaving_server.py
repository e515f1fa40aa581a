"""A real HTTP server on raw sockets, which does to its clients whatever a test asks for."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "someone"}]}


@dataclass
class Call:
    """One request as it came, and the connection it came on."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def respond(
        self,
        status: int,
        body: bytes | str | Any,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """A proper response, with its length."""
        content = body if isinstance(body, bytes) else _text(body).encode()
        kind = "text/html" if content.startswith(b"<") else "application/json"
        fields = {"Content-Type": kind, "Content-Length": str(len(content))} | dict(headers or {})
        await self.send(_head(status, fields) + content)

    async def start_stream(self, headers: Mapping[str, str] | None = None) -> None:
        fields = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        await self.send(_head(200, fields | dict(headers or {})))

    async def send_chunk(self, data: bytes) -> None:
        await self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def end_stream(self) -> None:
        await self.send(b"0\r\n\r\n")

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = Callable[[Call], Awaitable[None]]


@dataclass
class MisbehavingServer:
    """Does the next of `behaviours` for each completion asked for; the last one again and again.

    Attributes:
        calls: Every completion request.
        listings: How often `/v1/models` was asked for.
        connections: How many connections were opened.
        disconnected: Set when a client closes a connection while a behaviour waits for that.
    """

    behaviours: list[Behaviour]
    models: Behaviour | None = None
    calls: list[Call] = field(default_factory=list)
    listings: int = 0
    connections: int = 0
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    def __init__(self, *behaviours: Behaviour, models: Behaviour | None = None) -> None:
        self.behaviours = list(behaviours)
        self.models = models
        self.calls = []
        self.listings = 0
        self.connections = 0
        self.disconnected = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            await asyncio.wait([task])
        await self._server.wait_closed()

    async def hang(self, call: Call) -> None:
        """Say nothing until the client goes away."""
        while await call.reader.read(4096):
            pass
        self.disconnected.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                call = await _read_call(reader, writer, number)
                if call is None:
                    break
                await self._behaviour(call)(call)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def _behaviour(self, call: Call) -> Behaviour:
        if call.path.endswith("/models"):
            self.listings += 1
            return self.models or answer(200, MODELS)
        self.calls.append(call)
        return self.behaviours[min(len(self.calls), len(self.behaviours)) - 1]


def answer(
    status: int, body: bytes | str | Any, headers: Mapping[str, str] | None = None
) -> Behaviour:
    async def behave(call: Call) -> None:
        await call.respond(status, body, headers)

    return behave


def stream(*events: Any, cut: bool = False) -> Behaviour:
    """Events (bytes as they are, anything else as JSON data); `cut`: the end never comes."""

    async def behave(call: Call) -> None:
        await call.start_stream()
        for piece in map(event, events):
            await call.send_chunk(piece)
        if cut:
            call.close()
        else:
            await call.end_stream()

    return behave


def event(data: Any) -> bytes:
    return data if isinstance(data, bytes) else f"data: {_text(data)}\n\n".encode()


def completion(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    } | fields


def delta(text: str | None = None, *, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    content = {} if text is None else {"content": text}
    return {
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [{"index": 0, "delta": content | fields, "finish_reason": finish}],
    }


def whole_stream(text: str = "hello") -> list[Any]:
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    return [
        delta("", role="assistant"),
        *(delta(word) for word in _pieces(text)),
        delta(finish="stop"),
        {"object": "chat.completion.chunk", "model": "m", "choices": [], "usage": usage},
        "[DONE]",
    ]


def _pieces(text: str) -> Iterable[str]:
    return (text[start : start + 2] for start in range(0, len(text), 2))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _read_call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
) -> Call | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode().strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(method, path, headers, body, connection, reader, writer)
