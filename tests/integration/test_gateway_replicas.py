"""Replicas over real HTTP: found, lost, restarted, failing; and the programs on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import pytest

from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.server_kind import ServerKind
from agentrt.clock import SystemClock
from agentrt.errors import BackendUnavailable, RequestRejected
from agentrt.gateway.asked import Asked
from agentrt.gateway.health import Patience
from agentrt.gateway.programs import Programs
from agentrt.gateway.replicas import Replicas, ReplicaSource
from agentrt.gateway.turns import Caller, Forward
from agentrt.ir.hints import Hints
from agentrt.ir.request import Chunk, Completion
from agentrt.runtime.pool import Replica
from agentrt.runtime.scheduling import Scheduled, Scheduling
from agentrt.scheduler.events import CallReady, ReplicaDown, ReplicaReported, ReplicaUp
from tests.integration.stub_engine import StubEngine, begin_and_hang, failing, hang
from tests.unit.gateway.turns_world import ByName, Known, asking

IMPATIENT = Patience(
    check_every_s=0.05,
    check_timeout_s=0.5,
    first_retry_s=0.02,
    longest_retry_s=0.05,
    unavailable_s=0.5,
    circuit_failures=3,
    circuit_s=0.2,
)


@dataclass
class Gateway:
    replicas: Replicas
    programs: Programs[Known]
    log: list[Scheduled]
    sent: list[str]

    async def ask(self, program: str = "p", *texts: str, **fields: object) -> Completion:
        asked = asking(program, *texts, **fields)  # type: ignore[arg-type]  # as it takes them
        return await self.programs.take(asked, Caller(), self.forwarding(asked))

    def forwarding(self, asked: Asked) -> Forward:
        async def forward(replica: Replica, hints: Hints) -> Completion:
            has_begun = False

            def heard(_: Chunk) -> None:
                nonlocal has_begun
                if not has_begun:
                    has_begun = True
                    replica.first_token()

            self.sent.append(replica.replica_id)
            options = replace(asked.request.options, model=asked.model)
            return await replica.backend.complete(
                replace(asked.request, options=options), on_chunk=heard
            )

        return forward

    def assert_nothing_is_left(self) -> None:
        assert self.programs.live == ()
        for pool in self.replicas.models.pools.values():
            pool.scheduler.check()
            assert (pool._calls, len(pool._timers), pool.scheduler.programs) == ({}, 0, ())
            for replica in pool.scheduler.replicas:
                assert (replica.occupied_blocks, dict(replica.running)) == (0, {})


@asynccontextmanager
async def gateway(
    *engines: StubEngine,
    patience: Patience = IMPATIENT,
    settle_s: float = 2.0,
    connect: Callable[[str], OpenAIBackend] = OpenAIBackend,
) -> AsyncIterator[Gateway]:
    log: list[Scheduled] = []
    sources = [
        ReplicaSource(replica_id=engine.url, connect=partial(connect, engine.url))
        for engine in engines
    ]
    clock = SystemClock()
    scheduling = Scheduling(on_scheduled=log.append)
    replicas = Replicas(sources, clock=clock, scheduling=scheduling, patience=patience)
    programs = Programs(replicas, ByName(), clock=clock)
    found = Gateway(replicas, programs, log, [])
    async with replicas:
        await replicas.settled(settle_s)
        try:
            yield found
        finally:
            programs.close()
            await asyncio.sleep(0)
    found.assert_nothing_is_left()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what has to come; a test that waits in vain ends as a failure."""
    async with asyncio.timeout(20.0):
        while not is_so():  # noqa: ASYNC110  many things, none of which tells
            await asyncio.sleep(0.005)


@pytest.fixture
async def two() -> AsyncIterator[tuple[StubEngine, StubEngine]]:
    async with StubEngine() as one, StubEngine() as other:
        yield one, other


async def test_replicas_of_one_model_make_one_pool_with_the_room_they_say() -> None:
    async with StubEngine() as a, StubEngine(("m", "n")) as b, gateway(a, b) as found:
        assert sorted(found.replicas.models.pools) == ["m", "m, n"]
        assert found.replicas.models.names == ("m", "n")
        ups = [entry.event for entry in found.log if isinstance(entry.event, ReplicaUp)]
        assert {up.replica_id: up.kv_blocks for up in ups} == {a.url: 6250, b.url: 6250}
        assert (await found.ask("p", model="n")).text == "hello"
        assert found.sent == [b.url]


async def test_a_replica_that_is_not_there_yet_is_found_when_it_is() -> None:
    async with AsyncExitStack() as stack:
        engine = StubEngine()
        await engine.start()
        await engine.stop()
        found = await stack.enter_async_context(gateway(engine))
        (state,) = found.replicas.states
        assert (state.is_up, "nobody answers" in state.reason) == (False, True)
        asked = asyncio.ensure_future(found.ask())
        await asyncio.sleep(0.05)
        await stack.enter_async_context(engine)
        assert (await asked).text == "hello"


async def test_a_model_nobody_has_come_up_with_is_unavailable_and_not_unknown() -> None:
    engine = StubEngine()
    await engine.start()
    await engine.stop()
    async with gateway(engine) as found:
        with pytest.raises(BackendUnavailable, match="1 replicas have not come up yet"):
            await found.ask()


async def test_calls_of_a_replica_that_dies_are_made_by_another(
    two: tuple[StubEngine, StubEngine],
) -> None:
    for engine in two:
        engine.answer = hang
    async with gateway(*two) as found:
        asked = asyncio.ensure_future(found.ask())
        await until(lambda: bool(found.sent))
        (first,) = found.sent
        dying, other = two if two[0].url == first else two[::-1]
        other.answer = None
        await dying.stop()
        assert (await asked).text == "hello"
        assert found.sent[-1] == other.url
        await until(lambda: [state.is_up for state in found.replicas.states].count(False) == 1)
        await dying.start()
        await until(lambda: all(state.is_up for state in found.replicas.states))


async def test_an_answer_that_had_begun_is_an_error_when_its_replica_dies(
    two: tuple[StubEngine, StubEngine],
) -> None:
    for engine in two:
        engine.answer = begin_and_hang
    async with gateway(*two) as found:
        asked = asyncio.ensure_future(found.ask())
        begun = found.replicas
        await until(lambda: any(watched._health.heard_at for watched in begun._watched.values()))
        for engine in two:
            await engine.stop()
        with pytest.raises(Exception, match="broke"):
            await asked
        assert len(found.sent) == 1


async def test_the_only_replica_may_be_restarted_and_calls_wait_for_it() -> None:
    async with StubEngine() as engine, gateway(engine) as found:
        await found.ask()
        await engine.stop()
        asked = asyncio.ensure_future(found.ask())
        await asyncio.sleep(0.1)
        await engine.start()
        assert (await asked).text == "hello"


async def test_calls_do_not_wait_for_ever_for_a_replica() -> None:
    async with StubEngine() as engine, gateway(engine) as found:
        await found.ask()
        await engine.stop()
        await until(lambda: not found.replicas.states[0].is_up)
        with pytest.raises(BackendUnavailable, match=r"no replica of m has been up for 0\.5 s"):
            await found.ask()


async def test_a_replica_that_was_restarted_unseen_is_empty() -> None:
    async with StubEngine() as engine, gateway(engine) as found:
        await found.ask()
        await engine.restart()
        await until(lambda: any(isinstance(entry.event, ReplicaDown) for entry in found.log))
        await until(lambda: found.replicas.states[0].is_up)
        assert (await found.ask()).text == "hello"


async def test_a_replica_with_other_models_is_in_another_pool_and_the_old_one_is_unknown() -> None:
    async with StubEngine() as engine, gateway(engine) as found:
        engine.models = ("other",)
        await until(lambda: found.replicas.models.names == ("other",))
        with pytest.raises(RequestRejected, match="there are other"):
            await found.ask(model="m")
        assert (await found.ask(model="other")).text == "hello"


async def test_a_replica_that_says_it_is_not_well_is_down_after_two_questions() -> None:
    async with StubEngine() as engine, gateway(engine) as found:
        engine.is_well = False
        await until(lambda: not found.replicas.states[0].is_up)
        assert "503" in found.replicas.states[0].reason
        engine.is_well = True
        await until(lambda: found.replicas.states[0].is_up)


async def test_a_replica_that_is_silent_is_down_unless_its_answers_keep_coming() -> None:
    async with StubEngine() as engine, gateway(engine) as found:
        engine.is_slow = True
        loop = asyncio.get_running_loop()
        long_enough = loop.time() + 4 * IMPATIENT.check_timeout_s
        while loop.time() < long_enough:
            await found.ask()
            await asyncio.sleep(0.01)
        assert found.replicas.states[0].is_up
        await until(lambda: not found.replicas.states[0].is_up)
        engine.is_slow = False


async def test_calls_stay_away_from_a_replica_that_fails_them(
    two: tuple[StubEngine, StubEngine],
) -> None:
    broken, _sound = two
    broken.answer = failing()
    async with gateway(*two) as found:
        async with asyncio.TaskGroup() as tasks:
            # Each with some blocks of its own, so that they are spread.
            texts = [f"{number} of twelve " * 99 for number in range(12)]
            asked = [tasks.create_task(found.ask(text[:2], text)) for text in texts]
        assert [one.result().text for one in asked] == ["hello"] * 12
        down = [entry.event for entry in found.log if isinstance(entry.event, ReplicaDown)]
        assert ReplicaDown(broken.url) in down
        broken.answer = None
        await until(lambda: all(state.is_up for state in found.replicas.states))


async def test_what_clients_do_wrong_is_no_failure_of_a_replica() -> None:
    async with StubEngine(answer=failing(400)) as engine, gateway(engine) as found:
        for _ in range(5):
            with pytest.raises(RequestRejected):
                await found.ask()
        assert len([entry for entry in found.log if isinstance(entry.event, CallReady)]) == 5
        assert found.replicas.states[0].is_up


async def test_calls_of_others_take_room_from_ours_while_they_run() -> None:
    async with StubEngine() as engine, gateway(engine) as found:
        (pool,) = found.replicas.models.pools.values()
        (replica,) = pool.scheduler.replicas
        engine.running, engine.used_share = 3, 0.25
        await until(lambda: replica.capacity_blocks < 6250)
        assert replica.capacity_blocks == 6250 - 1562
        engine.running = 0
        await until(lambda: replica.capacity_blocks == 6250)


class Odd(OpenAIBackend):
    """Cannot even say what it is, once."""

    is_odd = False

    @property
    def kind(self) -> ServerKind:
        if self.is_odd:
            Odd.is_odd = False
            raise RuntimeError("nobody thought of this")
        return super().kind


async def test_a_replica_that_nobody_can_watch_is_down_until_it_is_found_again() -> None:
    async with StubEngine() as engine, gateway(engine, connect=Odd) as found:
        Odd.is_odd = True
        await until(lambda: not Odd.is_odd)
        await until(lambda: found.replicas.states[0].is_up)
        await found.ask()
        told = [entry.event for entry in found.log]
    ups = [type(event) for event in told if isinstance(event, ReplicaUp | ReplicaDown)]
    assert ups == [ReplicaUp, ReplicaDown, ReplicaUp, ReplicaDown][: len(ups)]
    assert len(ups) >= 3


async def test_calls_of_ours_are_not_taken_for_others() -> None:
    async with StubEngine(answer=hang) as engine, gateway(engine) as found:
        asked = [asyncio.ensure_future(found.ask(f"p{number}")) for number in range(2)]
        await until(lambda: len(engine.asked) == 2)
        engine.running, engine.used_share = 2, 0.9
        await asyncio.sleep(0.3)
        assert not any(isinstance(entry.event, ReplicaReported) for entry in found.log)
        for one in asked:
            one.cancel()
        await asyncio.wait(asked)
