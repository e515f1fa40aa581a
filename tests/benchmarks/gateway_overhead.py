"""What the gateway adds: time to the first token, throughput, CPU and memory, next to none.

    python tests/benchmarks/gateway_overhead.py [--quick] [--memory-requests N] [--memory-only] [--json]

A stub of an engine in one process, the gateway in another, the clients in this one. The same 200
streams go to the stub directly and through the gateway, in turns, the order rotated: 100 tokens at
50 a second each, as an engine would; and as fast as the stub can, which shows the ceiling. Then 100,000
requests of programs of six turns, which never say that they end: what the gateway has in memory meanwhile.

What it does not show: a machine of its own for each. Clients, stub and gateway share what cores there
are, so the stub is slower while the gateway works, and the difference is no less than it would be
elsewhere. Nor what scheduling brings or costs under pressure: nothing ever waits here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil
import uvloop

from tests.benchmarks.overhead_streams import Load, Streams, Stub, stream_all

WAYS = ("direct", "gateway")
_ROOT = Path(__file__).parents[2]
_REMEMBERED_AT_ONCE = 32
_REMEMBERED_TURNS = 6
TARGET_MS = 1.0
TARGET_SHARE = 0.03


@dataclass(frozen=True)
class Row:
    """One way of one load, over all rounds.

    Attributes:
        cpu_us: Of the gateway's process, for each token; 0 where it has no part.
    """

    load: str
    way: str
    p50_ms: float
    p99_ms: float
    tokens_per_s: float
    cpu_us: float


async def serve_stub() -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=1024)
    say_port(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def say_port(port: int) -> None:
    sys.stdout.write(json.dumps({"port": port}) + "\n")
    sys.stdout.flush()


@asynccontextmanager
async def process(*command: str) -> AsyncIterator[tuple[int, psutil.Process]]:
    """A child, and the port it says it listens at."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=_ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        said = json.loads(await child.stdout.readline())
        yield said["port"], psutil.Process(child.pid)
    finally:
        child.terminate()
        await child.wait()


def stub() -> AbstractAsyncContextManager[tuple[int, psutil.Process]]:
    return process("-m", "tests.benchmarks.gateway_overhead", "--stub")


def gateway_for(port: int) -> AbstractAsyncContextManager[tuple[int, psutil.Process]]:
    """As an operator starts it."""
    replica = f"http://127.0.0.1:{port}"
    options = ("--port", "0", "--store", "none", "--json", "--drain-s", "0")
    return process("-m", "agentrt", "serve", "--replica", replica, *options)


async def compare(
    ports: dict[str, int], gateway: psutil.Process, loads: dict[str, Load], rounds: int
) -> list[Row]:
    rows: list[Row] = []
    for name, load in loads.items():
        found: dict[str, list[tuple[Streams, float]]] = {way: [] for way in WAYS}
        for number in range(rounds):
            for way in WAYS if number % 2 == 0 else reversed(WAYS):
                before = cpu_s(gateway)
                own = replace(load, name=f"{name} {number}")
                streams = await stream_all(ports[way], own)
                found[way].append((streams, cpu_s(gateway) - before))
        rows += [summed(name, way, runs) for way, runs in found.items()]
    return rows


def summed(load: str, way: str, runs: list[tuple[Streams, float]]) -> Row:
    """Medians of the rounds' figures."""
    firsts = [sorted(streams.first_s) for streams, _ in runs]
    return Row(
        load,
        way,
        statistics.median(statistics.median(first) for first in firsts) * 1e3,
        statistics.median(first[int(len(first) * 0.99)] for first in firsts) * 1e3,
        statistics.median(streams.tokens / streams.wall_s for streams, _ in runs),
        0.0 if way == "direct" else statistics.median(cpu / s.tokens for s, cpu in runs) * 1e6,
    )


async def remember(port: int, gateway: psutil.Process, requests: int) -> list[tuple[int, float]]:
    """Requests so far, and MB that the gateway has in memory then.

    They are of programs of six turns, none of which says that it ends.
    """
    steps = 10
    each = max(requests // steps // (_REMEMBERED_AT_ONCE * _REMEMBERED_TURNS), 1)
    load = Load(_REMEMBERED_AT_ONCE, each * _REMEMBERED_TURNS, 2, 0.0, turns=_REMEMBERED_TURNS)
    marks: list[tuple[int, float]] = []
    for step in range(1, steps + 1):
        await stream_all(port, replace(load, name=f"memory {step}"))
        marks.append((step * load.each * load.at_once, gateway.memory_info().rss / 2**20))
    return marks


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


@dataclass(frozen=True)
class Found:
    """Attributes:
    memory_mb: After so many requests.
    """

    python: str
    cores: int | None
    streams: int
    rounds: int
    rows: list[Row]
    memory_mb: list[tuple[int, float]]


async def run(options: argparse.Namespace) -> Found:
    each = 1 if options.quick else 3
    at_once = 20 if options.quick else 200
    tokens = 5 if options.quick else 100
    loads = {
        "50 tokens/s each": Load(at_once, each, tokens, 0.02),
        "as fast as it can": Load(at_once, each, tokens, 0.0),
    }
    rounds = 2 if options.quick else 4
    requests = options.memory_requests or (320 if options.quick else 100_000)
    async with stub() as (stub_port, _), gateway_for(stub_port) as (port, gateway):
        ports = {"direct": stub_port, "gateway": port}
        rows: list[Row] = []
        if not options.memory_only:
            for warm in ports.values():
                await stream_all(warm, Load(at_once, 1, 2, 0.0))
            rows = await compare(ports, gateway, loads, rounds)
        marks = await remember(port, gateway, requests)
    return Found(platform.python_version(), os.cpu_count(), at_once, rounds, rows, marks)


def table(found: Found) -> str:
    lines = [
        f"{found.streams} streams at once, {found.cores} cores for clients, stub and gateway",
        f"{'load':18} {'way':8} {'TTFT p50':>9} {'p99':>9} {'tokens/s':>9} {'CPU us/token':>13}",
    ]
    lines += [
        f"{row.load:18} {row.way:8} {row.p50_ms:6.2f} ms {row.p99_ms:6.2f} ms "
        f"{row.tokens_per_s:9.0f} {row.cpu_us:13.1f}"
        for row in found.rows
    ]
    if found.rows:
        direct, through = found.rows[:2]
        added = through.p50_ms - direct.p50_ms
        lost = 1 - through.tokens_per_s / direct.tokens_per_s
        lines.append(
            f"at 50 tokens/s: {added:+.2f} ms to the median TTFT (target {TARGET_MS:g}), "
            f"{lost:.1%} of throughput lost (target {TARGET_SHARE:.0%})"
        )
    lines.append("memory of the gateway, MB after requests:")
    lines.append("  " + ", ".join(f"{mb:.0f} ({count:,})" for count, mb in found.memory_mb))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stub", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="small and short; no evidence")
    parser.add_argument("--memory-requests", type=int, default=0)
    parser.add_argument("--memory-only", action="store_true", help="no comparison")
    parser.add_argument("--json", action="store_true", dest="is_json")
    options = parser.parse_args()
    if options.stub:
        uvloop.run(serve_stub())
    else:
        found = uvloop.run(run(options))
        sys.stdout.write((json.dumps(asdict(found)) if options.is_json else table(found)) + "\n")


if __name__ == "__main__":
    main()
