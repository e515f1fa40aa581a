"""One request over a raw socket, by a client that may behave badly, and what came of it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Manner: TypeAlias = Literal[
    "polite", "slow", "leaves queued", "leaves at head", "leaves in stream", "leaves at last byte"
]
LEAVING: tuple[Manner, ...] = (
    "leaves queued",
    "leaves at head",
    "leaves in stream",
    "leaves at last byte",
)
Came: TypeAlias = Literal["answer", "error", "left", "broken", "late"]
"""What a request came to: broken is what no server may do."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """What is sent, and how.

    Attributes:
        raw: All the bytes of a request, where no other client would write such; else it is made.
        leave_s: How long after it was sent a client leaves that leaves while it is queued.
        is_reset: It leaves with RST.
    """

    path: str = "/v1/chat/completions"
    method: str = "POST"
    headers: Mapping[str, str] | None = None
    body: Any = None
    raw: bytes = b""
    manner: Manner = "polite"
    leave_s: float = 0.0
    is_reset: bool = False

    def data(self) -> bytes:
        if self.raw:
            return self.raw
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: gateway", "Connection: close"]
        if self.body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (self.headers or {}).items()]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head + (b"" if self.body is None else body)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Attributes:
    status: 0: no head of an answer was read.
    body: Unchunked.
    """

    came: Came
    status: int = 0
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    why: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Broken(Exception):  # noqa: N818  told as an outcome
    pass


async def send(port: int, post: Post, *, within_s: float) -> Outcome:
    """Ask, and read the answer in the way of `post.manner`; it is late after `within_s`."""
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 18)
    except (TimeoutError, OSError) as error:
        return Outcome(came="late", why=f"no connection: {error!r}")
    try:
        async with asyncio.timeout(within_s):
            return await _exchange(reader, writer, post)
    except TimeoutError:
        return Outcome(came="late", why=f"{post.manner}: nothing within {within_s:g} s")
    except (_Broken, ConnectionError, asyncio.IncompleteReadError) as error:
        return Outcome(came="broken", why=f"{type(error).__name__}: {error}")
    finally:
        if post.is_reset and post.manner in LEAVING:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, post: Post
) -> Outcome:
    writer.write(post.data())
    with suppress(ConnectionError):  # it may have been refused before it was read
        await writer.drain()
    if post.manner == "leaves queued":
        with suppress(TimeoutError):
            async with asyncio.timeout(post.leave_s):
                await reader.read(1)
        return Outcome(came="left")
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    status = int(first.split(" ")[1])
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    if post.manner == "leaves at head":
        return Outcome(came="left", status=status)
    pieces: list[bytes] = []
    async for piece in _pieces(reader, headers):
        pieces.append(piece)
        if post.manner == "slow":
            await asyncio.sleep(0.005)
        if post.manner == "leaves in stream":
            return Outcome(came="left", status=status)
        if post.manner == "leaves at last byte" and b"data: [DONE]" in piece:
            return Outcome(came="left", status=status, body=b"".join(pieces))
    body = b"".join(pieces)
    came: Came = "answer" if status // 100 == 2 else "error"
    if came == "answer" and "event-stream" in headers.get("content-type", ""):
        came = _came_of_stream(body)
    elif "json" in headers.get("content-type", ""):
        json.loads(body)
    return Outcome(came=came, status=status, headers=headers, body=body)


async def _pieces(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> Any:
    if "content-length" not in headers and headers.get("transfer-encoding") != "chunked":
        yield await reader.read(-1)
        return
    if headers.get("transfer-encoding") != "chunked":
        left = int(headers["content-length"])
        while left:
            piece = await reader.read(min(left, 1 << 14))
            if not piece:
                raise _Broken(f"{left} bytes of the body are missing")
            left -= len(piece)
            yield piece
        return
    while size := int(await reader.readline() or b"!", 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)


def _came_of_stream(body: bytes) -> Came:
    """An end that says so, or an honest error."""
    last = body.rstrip().rpartition(b"\n\n")[2]
    if last == b"data: [DONE]" or b"response.completed" in last:
        return "answer"
    if b'"error"' in last:
        return "error"
    raise _Broken(f"a stream just ends, with {last[-200:]!r}")
