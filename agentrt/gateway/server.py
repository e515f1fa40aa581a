"""The gateway as a process: uvicorn, and how it goes when it is told to."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn

from agentrt.errors import InputError
from agentrt.gateway.app import GatewayApp
from agentrt.gateway.http_limits import LimitedProtocol

_KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections, so that they are the ones who close them."""
_BACKLOG = 4096
_CLOSE_WITHIN_S = 5


async def serve(
    app: GatewayApp,
    *,
    host: str,
    port: int,
    drain_s: float,
    on_bound: Callable[[int], None],
    stop: asyncio.Event | None = None,
) -> None:
    """Serve `app` until SIGTERM or SIGINT, or until `stop` is set; then drain it.

    From then on `/ready` says 503, new work is refused, and answers that are under way may take
    `drain_s` more. A second signal, or cancelling the task, ends everything at once.

    Args:
        host: An address, or a name of one; `::` for all there are.
        on_bound: Told the port, once connections are taken; `port` 0 lets the system choose.
        stop: Given, no signals are listened to.

    Raises:
        InputError: nobody can listen there.
    """
    listener = _listener(host, port)
    server = _Server(app, drain_s=drain_s, stop=stop or asyncio.Event())
    with server.signals(has_signals=stop is None):
        await server.serve_gateway(listener, on_bound)


class _Server(uvicorn.Server):
    """Goes in its own way: the first signal drains."""

    def __init__(self, app: GatewayApp, *, drain_s: float, stop: asyncio.Event) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=LimitedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_CLOSE_WITHIN_S,
            )
        )
        self._app = app
        self._drain_s = drain_s
        self._stop = stop
        self._on_bound: Callable[[], None] = _nobody_asks

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Nothing: `signals` does that."""
        yield

    @contextmanager
    def signals(self, *, has_signals: bool) -> Generator[None]:
        """Listen for them inside the block."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT) if has_signals else ()
        for number in numbers:
            loop.add_signal_handler(number, self._told_to_stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def serve_gateway(self, listener: socket.socket, on_bound: Callable[[int], None]) -> None:
        self._on_bound = lambda: on_bound(listener.getsockname()[1])
        try:
            await self.serve(sockets=[listener])
        except asyncio.CancelledError:
            self.force_exit = True
            await self.shutdown(sockets=[listener])
            raise

    async def main_loop(self) -> None:
        self._on_bound()
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(self._drain_when_told())
            await super().main_loop()
            draining.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.force_exit:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
        await super().shutdown(sockets)

    async def _drain_when_told(self) -> None:
        await self._stop.wait()
        await self._app.drain(self._drain_s)
        self.should_exit = True

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            self.should_exit = self.force_exit = True
        self._stop.set()


def _nobody_asks() -> None:
    pass


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host.strip("[]"), port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InputError(f"nobody can listen at {host}, port {port}: {error.strerror}") from error
    listener.setblocking(False)
    return listener
