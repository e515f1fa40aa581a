"""`agentrt serve`: the gateway, from a command line until it is told to stop."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrt.cli.connection import environment_settings
from agentrt.cli.failure import INTERRUPTED, UsageError
from agentrt.cli.output import Answers, tell
from agentrt.errors import InputError

if TYPE_CHECKING:
    from agentrt.gateway.assembly import Gateway
    from agentrt.gateway.settings import GatewaySettings

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FIRST_LOOK_S = 3.0
"""How long replicas are waited for before people are told which are there."""
_NEEDED = ("aiohttp", "starlette", "uvicorn", "httptools", "prometheus_client")
_ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  read, not listened at


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What the command line says.

    Attributes:
        flags: By names of `GatewaySettings`; None: not given.
    """

    config: Path | None
    flags: Mapping[str, Any]
    is_verbose: bool = False
    is_json: bool = False


def serve_gateway(options: ServeOptions, answers: Answers) -> int:
    """Serve until a signal, then drain: 0 once nothing is left, or 130 at a second signal."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the gateway is not installed: {missing[0]} is missing",
            hint="pip install 'agentrt[gateway]'",
        )
    from agentrt.gateway.settings_file import read_settings  # noqa: PLC0415  heavy

    settings = read_settings(options.config, options.flags)
    if settings.store is None:
        settings = settings.model_copy(update={"store": environment_settings().store})
    settings.check()
    with _log_on_stderr(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(_serve(settings, options, answers))
        except asyncio.CancelledError:  # told to stop a second time
            return INTERRUPTED
    return 0


async def _serve(settings: GatewaySettings, options: ServeOptions, answers: Answers) -> None:
    from agentrt.gateway.assembly import gateway  # noqa: PLC0415  heavy
    from agentrt.gateway.garbage import rarely_collected  # noqa: PLC0415  with the others
    from agentrt.gateway.server import serve  # noqa: PLC0415  heavy

    data_dir = environment_settings().data_dir
    async with gateway(
        settings, os.environ, data_dir=data_dir, is_verbose=options.is_verbose
    ) as found:

        def ready(port: int) -> None:
            told = ready_json(settings, found, port)
            answers.json(told) if options.is_json else answers.text(ready_text(told))

        def stopping() -> None:
            count, seconds = found.app.under_way, settings.drain_s
            under_way = f": {count} requests may take {seconds:g} s more" if count else ""
            tell(f"stopping{under_way} (Ctrl-C again ends it at once)")

        with _told_to_stop(stopping) as stop:
            await found.replicas.settled(_FIRST_LOOK_S)
            try:
                with rarely_collected():
                    await serve(
                        found.app,
                        host=settings.host,
                        port=settings.port,
                        drain_s=settings.drain_s,
                        on_bound=ready,
                        stop=stop,
                    )
            except InputError as error:
                hint = "--port 0 takes a free one, --host another address"
                raise UsageError(str(error), hint=hint) from error


@contextmanager
def _told_to_stop(stopping: Callable[[], None]) -> Generator[asyncio.Event]:
    """What is set by the first signal inside the block; the second cancels the task that is in it."""
    loop, task, stop = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()

    def arrived() -> None:
        if not stop.is_set():
            stopping()
            stop.set()
        elif task is not None:
            task.cancel()

    with suppress(NotImplementedError):  # on Windows Ctrl-C cancels, as asyncio has it
        for number in _SIGNALS:
            loop.add_signal_handler(number, arrived)
    try:
        yield stop
    finally:
        with suppress(NotImplementedError):
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def ready_json(settings: GatewaySettings, found: Gateway, port: int) -> dict[str, Any]:
    """What `--json` prints once connections are taken."""
    host = _ALL_ADDRESSES.get(settings.host, settings.host).strip("[]")
    shown = f"[{host}]" if ":" in host else host
    return {
        "status": "ready",
        "host": settings.host,
        "port": port,
        "base_url": f"http://{shown}:{port}/v1",
        "policy": settings.policy,
        "replicas": [
            {
                "replica": state.replica_id,
                "is_up": state.is_up,
                "reason": state.reason,
                "server": state.capabilities.server if state.capabilities else "",
                "models": list(state.capabilities.models) if state.capabilities else [],
                "kv_tokens": state.capabilities.kv_tokens if state.capabilities else None,
                "max_running": state.capabilities.max_concurrency if state.capabilities else None,
                "reports_cached_tokens": bool(
                    state.capabilities and state.capabilities.reports_cached_tokens
                ),
            }
            for state in found.replicas.states
        ],
        "tenants": [tenant.name for tenant in settings.tenants],
        "is_open": not settings.tenants,
    }


def ready_text(told: Mapping[str, Any]) -> str:
    """The same for people."""
    lines = [f"agentrt serves {told['base_url']}"]
    lines += [f"  {_replica_line(replica)}" for replica in told["replicas"]]
    if not any(replica["is_up"] for replica in told["replicas"]):
        lines.append("  no replica answers yet: requests wait a little for one, then get 503")
    tenants = ", ".join(told["tenants"])
    lines.append(f"  keys of {tenants}" if tenants else "  no key is asked for")
    return "\n".join([*lines, "", f"  export OPENAI_BASE_URL={told['base_url']}", ""])


def _replica_line(replica: Mapping[str, Any]) -> str:
    if not replica["is_up"]:
        return f"{replica['replica']}  down: {replica['reason']}"
    words = [replica["server"], ", ".join(replica["models"]) or "names no model"]
    kv_tokens, running = replica["kv_tokens"], replica["max_running"]
    words.append(
        "does not say how large its cache is: kv_tokens may"
        if kv_tokens is None
        else f"{kv_tokens:,} KV tokens"
    )
    if running is not None:
        words.append(f"{running:,} calls at once")
    if not replica["reports_cached_tokens"]:
        words.append("does not say what it had cached")
    return f"{replica['replica']}  up: {'; '.join(word for word in words if word)}"


@contextmanager
def _log_on_stderr() -> Generator[None]:
    """Times and messages, inside the block; libraries are heard of where they warn, as ever."""
    logger = logging.getLogger("agentrt")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop  # noqa: PLC0415  not on every system

    return uvloop.new_event_loop
