"""Pools whose replicas join and leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.errors import BackendUnavailable, RunCancelled
from agentrt.ir.request import Completion, Message, Request
from agentrt.runtime.fleet import Fleet, ScheduledProgram
from agentrt.runtime.pool import Pool, Replica
from agentrt.runtime.scheduling import Scheduled, Scheduling
from agentrt.scheduler.events import CallCancelled, CallFinished, FirstToken, SchedulerEvent
from tests.unit.runtime.scheduled_log import assert_nothing_is_left, to_the_end


class World:
    """A pool that nobody has joined yet, and answers that begin at once and take ten seconds."""

    def __init__(self) -> None:
        self.log: list[Scheduled] = []
        self.clock = VirtualClock()
        self.pool = Pool(
            "m",
            {},
            clock=self.clock,
            scheduling=Scheduling(on_scheduled=self.log.append),
            unavailable_s=5.0,
        )
        self.fleet = Fleet({"m": self.pool}, clock=self.clock)

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        result = to_the_end(self.clock, main())
        assert_nothing_is_left(self.log)
        assert (self.pool._calls, len(self.pool._timers)) == ({}, 0)
        return result

    async def join(self, name: str) -> None:
        backend = ScriptedBackend(name, max_concurrency=1)
        self.pool.join(name, backend, await backend.capabilities())

    async def ask(self, program: ScheduledProgram, *, begins: bool = True, salt: str = "") -> str:
        async def send(replica: Replica) -> Completion:
            if begins:
                replica.first_token()
                replica.first_token()
            await asyncio.sleep(10.0)
            return Completion(text=replica.replica_id)

        request = Request(messages=(Message("user", "?" * 640),))
        try:
            return (
                await program.complete(request, send, pool=self.pool, salt=salt)
            ).completion.text
        finally:
            program.end()

    @property
    def events(self) -> list[SchedulerEvent]:
        return [entry.event for entry in self.log]


def test_a_call_waits_for_the_first_replica_to_join() -> None:
    world = World()

    async def main() -> str:
        asked = asyncio.ensure_future(world.ask(world.fleet.program("p", "")))
        await asyncio.sleep(4.0)
        await world.join("a")
        return await asked

    assert world.run(main) == "a"
    assert world.clock.now() == 14.0


def test_calls_wait_only_so_long_while_no_replica_is_up() -> None:
    world = World()

    async def main() -> None:
        with pytest.raises(BackendUnavailable, match="has been up for 5 s"):
            await world.ask(world.fleet.program("p", ""))
        await world.join("a")
        first = asyncio.ensure_future(world.ask(world.fleet.program("q", ""), begins=False))
        second = asyncio.ensure_future(world.ask(world.fleet.program("r", "")))
        await asyncio.sleep(9.0)
        world.pool.leave("a")
        for asked in (first, second):
            with pytest.raises(BackendUnavailable):
                await asked

    world.run(main)
    assert world.clock.now() == 5.0 + 9.0 + 5.0


def test_waiting_begins_anew_where_a_replica_was_there_for_a_moment() -> None:
    world = World()

    async def main() -> None:
        asked = asyncio.ensure_future(world.ask(world.fleet.program("p", ""), begins=False))
        await asyncio.sleep(4.0)
        await world.join("a")
        world.pool.leave("a")
        with pytest.raises(BackendUnavailable):
            await asked

    world.run(main)
    assert world.clock.now() == 9.0


def test_an_answer_that_has_begun_is_let_go_on_where_its_replica_leaves() -> None:
    world = World()

    async def main() -> list[str]:
        await world.join("a")
        async with asyncio.TaskGroup() as tasks:
            begun = tasks.create_task(world.ask(world.fleet.program("p", "")))
            waits = tasks.create_task(world.ask(world.fleet.program("q", "")))
            await asyncio.sleep(4.0)
            world.pool.leave("a")
            await world.join("b")
        return [begun.result(), waits.result()]

    assert world.run(main) == ["a", "b"]
    assert world.clock.now() == 14.0
    told = [e for e in world.events if isinstance(e, FirstToken | CallCancelled | CallFinished)]
    assert [type(e).__name__ for e in told] == [
        "FirstToken",
        "CallCancelled",
        "FirstToken",
        "CallFinished",
    ]


@pytest.mark.parametrize("how", ["ended", "cancelled"])
def test_such_an_answer_is_broken_off_with_its_program_or_its_task(how: str) -> None:
    world = World()

    async def main() -> None:
        await world.join("a")
        program = world.fleet.program("p", "")
        asked = asyncio.ensure_future(world.ask(program))
        await asyncio.sleep(4.0)
        world.pool.leave("a")
        if how == "ended":
            program.end()
        else:
            asked.cancel()
        with pytest.raises(RunCancelled if how == "ended" else asyncio.CancelledError):
            await asked

    world.run(main)
    assert world.clock.now() == 4.0


def test_prompts_of_different_salts_share_nothing() -> None:
    world = World()

    async def main() -> None:
        await world.join("a")
        for salt in ("", "n", "n"):
            await world.ask(world.fleet.program("p", ""), salt=salt)

    world.run(main)
    plain, salted, again = [e.context for e in world.events if isinstance(e, CallFinished)]
    assert plain[0].first != salted[0].first == again[0].first


def test_a_program_that_ends_at_the_moment_its_call_gives_up_is_told_of_its_end() -> None:
    world = World()
    broken: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: broken.append(context))
        program = world.fleet.program("p", "")
        loop.call_later(5.0, program.end)
        with pytest.raises(RunCancelled):
            await world.ask(program)

    world.run(main)
    assert broken == []
