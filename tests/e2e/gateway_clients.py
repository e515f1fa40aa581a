"""What tests of real clients share: a model that calls tools as it is told to, and a gateway before it."""

from __future__ import annotations

import base64
import json
import re
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2

from agentrt.backends.embedded_engine import Engine
from tests.e2e.conftest import Shell, wait_for
from tests.e2e.test_serve import Served, serve
from tests.integration.misbehaving_server import Call, MisbehavingServer, event

MODEL = "m"  # as the scripted server's list of models has it
REFUSED = {"retry-after": "1", "retry-after-ms": "20"}
REFUSALS = 3  # as many as the gateway tries by itself: only then does the client hear of it
_CALL_ID = re.compile(rb"call-(\d+)-(\w+)")


@dataclass(frozen=True)
class Say:
    """One answer: some text, or calls of tools by name."""

    text: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()


@dataclass
class ToolCallingModel:
    """Plays a model: what it answers depends on how often a conversation has called tools already.

    Tasks may have words that it obeys: `[refused]`, after its first tool it is refused until the
    client has asked again; `[hanging]`, its answer begins and never ends.

    Attributes:
        script: The answers of each conversation, in order.
        requests: Bodies, as they came.
        said: The messages of the answers, and whole answers where they were not streamed.
        went_at: When a client of a hanging answer went, on the machine's monotonic clock.
    """

    script: tuple[Say, ...]
    requests: list[dict[str, Any]] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    hanging: int = 0
    went_at: list[float] = field(default_factory=list)
    _refused: dict[bytes, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def __call__(self, call: Call) -> None:
        if call.path.endswith("/embeddings"):
            await call.respond(200, _embeddings(call.json["input"]))
        elif call.path.endswith("/chat/completions"):
            await self._answer(call, self._chat)
        elif call.path.endswith("/responses"):
            await self._answer(call, self._respond)
        else:
            await call.respond(404, {"error": {"message": "no such page"}})

    async def _answer(self, call: Call, answer: Callable[[Call, Say], Any]) -> None:
        if isinstance(call.json.get("messages"), str):  # on purpose, to see what is refused first
            await call.respond(400, {"error": {"message": "messages are no list"}})
            return
        self.requests.append(call.json)
        steps = [int(found) for found, _ in _CALL_ID.findall(call.body)]
        step = 1 + max(steps, default=-1)
        if step == 1 and b"[refused]" in call.body and self._refuses(call.body):
            error = {"message": "slow down", "type": "rate_limit_error", "code": "busy"}
            await call.respond(429, {"error": error}, REFUSED)
            return
        await answer(call, self.script[step])

    def _refuses(self, body: bytes) -> bool:
        _, conversation = _CALL_ID.findall(body)[0]
        with self._lock:
            self._refused[conversation] = self._refused.get(conversation, 0) + 1
            return self._refused[conversation] <= REFUSALS

    async def _chat(self, call: Call, say: Say) -> None:
        step = self.script.index(say)
        calls = [
            {
                "id": f"call-{step}-{uuid4().hex[:8]}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for name, arguments in say.calls
        ]
        message: dict[str, Any] = {"role": "assistant", "content": say.text or None}
        if calls:
            message["tool_calls"] = calls
        usage = {"prompt_tokens": len(call.body) // 4, "completion_tokens": 5}
        usage["total_tokens"] = sum(usage.values())
        finish = "tool_calls" if calls else "stop"
        answer = {
            "id": f"chatcmpl-{uuid4().hex[:8]}",
            "object": "chat.completion",
            "created": 1,
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": usage,
            "engine_only": {"step": step},
        }
        if b"[hanging]" in call.body and not call.json.get("stream"):
            await self._hang(call)
            return
        if not call.json.get("stream"):
            self.said.append(answer)
            await call.respond(200, answer)
            return
        self.said.append(message)
        chunk = answer | {"object": "chat.completion.chunk", "usage": None}
        await call.start_stream()
        for delta in _deltas(message):
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            await call.send_chunk(event(chunk | {"choices": [choice]}))
        if b"[hanging]" in call.body:
            await self._hang(call)
            return
        end = {"index": 0, "delta": {}, "finish_reason": finish}
        await call.send_chunk(event(chunk | {"choices": [end]}))
        if (call.json.get("stream_options") or {}).get("include_usage"):
            await call.send_chunk(event(chunk | {"choices": [], "usage": usage}))
        await call.send_chunk(event("[DONE]"))
        await call.end_stream()

    async def _respond(self, call: Call, say: Say) -> None:
        step = self.script.index(say)
        output: list[dict[str, Any]] = [
            {
                "type": "function_call",
                "id": f"fc-{uuid4().hex[:8]}",
                "call_id": f"call-{step}-{uuid4().hex[:8]}",
                "name": name,
                "arguments": json.dumps(arguments),
                "status": "completed",
            }
            for name, arguments in say.calls
        ]
        if say.text:
            text = {"type": "output_text", "text": say.text, "annotations": []}
            output.append(
                {
                    "type": "message",
                    "id": f"msg-{uuid4().hex[:8]}",
                    "role": "assistant",
                    "status": "completed",
                    "content": [text],
                }
            )
        answer = {
            "id": f"resp-{uuid4().hex[:8]}",
            "object": "response",
            "created_at": 1,
            "model": MODEL,
            "status": "completed",
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": len(call.body) // 4,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": len(call.body) // 4 + 5,
            },
            "engine_only": {"step": step},
        }
        self.said.append(answer)
        await call.respond(200, answer)

    async def _hang(self, call: Call) -> None:
        self.hanging += 1
        while await call.reader.read(4096):
            pass
        self.went_at.append(time.monotonic())


def _embeddings(texts: list[str]) -> dict[str, Any]:
    """As the `openai` package asks for them: 32-bit floats in base64."""
    packed = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    data = [{"object": "embedding", "index": i, "embedding": packed} for i, _ in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "data": data, "model": MODEL, "usage": usage}


def _deltas(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A message as it is streamed: its text by words, its calls' arguments in halves."""
    text = str(message["content"] or "")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in re.findall(r"\S+\s*", text)]
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        half = len(function["arguments"]) // 2
        named = function | {"arguments": function["arguments"][:half]}
        deltas.append({"tool_calls": [call | {"index": index, "function": named}]})
        rest = {"index": index, "function": {"arguments": function["arguments"][half:]}}
        deltas.append({"tool_calls": [rest]})
    return deltas


@dataclass
class Gateway:
    """A gateway process; whoever asks sees the programs that came since it was made, or `forget`."""

    served: Served
    _known: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return self.served.url

    def forget(self) -> None:
        """What there was until now is no business of this test."""
        self._known |= {
            one["program_id"] for kind in ("programs", "ended") for one in self.all[kind]
        }

    @property
    def all(self) -> dict[str, Any]:
        found: dict[str, Any] = self.served.page("/programs").json()
        return found

    @property
    def programs(self) -> list[dict[str, Any]]:
        """Those that are not over, by age."""
        return [one for one in self.all["programs"] if one["program_id"] not in self._known]

    @property
    def endings(self) -> list[tuple[str, int]]:
        """How those that are over ended, and after how many turns."""
        ended = [one for one in self.all["ended"] if one["program_id"] not in self._known]
        return sorted((one["how"], one["turns"]) for one in ended)

    def end(self, program_id: str) -> None:
        url = f"{self.url.removesuffix('/v1')}/programs/{program_id}"
        assert httpx2.delete(url, trust_env=False).status_code == 200

    def until_all_ended(self) -> list[tuple[str, int]]:
        """`endings`, once no program is left."""
        wait_for(lambda: not self.programs, "its programs end")
        return self.endings


def gateway_before(
    shell: Shell, *servers: Engine | MisbehavingServer, idle_s: float = 2
) -> Gateway:
    """A gateway with these as replicas, where programs soon count as over."""
    lines = [f"idle_s = {idle_s}", 'store = "none"']
    for number, server in enumerate(servers):
        lines += ["[[replica]]", f'url = "{server.url}"']
        if isinstance(server, Engine):
            key = shell.folder / f"engine{number}.key"
            key.write_text(server.api_key + "\n")
            lines.append(f'api_key_file = "{key}"')
    path = shell.folder / "gateway.toml"
    path.write_text("\n".join(lines) + "\n")
    return Gateway(serve(shell, "--config", str(path)))
