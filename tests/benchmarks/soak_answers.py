"""What a stub of an engine answers in soaks, and how it fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

WORD = "word"
"""That all answers are made of."""
_STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Wish:
    """What a request asks for.

    Attributes:
        is_always: `fault` happens each time, else only to the first request of that id.
        tools: Names of the tools that the answer calls.
        pad_bytes: Of something beside its text, such as the probabilities of its tokens, with each.
    """

    tokens: int = 8
    gap_s: float = 0.0
    wait_s: float = 0.0
    pad_bytes: int = 0
    fault: str = ""
    is_always: bool = False
    tools: tuple[str, ...] = ()


@dataclass
class Asked:
    """A request that came here."""

    path: str
    headers: dict[str, str]
    raw: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @cached_property
    def body(self) -> Any:
        try:
            return json.loads(self.raw)
        except (ValueError, RecursionError):
            raise Unreadable from None

    @property
    def request_id(self) -> str:
        return self.headers.get("x-request-id", "")

    @property
    def wish(self) -> Wish:
        told = json.loads(self.headers.get("x-soak", "{}"))
        return Wish(**told | {"tools": tuple(told.get("tools", ()))})

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def respond(self, status: int, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
        await self.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    async def chunk(self, data: bytes) -> None:
        await self.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


class Unreadable(Exception):  # noqa: N818  an answer says so
    """Its body is no JSON."""


class Dropped(Exception):  # noqa: N818  as it should be
    """The connection is to be closed here and now."""


async def give_answer(asked: Asked) -> None:
    """All of it."""
    wish = asked.wish
    if not asked.body.get("stream"):
        await asked.respond(200, _whole(asked))
        return
    await asked.write(_STREAM.encode())
    for event in _events(asked):
        await asked.chunk(event)
        if wish.gap_s:
            await asyncio.sleep(wish.gap_s)
    await asked.write(b"0\r\n\r\n")


async def fail(asked: Asked) -> None:
    """In the way that was wished for."""
    await _FAULTS.get(asked.wish.fault, _refuse)(asked)


def _usage(asked: Asked) -> dict[str, int]:
    prompt_tokens = len(json.dumps(asked.body.get("messages", ""))) // 4 + 1
    tokens = asked.wish.tokens
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": prompt_tokens + tokens,
    }


def _text(asked: Asked) -> str:
    return f"<{asked.request_id}>" + WORD * asked.wish.tokens


def _calls(asked: Asked) -> list[dict[str, Any]]:
    return [
        {
            "index": at,
            "id": f"call-{asked.request_id}-{at}",
            "type": "function",
            "function": {"name": name, "arguments": '{"path": "a"}'},
        }
        for at, name in enumerate(asked.wish.tools)
    ]


def _whole(asked: Asked) -> dict[str, Any]:
    text = _text(asked)
    match asked.path:
        case "/v1/embeddings":
            return {"object": "list", "data": [{"embedding": [0.5]}], "id": asked.request_id}
        case "/v1/responses":
            return {"id": f"resp-{asked.request_id}", "status": "completed"} | _output(text)
        case "/v1/completions":
            choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": "length"}
        case _:
            message: dict[str, Any] = {"role": "assistant", "content": text}
            calls = _calls(asked)
            message |= {"tool_calls": calls} if calls else {}
            finish = "tool_calls" if calls else "stop"
            choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": asked.request_id, "choices": [choice], "usage": _usage(asked)}


def _output(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"type": "message", "role": "assistant", "content": content}
    return {"output": [message], "usage": {"input_tokens": 5, "output_tokens": 2}}


def _events(asked: Asked) -> Iterator[bytes]:
    """Whole events, each a piece; the first names the request."""
    wish = asked.wish
    words = (f"<{asked.request_id}>", *(WORD for _ in range(wish.tokens)))
    if asked.path == "/v1/responses":
        for word in words:
            yield _named("response.output_text.delta", {"delta": word})
        response = {"id": f"resp-{asked.request_id}", "status": "completed"}
        yield _named("response.completed", {"response": response | _output("".join(words))})
        return
    is_chat = asked.path == "/v1/chat/completions"
    beside = {"logprobs": "y" * wish.pad_bytes, "index": 0, "finish_reason": None}
    for word in words:
        choice: dict[str, Any] = {"delta": {"content": word}} if is_chat else {"text": word}
        yield _event({"choices": [beside | choice]})
    calls = _calls(asked) if is_chat else []
    if calls:
        yield _event({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]})
    last: dict[str, Any] = {"delta": {}} if is_chat else {"text": ""}
    yield _event({"choices": [{"index": 0, "finish_reason": "stop"} | last]})
    if asked.body.get("stream_options", {}).get("include_usage"):
        yield _event({"choices": [], "usage": _usage(asked)})
    yield b"data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _named(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\n".encode() + _event({"type": name} | data)


# -- faults ----------------------------------------------------------------------------------


async def _refuse(asked: Asked) -> None:
    status = int(asked.wish.fault)
    await asked.respond(status, {"error": {"message": f"stub says {status}"}})


async def _html(asked: Asked) -> None:
    await asked.respond(200, b"<html>out of order</html>")


async def _cut(_asked: Asked) -> None:
    raise Dropped


async def _short(asked: Asked) -> None:
    await asked.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"id":')
    raise Dropped


async def _no_http(asked: Asked) -> None:
    await asked.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    raise Dropped


async def _bad_chunk(asked: Asked) -> None:
    await asked.write(_STREAM.encode() + b"zz\r\nnonsense\r\n")
    raise Dropped


async def _truncated(asked: Asked) -> None:
    await asked.write(_STREAM.encode())
    await asked.chunk(next(_events(asked)))
    raise Dropped


async def _error_event(asked: Asked) -> None:
    await asked.write(_STREAM.encode())
    await asked.chunk(next(_events(asked)))
    await asked.chunk(_event({"error": {"message": "out of order", "code": 500}}))
    await asked.write(b"0\r\n\r\n")


async def _no_events(asked: Asked) -> None:
    await asked.write(_STREAM.encode() + b"0\r\n\r\n")


async def _hang(asked: Asked) -> None:
    while await asked.reader.read(4096):
        pass
    raise Dropped


async def _stall(asked: Asked) -> None:
    await asked.write(_STREAM.encode())
    await asked.chunk(next(_events(asked)))
    await _hang(asked)


_FAULTS: dict[str, Callable[[Asked], Awaitable[None]]] = {
    "html": _html,
    "cut": _cut,
    "short": _short,
    "not http": _no_http,
    "bad chunk": _bad_chunk,
    "truncated": _truncated,
    "error event": _error_event,
    "no events": _no_events,
    "hang": _hang,
    "stall": _stall,
}

FAULTS = ("500", "503", "429", "400", *_FAULTS)
