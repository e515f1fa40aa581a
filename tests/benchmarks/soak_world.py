"""The processes of a soak: engines that can be killed and frozen, and a gateway in front of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from agentrt.gateway.keys import hash_of, new_key
from tests.benchmarks.soak_client import Outcome, Post, send

ENGINES = (("alpha",), ("alpha",), ("beta", "gamma"))
MODELS = ("alpha", "beta", "gamma")
TENANTS: Mapping[str, str] = {
    "acme": "",
    "busy": "max_concurrent = 6\nmax_waiting = 6",
    "often": "requests_per_minute = 300",
}
MAX_BODY_BYTES = 1 << 20
IDLE_S = 1.0
EXPIRE_S = 3.0
UNAVAILABLE_S = 4.0
_PAGE_WITHIN_S = 30.0
_ROOT = Path(__file__).parents[2]
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? ([0-9.e+-]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class PageMissing(Exception):  # noqa: N818  told as a problem
    """The gateway did not show one of its pages."""


@dataclass
class Engine:
    """One stub, which keeps its port whatever happens to it."""

    models: tuple[str, ...]
    kv_tokens: int
    port: int = 0
    starts: int = 0
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.starts += 1
        words = [*("--models", ",".join(self.models)), *("--kv-tokens", str(self.kv_tokens))]
        words += [*("--port", str(self.port)), *("--started-at", str(self.starts))]
        self.process, told = await _started("tests.benchmarks.soak_stub", *words, log=None)
        self.port = told["port"]

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)

    async def page(self) -> Any:
        outcome = await send(self.port, Post(path="/soak", method="GET"), within_s=_PAGE_WITHIN_S)
        return outcome.json


@dataclass
class World:
    """Attributes:
    keys: Of tenants, by their names.
    """

    engines: list[Engine]
    gateway: asyncio.subprocess.Process
    port: int
    keys: Mapping[str, str]
    log: Path
    process: psutil.Process = field(init=False)

    def __post_init__(self) -> None:
        self.process = psutil.Process(self.gateway.pid)

    async def get(self, path: str, tenant: str = "acme", *, method: str = "GET") -> Outcome:
        """A page of the gateway."""
        headers = {"Authorization": f"Bearer {self.keys[tenant]}"}
        post = Post(path=path, method=method, headers=headers)
        outcome = await send(self.port, post, within_s=_PAGE_WITHIN_S)
        if outcome.came != "answer":
            raise PageMissing(f"{method} {path}: {outcome}")
        return outcome

    async def programs(self) -> list[dict[str, Any]]:
        """Those that are live, of all tenants."""
        pages = [await self.get("/programs", tenant) for tenant in TENANTS]
        return [program for page in pages for program in page.json["programs"]]

    async def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Names, labels and values."""
        page = (await self.get("/metrics")).body.decode()
        return [
            (name, dict(_LABEL.findall(labels)), float(value))
            for name, labels, value in _SAMPLE.findall(page)
        ]

    def upstream(self) -> Counter[int]:
        """The gateway's open connections, by the ports of the engines."""
        ports = {engine.port for engine in self.engines}
        return Counter(
            connection.raddr.port
            for connection in self.process.net_connections("tcp")
            if connection.status == psutil.CONN_ESTABLISHED and connection.raddr.port in ports
        )

    async def stop(self, within_s: float) -> int | None:
        """Its exit status after SIGTERM; None: it did not go."""
        self.gateway.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within_s):
                return await self.gateway.wait()
        except TimeoutError:
            return None


@asynccontextmanager
async def world(folder: Path, *, kv_tokens: int) -> AsyncIterator[World]:
    """Everything runs inside the block; what is left at its end is killed."""
    engines = [Engine(models, kv_tokens) for models in ENGINES]
    async with AsyncExitStack() as stack:
        for engine in engines:
            await engine.start()
            stack.push_async_callback(engine.kill)
        keys = {name: new_key() for name in TENANTS}
        config = folder / "gateway.toml"
        config.write_text(_config(engines, keys))
        log = folder / "gateway.log"
        words = ("serve", "--json", "--port", "0", "--config", str(config), "--verbose")
        process, told = await _started("agentrt", *words, log=log)
        stack.push_async_callback(_gone, process)
        yield World(engines, process, told["port"], keys, log)


def _config(engines: list[Engine], keys: Mapping[str, str]) -> str:
    lines = [
        f'store = "none"\nidle_s = {IDLE_S}\nexpire_s = {EXPIRE_S}\ndrain_s = 20.0',
        f"unavailable_s = {UNAVAILABLE_S}\nmax_body_bytes = {MAX_BODY_BYTES}",
    ]
    lines += [f'[[replica]]\nurl = "vllm+http://127.0.0.1:{engine.port}"' for engine in engines]
    lines += [
        f'[[tenant]]\nname = "{name}"\nkeys = ["{hash_of(keys[name])}"]\n{more}'
        for name, more in TENANTS.items()
    ]
    return "\n".join(lines) + "\n"


async def _started(
    module: str, *words: str, log: Path | None
) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    """A process of its own, and the line of JSON that it says first."""
    with (log or Path(os.devnull)).open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, *words),
            cwd=_ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors if log else None,
        )
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(await process.stdout.readline())
    return process, told


async def _gone(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
