"""Programs at a server whose cache others fill while their tools run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.server_kind import GENERIC, VLLM, ServerKind
from agentrt.clock import SystemClock
from agentrt.ir.node import LLMOptions
from agentrt.ir.request import Completion, Message, Request
from agentrt.runtime.fleet import Fleet
from agentrt.runtime.pool import Pool, Replica
from agentrt.runtime.scheduling import Scheduled, Scheduling
from agentrt.scheduler.actions import Prewarm
from tests.integration.misbehaving_server import Call, MisbehavingServer, completion

KV_TOKENS = 2_000
"""Room for some eight thousand characters."""


@dataclass
class World:
    """A pool at one server, that never answers what is asked for one token."""

    server: MisbehavingServer
    fleet: Fleet
    log: list[Scheduled]

    @property
    def prewarms(self) -> list[Prewarm]:
        return [
            action for entry in self.log for action in entry.actions if isinstance(action, Prewarm)
        ]

    @property
    def sent(self) -> list[str]:
        """The first message of each request for one token."""
        bodies = [call.json for call in self.server.calls if call.method == "POST"]
        return [body["messages"][0]["content"] for body in bodies if body.get("max_tokens") == 1]


@asynccontextmanager
async def world(kind: ServerKind = VLLM) -> AsyncIterator[World]:
    async def behave(call: Call) -> None:
        if call.method == "GET":
            await call.respond(404, {})
        elif call.json.get("max_tokens") == 1:
            await server.hang(call)
        else:
            answer = completion("I look.")
            characters = sum(len(message["content"]) for message in call.json["messages"])
            answer["usage"]["prompt_tokens"] = characters // 4
            await call.respond(200, answer)

    async with MisbehavingServer(behave) as server:
        log: list[Scheduled] = []
        clock = SystemClock()
        backend = OpenAIBackend(server.url, model="m", kind=kind)
        scheduling = Scheduling(kv_tokens=KV_TOKENS, on_scheduled=log.append)
        pool = Pool("large", {"a": backend}, clock=clock, scheduling=scheduling)
        fleet = Fleet({"large": pool, "small": pool}, clock=clock)
        try:
            yield World(server, fleet, log)
        finally:
            fleet.close()
            await backend.aclose()


def asking(name: str) -> Request:
    messages = (Message("user", f"{name} " * (2_000 // (len(name) + 1))),)
    return Request(messages=messages, options=LLMOptions(max_tokens=50))


def send_to(request: Request) -> Callable[[Replica], Coroutine[None, None, Completion]]:
    async def send(replica: Replica) -> Completion:
        return await replica.backend.complete(request)

    return send


async def others_fill_the_cache(world: World) -> None:
    for number in range(12):
        program = world.fleet.program(f"o{number}", "w")
        request = asking(f"other-{number}")
        await program.complete(request, send_to(request), is_last=True)
        program.end()


async def test_a_context_that_waits_for_its_tool_is_sent_again_before_it_is_evicted() -> None:
    async with world() as here:
        program = here.fleet.program("p", "w")
        request = asking("mine")
        served = await program.complete(request, send_to(request))
        tool = program.tool_started("look", {}, asked_by=served.call_id)
        await others_fill_the_cache(here)
        assert here.prewarms
        async with asyncio.timeout(10.0):
            while not here.sent:  # noqa: ASYNC110  a server of sockets: no event to wait for
                await asyncio.sleep(0.005)
        assert here.sent[0] == request.messages[0].content
        # One that is never answered has no part in anything: the program goes on and ends.
        program.tool_finished(tool)
        longer = Request(
            messages=(
                *request.messages,
                Message("assistant", served.completion.text),
                Message("user", "And?"),
            ),
        )
        again = await program.complete(longer, send_to(longer), is_last=True)
        assert again.completion.text == "I look."
        program.end()
        async with asyncio.timeout(10.0):
            await here.server.disconnected.wait()


async def test_a_server_of_unknown_kind_gets_no_request_of_ours() -> None:
    async with world(GENERIC) as here:
        program = here.fleet.program("p", "w")
        request = asking("mine")
        served = await program.complete(request, send_to(request))
        program.tool_started("look", {}, asked_by=served.call_id)
        await others_fill_the_cache(here)
        assert here.prewarms
        assert here.sent == []
        program.end()


async def test_an_answer_that_comes_as_its_program_ends_is_not_remembered() -> None:
    async with world() as here:
        program = here.fleet.program("p", "w")
        request = asking("mine")

        async def send(_: Replica) -> Completion:
            program.end()
            return Completion(text="I look.")

        served = await program.complete(request, send)
        pool = here.fleet.pool("large")
        pool.warming.warm(Prewarm(program.program_id, "a", served.context.chain))
        await others_fill_the_cache(here)
        assert here.sent == []
