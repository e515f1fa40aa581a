"""A gateway on a real port, in front of real servers, with the smallest scheduling that is any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agentrt.backends.hints import HintFields
from agentrt.backends.openai_http import HttpSettings, OpenAIBackend
from agentrt.backends.passthrough import Passthrough
from agentrt.clock import SystemClock
from agentrt.errors import BackendError, RequestRejected
from agentrt.gateway.app import GatewayApp, create_app
from agentrt.gateway.asked import Asked
from agentrt.gateway.model_list import ListingServer
from agentrt.gateway.post import GatewayLimits
from agentrt.gateway.server import serve
from agentrt.gateway.services import Answered, Services
from agentrt.gateway.settings import TenantSettings
from agentrt.gateway.tenants import Tenants
from agentrt.gateway.turns import Caller, Forward
from agentrt.ir.hints import Hints
from agentrt.ir.request import Completion
from agentrt.runtime.fleet import Fleet
from agentrt.runtime.pool import Pool, Replica
from agentrt.runtime.scheduling import Scheduling

PROGRAMS = {"one/of": {"state": "acting"}}


class PoolTurns:
    """Every request is a program of its own; a replica that fails is left out from then on.

    Attributes:
        completions: What the turns came to.
        hints: Said of each.
    """

    def __init__(self, urls: Sequence[str], *, max_running: int | None = None) -> None:
        backends = {f"r{number}": OpenAIBackend(url, model="m") for number, url in enumerate(urls)}
        clock = SystemClock()
        self.backends = dict(backends)
        self.made = backends
        self.pool = Pool("m", backends, clock=clock, scheduling=Scheduling(kv_tokens=max_running))
        self.fleet = Fleet({"large": self.pool}, clock=clock)
        self.completions: list[Completion] = []
        self.hints = Hints(program_id="p")

    async def take(self, asked: Asked, caller: Caller, forward: Forward) -> Completion:
        if asked.model != "m":
            raise RequestRejected(f"no replica serves the model {asked.model!r}", status=404)
        program = self.fleet.program("run", "any", tenant=caller.tenant)
        has_begun = False

        async def send(replica: Replica) -> Completion:
            nonlocal has_begun

            def first_token() -> None:
                nonlocal has_begun
                has_begun = True
                replica.first_token()

            told = Replica(
                replica.replica_id,
                replica.backend,
                replica.capabilities,
                first_token,
                replica.is_streamed,
            )
            try:
                return await forward(told, self.hints)
            except BackendError as error:
                if error.retryable and not has_begun and len(self.backends) > 1:
                    self.backends.pop(replica.replica_id, None)
                    self.pool.leave(replica.replica_id)
                raise

        try:
            while True:
                left = len(self.backends)
                try:
                    served = await program.complete(asked.request, send, is_last=True)
                except BackendError:
                    if len(self.backends) == left:
                        raise
                    continue
                self.completions.append(served.completion)
                return served.completion
        finally:
            program.end()

    def close(self) -> None:
        self.fleet.close()


async def until(holds: Callable[[], object]) -> None:
    """Wait until it does."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  what is looked at has nobody who would tell
            await asyncio.sleep(0.001)


@dataclass
class RunningGateway:
    """Attributes:
    answered: What was told of requests that are over.
    """

    app: GatewayApp
    turns: PoolTurns
    port: int
    stop: asyncio.Event
    answered: list[Answered]
    ended: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def running_gateway(
    *urls: str,
    api_key: str | None = None,
    tenants: Sequence[TenantSettings] = (),
    limits: GatewayLimits | None = None,
    added: HintFields | None = None,
    drain_s: float = 0.0,
    settings: HttpSettings | None = None,
) -> AsyncGenerator[RunningGateway]:
    turns = PoolTurns(urls)
    by_id = {
        f"r{number}": Passthrough(url, api_key=api_key, settings=settings)
        for number, url in enumerate(urls)
    }
    door = Tenants(tenants)
    answered: list[Answered] = []
    ended: list[tuple[str, str]] = []

    def end_program(caller: Caller, program: str) -> bool:
        ended.append((caller.tenant, program))
        return program in PROGRAMS

    services = Services(
        turns=turns,
        authenticate=door.authenticate,
        admitted=door.admitted,
        passthrough=lambda replica: by_id[replica.replica_id],
        hinting=lambda _replica, _hints: added or HintFields(),
        isolating=lambda _replica, _hints: added or HintFields(),
        hints_refused=lambda _replica_id: None,
        listing=lambda: [ListingServer(one) for one in by_id.values()],
        is_ready=lambda: bool(turns.backends),
        metrics=lambda: b"agentrt_requests_total 1\n",
        programs=lambda caller: {"tenant": caller.tenant, "programs": PROGRAMS},
        end_program=end_program,
        observe=answered.append,
    )
    app = create_app(services, limits)
    stop = asyncio.Event()
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                serve(
                    app,
                    host="127.0.0.1",
                    port=0,
                    drain_s=drain_s,
                    on_bound=bound.set_result,
                    stop=stop,
                )
            )
            yield RunningGateway(app, turns, await bound, stop, answered, ended)
            stop.set()
    finally:
        turns.close()
        for backend in turns.made.values():
            await backend.aclose()
        for passthrough in by_id.values():
            await passthrough.aclose()
