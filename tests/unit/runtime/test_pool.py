"""A pool of several replicas: where calls go, and what happens when one goes down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from agentrt.backends.base import OnChunk
from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.errors import BackendUnavailable, InputError, RateLimited, RunCancelled
from agentrt.ir.request import Capabilities, Completion, Message, Request, Usage
from agentrt.runtime.fleet import Fleet, ScheduledProgram
from agentrt.runtime.pool import Pool, Replica
from agentrt.runtime.scheduling import Scheduled, Scheduling
from agentrt.scheduler.actions import HoldKV, Prewarm, ReleaseKV, SchedulerAction, Shed
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallCancelled,
    CallFinished,
    CallReady,
    ProgramFinished,
    ReplicaDown,
    ReplicaResized,
    ReplicaUp,
    SchedulerEvent,
)
from agentrt.scheduler.policies.occupancy import ByOccupancy
from tests.unit.runtime.scheduled_log import assert_nothing_is_left, replayed, to_the_end


class World:
    """Two replicas, each of one call at a time that takes ten seconds."""

    def __init__(self, **backends: ScriptedBackend) -> None:
        self.log: list[Scheduled] = []
        self.clock = VirtualClock()
        self.backends = backends or {
            name: ScriptedBackend(name, latency_s=10.0, max_concurrency=1) for name in ("a", "b")
        }
        self.pool = Pool(
            "large",
            self.backends,
            clock=self.clock,
            scheduling=Scheduling(on_scheduled=self.log.append),
        )
        self.fleet = Fleet({"large": self.pool, "small": self.pool}, clock=self.clock)

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return to_the_end(self.clock, main())

    @property
    def events(self) -> list[SchedulerEvent]:
        return [entry.event for entry in self.log]

    async def ask(self, program: ScheduledProgram, text: str = "?") -> str:
        request = Request(messages=(Message("user", text),))
        try:
            return (await program.complete(request, send_to(request))).completion.text
        finally:
            program.end()


def send_to(request: Request) -> Callable[[Replica], Coroutine[Any, Any, Completion]]:
    async def send(replica: Replica) -> Completion:
        return await replica.backend.complete(request)

    return send


def test_calls_go_to_all_replicas_and_no_more_than_each_takes() -> None:
    world = World()

    async def main() -> list[str]:
        async with asyncio.TaskGroup() as tasks:
            made = [
                tasks.create_task(world.ask(world.fleet.program(f"p{n}", "w"))) for n in range(5)
            ]
        return [task.result() for task in made]

    assert world.run(main) == ["a", "b", "a", "b", "a"]
    assert world.clock.now() == 30.0
    assert {backend.peak_concurrency for backend in world.backends.values()} == {1}
    assert_nothing_is_left(world.log)


def test_calls_of_a_replica_that_goes_down_are_made_by_another() -> None:
    world = World()

    async def main() -> list[str]:
        async with asyncio.TaskGroup() as tasks:
            made = [
                tasks.create_task(world.ask(world.fleet.program(f"p{n}", "w"))) for n in range(2)
            ]
            await asyncio.sleep(4.0)
            world.pool.down("a")
        return [task.result() for task in made]

    assert world.run(main) == ["b", "b"]
    assert world.clock.now() == 20.0
    assert [len(backend.requests) for backend in world.backends.values()] == [1, 2]
    assert [e for e in world.events if isinstance(e, ReplicaDown)] == [ReplicaDown("a")]
    assert_nothing_is_left(world.log)


def test_a_call_waits_while_no_replica_is_up() -> None:
    world = World()

    async def main() -> str:
        async with asyncio.TaskGroup() as tasks:
            made = tasks.create_task(world.ask(world.fleet.program("p", "w")))
            await asyncio.sleep(4.0)
            world.pool.down("a")
            world.pool.down("b")
            await asyncio.sleep(4.0)
            world.pool.up("b", await world.backends["b"].capabilities())
        return made.result()

    assert world.run(main) == "b"
    assert world.clock.now() == 18.0
    assert_nothing_is_left(world.log)


@pytest.mark.parametrize("then", ["cancelled", "over"])
def test_a_call_that_lost_its_replica_can_still_be_given_up(then: str) -> None:
    world = World()

    async def main() -> None:
        program = world.fleet.program("p", "w")
        task = asyncio.create_task(world.ask(program))
        await asyncio.sleep(4.0)
        world.pool.down("a")
        world.pool.down("b")
        await asyncio.sleep(1.0)
        if then == "cancelled":
            task.cancel()
        else:
            program.end()
        with pytest.raises(asyncio.CancelledError if then == "cancelled" else RunCancelled):
            await task

    world.run(main)
    is_told = CallCancelled("c1") in world.events
    assert is_told == (then == "cancelled")
    assert_nothing_is_left(world.log)


def test_an_answer_that_arrives_as_its_replica_goes_down_is_taken() -> None:
    """The answer, and the news that the replica is gone, come in the same turn of the loop."""
    world = World()
    answered = asyncio.Event()

    async def main() -> Completion:
        program = world.fleet.program("p", "w")
        request = Request(messages=(Message("user", "?"),))

        async def send(replica: Replica) -> Completion:
            await answered.wait()
            return Completion(text="in time")

        task = asyncio.create_task(program.complete(request, send))
        await asyncio.sleep(1.0)
        answered.set()
        for name in world.backends:
            world.pool.down(name)
        served = await task
        program.end()
        return served.completion

    assert world.run(main).text == "in time"
    assert CallCancelled("c1") in world.events
    assert_nothing_is_left(world.log)


def test_replicas_that_do_not_answer_are_left_out_while_one_does() -> None:
    class Gone(ScriptedBackend):
        async def capabilities(self) -> Capabilities:
            raise BackendUnavailable("gone")

    world = World(gone=Gone("never"), there=ScriptedBackend("there"))
    assert world.run(lambda: world.ask(world.fleet.program("p", "w"))) == "there"
    ups = [event.replica_id for event in world.events if isinstance(event, ReplicaUp)]
    assert ups == ["there"]


class Sized(ScriptedBackend):
    """Says how large its KV cache is."""

    async def capabilities(self) -> Capabilities:
        return replace(await super().capabilities(), kv_tokens=3200)


def test_capacity_is_what_the_server_says_of_itself() -> None:
    world = World(a=Sized("x", max_concurrency=2), b=ScriptedBackend("y"))
    world.run(world.pool.ready)
    assert world.events == [
        ReplicaUp(replica_id="a", kv_blocks=200, max_running=2),
        ReplicaUp(replica_id="b", kv_blocks=None),
    ]


def test_capacity_is_told_in_blocks_of_text_as_the_user_says_it() -> None:
    world = World(
        a=ScriptedBackend("x", max_concurrency=1),
        b=Sized("y", max_concurrency=1),
    )
    told: list[Scheduled] = []
    pool = Pool(
        "large",
        world.backends,
        clock=world.clock,
        scheduling=Scheduling(kv_tokens=1600, on_scheduled=told.append),
    )
    world.run(pool.ready)
    assert [entry.event for entry in told] == [
        ReplicaUp(replica_id=name, kv_blocks=100, max_running=1) for name in ("a", "b")
    ]
    with pytest.raises(InputError):
        Scheduling(kv_tokens=0)


class Full(Scheduler):
    """Refuses every call; no policy does, yet."""

    def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        if isinstance(event, CallReady):
            return [Shed(event.call_id, retry_after_s=7.0)]
        return super().handle(event, now)


def test_a_call_that_the_scheduler_refuses_may_be_tried_again_later() -> None:
    world = World()
    world.pool._scheduler = Full(ByOccupancy())

    async def main() -> RateLimited:
        with pytest.raises(RateLimited) as caught:
            await world.ask(world.fleet.program("p", "w"))
        return caught.value

    error = world.run(main)
    assert (error.retryable, error.retry_after_s) == (True, 7.0)
    assert isinstance(world.events[-1], ProgramFinished)
    assert [backend.requests for backend in world.backends.values()] == [[], []]


def test_advice_that_no_backend_takes_is_passed_over() -> None:
    world = World()
    for advice in (HoldKV("p", "a", (), 1.0), ReleaseKV("p", "a"), Prewarm("p", "a", ())):
        world.pool._perform(advice)
    assert world.log == []


def test_errors_of_the_sender_are_its_own() -> None:
    world = World()

    async def main() -> None:
        for error in (TimeoutError("the socket's"), KeyError("a bug")):
            program = world.fleet.program("p", "w")

            async def send(_: Replica, error: Exception = error) -> Completion:
                raise error

            with pytest.raises(type(error)) as caught:
                await program.complete(Request(messages=(Message("user", "?"),)), send)
            assert caught.value is error
            program.end()

    world.run(main)
    assert not any(isinstance(event, CallFinished) for event in world.events)
    assert_nothing_is_left(world.log)


def test_the_schedulers_time_never_runs_backwards() -> None:
    class Wild(VirtualClock):
        times = iter([5.0, 3.0, 4.0, 6.0, 1.0])

        def now(self) -> float:
            return next(self.times, 10.0)

    told: list[Scheduled] = []
    scheduling = Scheduling(on_scheduled=told.append)
    pool = Pool("large", {}, clock=Wild(), scheduling=scheduling)
    for name in "abcde":
        pool.up(name, Capabilities())
    assert [entry.at for entry in told] == [5.0, 5.0, 5.0, 6.0, 6.0]
    replayed(told)


def test_the_tokens_of_prompts_are_learned_from_what_servers_count() -> None:
    # The scripted backend counts the same text at four characters a token, without the roles.
    world = World(a=ScriptedBackend("x" * 10))

    async def main() -> None:
        for _ in range(30):
            await world.ask(world.fleet.program("p", "w"), "y" * 4000)

    world.run(main)
    estimates = [e.prompt_tokens for e in world.events if isinstance(e, CallReady)]
    assert estimates[0] == round((4000 + len("\x1euser\n")) / 4)
    assert world.pool.rate.characters_per_token == pytest.approx(4.0, rel=0.01)


def test_what_a_cache_has_room_for_follows_how_the_server_counts_tokens() -> None:
    class Terse(ScriptedBackend):
        """A cache of 1,000 tokens; a prompt is a tenth as many tokens as characters."""

        async def capabilities(self) -> Capabilities:
            return replace(await super().capabilities(), kv_tokens=1_000)

        async def complete(
            self, request: Request, *, on_chunk: OnChunk | None = None
        ) -> Completion:
            completion = await super().complete(request, on_chunk=on_chunk)
            tokens = sum(len(message.content) for message in request.messages) // 10
            return replace(completion, usage=Usage(tokens, 0, 1))

    world = World(a=Terse("a"))

    async def main() -> None:
        for index in range(30):
            program = world.fleet.program(f"p{index}", "w")
            await world.ask(program, f"{index} " * 2_000)

    world.run(main)
    told = [
        event.kv_blocks
        for event in world.events
        if isinstance(event, (ReplicaUp, ReplicaResized)) and event.kv_blocks is not None
    ]
    assert told[0] == 1_000 * 4 // 64
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1_000 * 10 / 64, rel=0.05)
    assert world.pool.scheduler.replicas[0].kv_blocks == told[-1]
