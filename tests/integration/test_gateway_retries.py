"""A call that fails at one replica is made at another; with one alone it is made there again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from agentrt.gateway.assembly import Gateway, gateway
from agentrt.gateway.sending import MOST_ATTEMPTS
from agentrt.gateway.server import serve
from agentrt.gateway.settings import GatewaySettings
from tests.integration.misbehaving_server import Call, completion
from tests.integration.stub_engine import Answer, StubEngine, failing


async def reset(call: Call) -> None:
    call.reset()


async def break_off(call: Call) -> None:
    call.close()


async def begin_with_nothing(call: Call) -> None:
    await call.start_stream()
    call.close()


FAILURES: tuple[Answer, ...] = (reset, break_off, begin_with_nothing, failing(500), failing(503))


@dataclass
class Engine(StubEngine):
    """Serves embeddings too."""

    embedded: list[Any] = field(default_factory=list)

    async def _respond(self, call: Call) -> None:
        if call.path != "/v1/embeddings":
            await super()._respond(call)
            return
        self.embedded.append(call.json)
        if self.answer is not None:
            await self.answer(call)
        else:
            await call.respond(200, {"object": "list", "data": []})


@dataclass
class Door:
    found: Gateway
    client: httpx2.AsyncClient

    async def ask(self, session: str, text: str = "hi", **more: Any) -> httpx2.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": text}]} | more
        headers = {"X-Session-ID": session}
        return await self.client.post("/v1/chat/completions", json=body, headers=headers)

    async def embed(self) -> httpx2.Response:
        return await self.client.post("/v1/embeddings", json={"model": "m", "input": "hi"})

    def assert_all_are_up(self) -> None:
        """No circuit has opened: what is seen is none of its doing."""
        assert all(state.is_up for state in self.found.replicas.states)


@asynccontextmanager
async def served(*engines: StubEngine) -> AsyncGenerator[Door]:
    told = {
        "replica": [{"url": f"vllm+{engine.url}"} for engine in engines],
        "store": "none",
    }
    stop = asyncio.Event()
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with (
        gateway(GatewaySettings.model_validate(told), {}) as found,
        asyncio.TaskGroup() as tasks,
    ):
        await found.replicas.settled(10)
        door = serve(
            found.app, host="127.0.0.1", port=0, drain_s=0, on_bound=bound.set_result, stop=stop
        )
        tasks.create_task(door)
        url = f"http://127.0.0.1:{await bound}"
        async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            yield Door(found, client)
        stop.set()


class Broken:
    """The engine that is asked first is broken from then on."""

    def __init__(self, failure: Answer, *engines: StubEngine) -> None:
        self.attempts = 0
        self._failure = failure
        self._which: StubEngine | None = None
        for engine in engines:
            engine.answer = self._answer_of(engine)

    def _answer_of(self, engine: StubEngine) -> Answer:
        async def answer(call: Call) -> None:
            if self._which is None:
                self._which = engine
            if self._which is engine:
                self.attempts += 1
                await self._failure(call)
            else:
                await call.respond(200, completion())

        return answer


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_call_is_made_once_at_the_broken_replica_and_then_at_the_other(
    failure: Answer,
) -> None:
    async with StubEngine() as one, StubEngine() as other:
        broken = Broken(failure, one, other)
        async with served(one, other) as door:
            first = await door.ask("p")
            assert (first.status_code, broken.attempts) == (200, 1)
            later = [await door.ask("p", f"hi {number}") for number in range(3)]
            door.assert_all_are_up()
    assert [answer.status_code for answer in later] == [200] * 3
    assert broken.attempts == 1


async def test_each_program_finds_out_for_itself_until_the_circuit_opens() -> None:
    async with StubEngine() as one, StubEngine() as other:
        broken = Broken(reset, one, other)
        async with served(one, other) as door:
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(door.ask(f"p{number}")) for number in range(4)]
            door.assert_all_are_up()
    assert [one.result().status_code for one in asked] == [200] * 4
    assert 1 <= broken.attempts <= 4


@pytest.mark.parametrize("status", [429, 503])
async def test_nobody_is_sent_away_by_one_replica_while_another_can_answer(status: int) -> None:
    async def has_enough(call: Call) -> None:
        await call.respond(status, {"error": {"message": "full"}}, {"Retry-After": "600"})

    async with StubEngine() as one, StubEngine() as other:
        broken = Broken(has_enough, one, other)
        async with served(one, other) as door:
            answer = await door.ask("p")
            door.assert_all_are_up()
    assert (answer.status_code, broken.attempts) == (200, 1)


async def test_where_all_have_enough_the_client_is_told_when_to_come_again() -> None:
    async def has_enough(call: Call) -> None:
        await call.respond(429, {"error": {"message": "full"}}, {"Retry-After": "600"})

    async with (
        StubEngine(answer=has_enough) as one,
        StubEngine(answer=has_enough) as other,
        served(one, other) as door,
    ):
        answer = await door.ask("p")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "600")
    assert (len(one.asked), len(other.asked)) == (1, 1)


async def test_with_one_replica_alone_all_attempts_are_made_there() -> None:
    async with StubEngine(answer=reset) as engine, served(engine) as door:
        answer = await door.ask("p")
        door.assert_all_are_up()
    assert (answer.status_code, len(engine.asked)) == (503, MOST_ATTEMPTS)


async def test_a_replica_that_serves_more_models_is_another_to_go_to() -> None:
    async with StubEngine(("m",)) as one, StubEngine(("m", "n")) as other:
        broken = Broken(reset, one, other)
        async with served(one, other) as door:
            answer = await door.ask("p")
            door.assert_all_are_up()
    assert (answer.status_code, broken.attempts) == (200, 1)


async def test_embeddings_are_made_elsewhere_too() -> None:
    async with Engine() as one, Engine() as other:
        broken = Broken(reset, one, other)
        async with served(one, other) as door:
            answer = await door.embed()
            door.assert_all_are_up()
    assert (answer.status_code, broken.attempts) == (200, 1)
    assert len(one.embedded) == len(other.embedded) == 1


async def test_a_client_that_says_it_retries_is_the_same_program_and_another_that_asks_the_same_is_not() -> (
    None
):
    body = {"model": "m", "messages": [{"role": "user", "content": "the same task " * 20}]}
    async with StubEngine() as engine, served(engine) as door:
        for count in ("0", "1", "0"):
            headers = {"X-Stainless-Retry-Count": count}
            answer = await door.client.post("/v1/chat/completions", json=body, headers=headers)
            assert answer.status_code == 200
        turns = sorted(live.turns for live in door.found.programs.live)
    assert turns == [1, 2]
