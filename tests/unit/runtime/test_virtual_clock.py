from __future__ import annotations

import asyncio
import threading
import time

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import SystemClock, VirtualClock
from agentrt.dsl.decorators import tool, workflow
from agentrt.errors import DefinitionError
from agentrt.ir.event import Event
from agentrt.runtime import Runtime


@pytest.mark.parametrize("start_s", [0.0, 5.1, 2.0**24, 1.8e9, 2.0**45])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 86_400.0, 365 * 86_400.0])
def test_waiting_takes_no_time_from_any_origin(start_s: float, seconds: float) -> None:
    clock = VirtualClock(start_s)
    clock.run(asyncio.sleep(seconds))
    assert clock.now() == clock.wall_time() == pytest.approx(start_s + seconds, abs=0.05)


def test_timers_fire_in_their_order_at_their_times() -> None:
    clock = VirtualClock()
    fired: list[tuple[str, float]] = []

    async def after(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        fired.append((name, clock.now()))

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("b too", 2.0)):
                tasks.create_task(after(name, seconds))

    clock.run(main())
    assert fired == [("a", 1.0), ("b", 2.0), ("b too", 2.0), ("c", 3.0)]


def test_of_two_timeouts_the_shorter_one_is_met() -> None:
    clock = VirtualClock()

    async def main() -> None:
        try:
            async with asyncio.timeout(100.0):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.sleep(50.0), 1.0)
                assert clock.now() == 1.0
                await asyncio.sleep(500.0)
        except TimeoutError:
            return
        pytest.fail("the longer one was not met")

    clock.run(main())
    assert clock.now() == 100.0


def test_a_thread_at_work_holds_time_still() -> None:
    release = threading.Event()

    @tool(effects="none")
    def in_a_thread() -> str:
        release.wait(30)
        return "done"

    @tool(effects="none")
    async def opens() -> str:
        release.set()
        return "opened"

    @tool(effects="none")
    async def sleeps() -> str:
        await asyncio.sleep(1000.0)
        return "slept"

    @workflow
    def both() -> list[str]:
        return [in_a_thread(), sleeps(), opens()]

    clock = VirtualClock()
    events: list[Event] = []
    runtime = Runtime(ScriptedBackend(), clock=clock, on_event=events.append)
    assert runtime.run_sync(both) == ["done", "slept", "opened"]
    assert not clock.is_held
    at = {e.node_id: e.at_s for e in events if type(e).__name__ == "NodeFinished"}  # type: ignore[union-attr]
    assert at == {"in_a_thread": 0.0, "opens": 0.0, "sleeps": 1000.0}


def test_time_moves_by_hand_but_never_backwards() -> None:
    clock = VirtualClock()
    clock.advance(2.5)
    assert clock.now() == 2.5
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1.0)


def test_a_clock_may_run_several_coroutines_one_after_the_other() -> None:
    clock = VirtualClock()
    clock.run(asyncio.sleep(1.0))
    clock.run(asyncio.sleep(1.0))
    assert clock.now() == 2.0


@workflow
def nothing() -> str:
    return "nothing"


def test_a_tool_in_a_thread_may_run_a_workflow_of_its_own() -> None:
    @tool(effects="none")
    def inner() -> str:
        return Runtime(ScriptedBackend(), clock=VirtualClock()).run_sync(nothing)

    @workflow
    def outer() -> str:
        return inner()

    assert Runtime(ScriptedBackend(), clock=VirtualClock()).run_sync(outer) == "nothing"


@pytest.mark.parametrize("clock", [VirtualClock(), SystemClock()])
async def test_run_sync_inside_an_event_loop_says_so(clock: VirtualClock | SystemClock) -> None:
    with pytest.raises(DefinitionError, match="event loop"):
        Runtime(ScriptedBackend(), clock=clock).run_sync(nothing)


def test_system_time_is_monotonic_and_wall_time_the_epochs() -> None:
    clock = SystemClock()
    before = clock.now()
    asyncio.run(clock.sleep(0.0))
    assert clock.now() >= before
    assert abs(clock.wall_time() - time.time_ns() / 1e9) < 60.0
