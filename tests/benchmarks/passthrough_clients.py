"""What it costs to have bytes pass through, by HTTP client: CPU for each request and each piece.

    python -m tests.benchmarks.passthrough_clients [--streams 200] [--rounds 3]

A stub in another process streams, each token 10 ms after the one before; nothing is done with what
comes. One token a stream tells what a request costs, fifty what a piece does. Clients take turns.
Latencies are left out: on a machine that both share they are no evidence.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import httpx2
import uvloop

from agentrt.backends.passthrough import Passthrough
from tests.benchmarks.gateway_overhead import stub
from tests.benchmarks.overhead_streams import PATH, TOKEN, Load

Ask = Callable[[bytes], Awaitable[int]]
HEADERS = {"Content-Type": "application/json"}
TOKENS = (1, 50)


@asynccontextmanager
async def with_httpx2(url: str) -> AsyncIterator[Ask]:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(limits=limits, timeout=60, headers=HEADERS) as client:

        async def ask(body: bytes) -> int:
            async with client.stream("POST", url + PATH, content=body) as response:
                return sum([len(piece) async for piece in response.aiter_raw()])

        yield ask


@asynccontextmanager
async def with_aiohttp(url: str) -> AsyncIterator[Ask]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

        async def ask(body: bytes) -> int:
            size = 0
            async with session.post(url + PATH, data=body) as response:
                while piece := await response.content.readany():
                    size += len(piece)
            return size

        yield ask


@asynccontextmanager
async def with_agentrt(url: str) -> AsyncIterator[Ask]:
    passthrough = Passthrough(url)

    async def ask(body: bytes) -> int:
        size = 0
        async with passthrough.exchange("POST", url + PATH, body, headers=HEADERS) as answer:
            while piece := await answer.piece():
                size += len(piece)
        return size

    try:
        yield ask
    finally:
        await passthrough.aclose()


CLIENTS: dict[str, Callable[[str], AbstractAsyncContextManager[Ask]]] = {
    "httpx2": with_httpx2,
    "aiohttp": with_aiohttp,
    "Passthrough": with_agentrt,
}


async def measure(ask: Ask, streams: int, tokens: int) -> float:
    """Microseconds of this process for each request."""
    load = Load(streams, 1, tokens, 0.01)

    async def one(client: int) -> None:
        assert await ask(load.body(client, 0)) > tokens * len(TOKEN) * 0.9

    async with asyncio.TaskGroup() as warm:
        for client in range(streams):
            warm.create_task(one(client))
    began = time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for client in range(streams):
            tasks.create_task(one(client))
    return (time.process_time() - began) / streams * 1e6


async def compare(streams: int, rounds: int) -> dict[str, tuple[float, float]]:
    """By client: microseconds for a request of one token, and for each further token."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CLIENTS}
    async with stub() as (port, _):
        for _ in range(rounds):
            for name, client in CLIENTS.items():
                async with client(f"http://127.0.0.1:{port}") as ask:
                    few, many = [await measure(ask, streams, tokens) for tokens in TOKENS]
                    found[name].append((few, (many - few) / (TOKENS[1] - TOKENS[0])))
    return {
        name: (
            statistics.median(few for few, _ in runs),
            statistics.median(each for _, each in runs),
        )
        for name, runs in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found = uvloop.run(compare(options.streams, options.rounds))
    lines = [f"{'client':12} {'CPU us/request':>14} {'us/piece':>9}"]
    lines += [f"{name:12} {few:14.0f} {each:9.1f}" for name, (few, each) in found.items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
