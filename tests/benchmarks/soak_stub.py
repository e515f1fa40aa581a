"""An engine's stand-in for soaks, in a process of its own, that does what requests ask of it.

    python -m tests.benchmarks.soak_stub --port N --models a,b --kv-tokens N

A request says by its header `x-soak` how long its answer is, and what goes wrong with it. `/soak` tells
what is open here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import OrderedDict
from dataclasses import dataclass, field

from tests.benchmarks.soak_answers import Asked, Dropped, Unreadable, fail, give_answer

_MOST_SEEN = 20_000


@dataclass
class Stub:
    """Attributes:
    open: Requests that are not over.
    connections: That are not closed.
    """

    models: tuple[str, ...]
    kv_tokens: int
    started_at: float
    open: int = 0
    connections: int = 0
    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (asked := await _read(reader, writer)) is not None:
                try:
                    await self._answer(asked)
                except Unreadable:
                    await asked.respond(400, {"error": {"message": "this is no JSON"}})
        except (ConnectionError, Dropped, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections -= 1
            writer.close()

    async def _answer(self, asked: Asked) -> None:
        match asked.path:
            case "/health":
                await asked.respond(200, {})
            case "/v1/models":
                entries = [{"id": name, "owned_by": "vllm"} for name in self.models]
                await asked.respond(200, {"object": "list", "data": entries})
            case "/metrics":
                await asked.respond(200, self._metrics())
            case "/soak":
                await asked.respond(200, {"open": self.open, "connections": self.connections})
            case path if path.startswith("/v1/") and isinstance(asked.body, dict):
                self.open += 1
                try:
                    await self._complete(asked)
                finally:
                    self.open -= 1
            case _:
                await asked.respond(404, {})

    def _metrics(self) -> bytes:
        return (
            f'vllm:cache_config_info{{block_size="16",num_gpu_blocks="{self.kv_tokens // 16}"}} 1\n'
            f"process_start_time_seconds {self.started_at}\n"
            f"vllm:num_requests_running {self.open}\n"
        ).encode()

    async def _complete(self, asked: Asked) -> None:
        if "vllm_xargs" in asked.body or not asked.headers.get("x-soak"):
            await asked.respond(400, {"error": {"message": "no"}})  # a question about its fields
            return
        wish = asked.wish
        is_first = asked.request_id not in self._seen
        self._seen[asked.request_id] = None
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        await asyncio.sleep(wish.wait_s)
        if wish.fault and (is_first or wish.is_always):
            await fail(asked)
        else:
            await give_answer(asked)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(first.split(" ")[1], headers, body, reader, writer)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--models", required=True)
    parser.add_argument("--kv-tokens", type=int, required=True)
    parser.add_argument("--started-at", type=float, default=1.0)
    told = parser.parse_args()
    stub = Stub(tuple(told.models.split(",")), told.kv_tokens, told.started_at)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", told.port, backlog=1024)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
