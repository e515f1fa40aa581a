"""Who is measured by `tests.benchmarks.gateway_real`, and how each is started in front of the servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from agentrt.runtime.workload_endpoint import EndpointOptions

ALONE = "vllm alone"
GATEWAY = "agentrt"
GATEWAY_TOLD = "agentrt told (X-Session-ID)"
THUNDERAGENT = "ThunderAgent"
CAP = "cap "
READY_S = 60.0
_LAST_LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way of sending programs to the servers.

    Attributes:
        command: What stands in front of the servers, with `{port}` and `{port2}` for free ports;
            empty: nothing does.
        folder: Where it is started; None: here.
        environment: What it needs of its own.
        ready_path: Answers 200 once it serves.
        cap: At most so many programs at once, the others waiting at the client.
        options: What programs say of themselves.
    """

    name: str
    command: tuple[str, ...] = ()
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    ready_path: str = "/health"
    cap: int | None = None
    options: EndpointOptions = field(default_factory=EndpointOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """Where those are that are not ours; None: not here, and not measured."""

    thunderagent: Path | None = None
    thunderagent_python: str = sys.executable
    sglang_router: str | None = None
    vllm_router: str | None = None


def contenders(
    servers: Sequence[str],
    *,
    caps: Sequence[int],
    gateway: str,
    rivals: Rivals,
    model: str,
) -> list[Contender]:
    """All of them, for servers by their root URLs (without `/v1`)."""

    def said(**more: Any) -> EndpointOptions:
        return EndpointOptions(model=model, **more)

    plain = said()
    found = [Contender(name=ALONE, options=plain)]
    found += [Contender(name=f"{CAP}{cap}", cap=cap, options=plain) for cap in caps]
    command = gateway.split() if gateway else [sys.executable, "-m", "agentrt", "serve"]
    if not gateway:
        command += ["--port", "{port}", "--store", "none"]
        command += [word for url in servers for word in ("--replica", f"vllm+{url}")]
    for name, options in ((GATEWAY, plain), (GATEWAY_TOLD, said(has_session_header=True))):
        found.append(
            Contender(name=name, command=tuple(command), ready_path="/ready", options=options)
        )
    if rivals.thunderagent is not None:
        words = ["-m", "ThunderAgent", "--host", "127.0.0.1", "--port", "{port}"]
        found.append(
            Contender(
                name=THUNDERAGENT,
                command=(rivals.thunderagent_python, *words, "--backends", ",".join(servers)),
                folder=rivals.thunderagent,
                options=said(program_field="program_id", release_path="/programs/release"),
            )
        )
    if rivals.sglang_router is not None:
        words = [
            "launch",
            "--host",
            "127.0.0.1",
            "--port",
            "{port}",
            "--prometheus-port",
            "{port2}",
        ]
        found.append(
            Contender(
                name="sglang-router",
                command=(rivals.sglang_router, *words, "--worker-urls", *servers),
                options=plain,
            )
        )
    if rivals.vllm_router is not None:
        words = ["--host", "127.0.0.1", "--port", "{port}", "--prometheus-port", "{port2}"]
        routed = (rivals.vllm_router, *words, "--worker-urls", *servers)
        found.append(Contender(name="vllm-router", command=routed, options=plain))
        found.append(
            Contender(
                name="vllm-router (programs)",
                command=(*routed, "--enable-program-scheduling"),
                options=said(has_session_header=True, program_field="agent_hint.session_id"),
            )
        )
    return found


def on_path(given: str | None, name: str) -> str | None:
    """A program that was named, or that is on PATH."""
    return given or shutil.which(name)


@contextlib.asynccontextmanager
async def standing(contender: Contender, log: Path) -> AsyncGenerator[str | None]:
    """The contender's URL while it serves, its output in `log`; None: nothing stands in front.

    Raises:
        RuntimeError: it ended, or did not serve within a minute.
    """
    if not contender.command:
        yield None
        return
    ports = {"{port}": str(_free_port()), "{port2}": str(_free_port())}
    words = [ports.get(word, word) for word in contender.command]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=contender.folder,
            env=os.environ | dict(contender.environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            root = f"http://127.0.0.1:{ports['{port}']}"
            await _ready(process, root + contender.ready_path, contender.name, log)
            yield f"{root}/v1"
        finally:
            await _ended(process)


async def _ready(process: asyncio.subprocess.Process, url: str, name: str, log: Path) -> None:
    until = asyncio.get_running_loop().time() + READY_S
    async with httpx2.AsyncClient(trust_env=False) as client:
        while asyncio.get_running_loop().time() < until and process.returncode is None:
            with contextlib.suppress(httpx2.HTTPError):
                if (await client.get(url, timeout=2.0)).status_code == httpx2.codes.OK:
                    return
            await asyncio.sleep(0.2)
    what = "ended" if process.returncode is not None else f"did not serve {url}"
    raise RuntimeError(f"{name} {what}; the end of its output:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])


async def _ended(process: asyncio.subprocess.Process) -> None:
    """It and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 10.0)
            if number == signal.SIGTERM:
                await asyncio.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
