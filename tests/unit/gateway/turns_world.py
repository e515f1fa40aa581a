"""Programs on replicas in this process, in virtual time, with a recogniser that believes names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.errors import BackendUnavailable
from agentrt.estimates.book import Estimates
from agentrt.gateway.asked import Asked, Claim, Endpoint
from agentrt.gateway.health import Patience
from agentrt.gateway.live_program import Quiet
from agentrt.gateway.programs import Programs
from agentrt.gateway.replicas import Replicas, ReplicaSource
from agentrt.gateway.turns import Caller, Forward
from agentrt.ir.hints import Hints
from agentrt.ir.request import Capabilities, Completion, Message, Request, ToolCall, Usage
from agentrt.ir.tool import ToolSpec
from agentrt.runtime.pool import Replica
from agentrt.runtime.scheduling import Scheduled, Scheduling
from agentrt.scheduler.events import SchedulerEvent
from tests.unit.runtime.scheduled_log import to_the_end

T = TypeVar("T")


@dataclass
class Known:
    """What the stand-in says of a request."""

    program_id: str
    parent_id: str = ""
    reason: str = "its name"
    results: Sequence[str] = ()


@dataclass
class ByName:
    """Believes every name; a request without one is a program of its own."""

    numbers: count[int] = field(default_factory=lambda: count(1))
    told: list[tuple[str, str]] = field(default_factory=list)
    asked: int = 0
    results: Sequence[str] = ()

    def recognise(self, asked: Asked, *, tenant: str, now: float) -> Known:
        self.asked += 1
        name = asked.claim.program or f"unnamed{next(self.numbers)}"
        parent = asked.claim.parent
        return Known(
            f"{tenant}/{name}", f"{tenant}/{parent}" if parent else "", results=self.results
        )

    def answered(self, recognised: Known, completion: Completion, *, response_id: str = "") -> None:
        self.told.append(("answered", recognised.program_id))

    def failed(self, recognised: Known) -> None:
        self.told.append(("failed", recognised.program_id))

    def end(self, program_id: str) -> None:
        self.told.append(("ended", program_id))

    def quiet(self, program_id: str) -> None:
        self.told.append(("quiet", program_id))


class Server(ScriptedBackend):
    """A replica that can be away."""

    def __init__(self, models: tuple[str, ...] = ("m",), **options: Any) -> None:
        super().__init__(**options)
        self.is_there = True
        self._capabilities = Capabilities(
            models=models,
            reports_cached_tokens=True,
            max_concurrency=options.get("max_concurrency"),
            kv_tokens=100_000,
        )

    async def capabilities(self) -> Capabilities:
        if not self.is_there:
            raise BackendUnavailable("nobody answers there")
        return await super().capabilities()

    async def complete(self, request: Request, **options: Any) -> Completion:
        if not self.is_there:
            raise BackendUnavailable("nobody answers there")
        return await super().complete(request, **options)


class World:
    """Replicas `a`, `b`, ... as they are given, and the programs on them."""

    def __init__(
        self,
        *servers: Server,
        quiet: Quiet | None = None,
        patience: Patience | None = None,
        max_waiting: int | None = None,
        estimates: Estimates | None = None,
        **options: Any,
    ) -> None:
        self.clock = VirtualClock()
        self.log: list[Scheduled] = []
        self.servers = dict(zip("abcdefgh", servers, strict=False))
        self.recogniser = ByName()
        self.replicas = Replicas(
            [
                ReplicaSource(replica_id=name, connect=partial(self.servers.__getitem__, name))
                for name in self.servers
            ],
            clock=self.clock,
            scheduling=Scheduling(
                on_scheduled=self.log.append, max_waiting=max_waiting, estimates=estimates
            ),
            patience=patience,
        )
        self.programs = Programs(
            self.replicas, self.recogniser, clock=self.clock, quiet=quiet, **options
        )

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """`main`, with all replicas looked for; nothing is left in the schedulers then."""

        async def whole() -> T:
            async with self.replicas:
                await self.replicas.settled(1.0)
                try:
                    return await main()
                finally:
                    self.programs.close()
                    await asyncio.sleep(0)

        result = to_the_end(self.clock, whole())
        self.assert_nothing_is_left()
        return result

    def assert_nothing_is_left(self) -> None:
        """No program is known to a scheduler, no call is in a pool, and no timer will go off."""
        assert self.programs.live == ()
        for pool in self.replicas.models.pools.values():
            pool.scheduler.check()
            assert pool.scheduler.programs == ()
            assert (pool._calls, len(pool._timers)) == ({}, 0)
            for replica in pool.scheduler.replicas:
                assert (replica.occupied_blocks, dict(replica.running)) == (0, {})

    @property
    def events(self) -> list[SchedulerEvent]:
        return [entry.event for entry in self.log]

    async def ask(
        self,
        program: str,
        *messages: Message | str,
        forward: Forward | None = None,
        caller: Caller | None = None,
        **fields: Any,
    ) -> Completion:
        """One request of a program; texts are the user's."""
        asked = asking(program, *messages, **fields)
        return await self.programs.take(asked, caller or Caller(), forward or forwarding(asked))


def asking(
    program: str,
    *messages: Message | str,
    model: str = "m",
    endpoint: Endpoint = "chat/completions",
    tools: tuple[ToolSpec, ...] = (),
    **claim: Any,
) -> Asked:
    made = tuple(Message("user", m) if isinstance(m, str) else m for m in messages or ("?",))
    return Asked(
        endpoint=endpoint,
        body={},
        model=model,
        request=Request(messages=made, tools=tools),
        claim=Claim(program=program, **claim),
    )


def forwarding(asked: Asked) -> Forward:
    """Straight to the backend; the answer begins when it is whole."""

    async def forward(replica: Replica, hints: Hints) -> Completion:
        completion = await replica.backend.complete(asked.request)
        replica.first_token()
        return completion

    return forward


def calling(*tools: str, text: str = "", arguments: str = "{}") -> Completion:
    """An answer that calls tools, their ids made of their names."""
    calls = tuple(ToolCall(f"call-{tool}", tool, arguments) for tool in tools)
    return Completion(text=text, tool_calls=calls, usage=Usage(10, 0, 5))


def answered(completion: Completion) -> Message:
    return Message("assistant", completion.text, completion.tool_calls)


def result_of(tool: str, text: str = "done") -> Message:
    return Message("tool", text, tool_call_id=f"call-{tool}")


Answers = Callable[[Request], Completion | Awaitable[Completion]]
