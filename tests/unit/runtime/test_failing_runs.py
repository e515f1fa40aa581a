"""What a failing, cancelled or late node does to its run, and what is left of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.control import branch, loop
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.errors import (
    InputError,
    LimitExceeded,
    OutputError,
    RequestRejected,
    RunCancelled,
    RunError,
    ToolError,
)
from agentrt.ir.event import Event, NodeFinished, NodeSkipped, RunFinished
from agentrt.ir.prompt import Prompt
from agentrt.runtime import Run, RunResult, Runtime
from agentrt.store.memory import MemoryStore

InFlight = Callable[[], int]
_under_way = 0


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Any:
    """Every tool here counts itself in and out."""
    yield
    assert _under_way == 0


class Counted:
    def __enter__(self) -> None:
        global _under_way  # noqa: PLW0603  what the fixture above looks at
        _under_way += 1

    def __exit__(self, *_: object) -> None:
        global _under_way  # noqa: PLW0603  likewise
        _under_way -= 1


@tool(effects="read", retries=0)
async def after(seconds: float) -> float:
    with Counted():
        await asyncio.sleep(seconds)
        return seconds


@tool(effects="read", retries=0)
async def fails_after(seconds: float) -> float:
    with Counted():
        await asyncio.sleep(seconds)
        raise ValueError(f"failed after {seconds:g}")


@tool(effects="read", retries=0)
async def is_odd_or_fails(number: int) -> int:
    with Counted():
        await asyncio.sleep(number)
        if number % 2 == 0:
            raise ValueError(f"{number} is even")
        return number


@tool(effects="none")
async def plus(left: float, right: float) -> float:
    return left + right


@tool(effects="none")
async def length(numbers: list[int]) -> int:
    return len(numbers)


@tool(effects="none")
async def double(number: int) -> int:
    return 2 * number


def drive(main: Callable[[VirtualClock], Coroutine[Any, Any, Any]]) -> Any:
    clock = VirtualClock()
    return clock.run(main(clock))


def result_of(call: Any, **options: Any) -> RunResult[Any]:
    async def main(clock: VirtualClock) -> RunResult[Any]:
        async with Runtime(ScriptedBackend(), clock=clock, **options) as runtime:
            result = await runtime.start(call).wait()
            assert len(asyncio.all_tasks()) == 1
            return result

    found: RunResult[Any] = drive(main)
    return found


def statuses(result: RunResult[Any]) -> dict[str, str]:
    return {node.node_id: node.status for node in result.nodes}


# -- fail ------------------------------------------------------------------------------------


@workflow
def two_ways(seconds: float) -> float:
    return plus(plus(fails_after(seconds), 1.0), after(100.0))


def test_a_failure_stops_the_run_at_once() -> None:
    result = result_of(two_ways.bind(3.0))
    assert result.status == "failed"
    assert result.duration_s == 3.0
    assert statuses(result) == {
        "fails_after": "failed",
        "plus": "cancelled",
        "after": "cancelled",
        "plus_2": "cancelled",
    }
    assert isinstance(result.error, ToolError)
    assert str(result.error) == "tool 'fails_after' raised ValueError: failed after 3"
    assert (result.error.run_id, result.error.node_id) == (result.run_id, "fails_after")
    assert isinstance(result.error.__cause__, ValueError)


def test_run_raises_what_ended_it() -> None:
    with pytest.raises(ToolError, match="failed after 3"):
        Runtime(ScriptedBackend(), clock=VirtualClock()).run_sync(two_ways, 3.0)


def test_two_failures_at_one_moment_are_told_as_the_first() -> None:
    @workflow
    def both() -> float:
        return plus(fails_after(1.0), fails_after(1.0))

    result = result_of(both.bind())
    assert list(result.errors) == ["fails_after"]


def test_a_projection_that_does_not_exist_fails_its_reader_and_not_the_runtime() -> None:
    @tool(effects="none")
    async def none() -> list[int]:
        return []

    @workflow
    def broken() -> int:
        return double(none()[3])

    result = result_of(broken.bind())
    assert result.status == "failed"
    assert list(result.errors) == ["double"]
    assert "IndexError" in str(result.error)


def test_a_projection_in_the_output_that_does_not_exist_fails_the_run() -> None:
    @tool(effects="none")
    async def none() -> list[int]:
        return []

    @workflow
    def broken() -> int:
        return none()[3]

    result = result_of(broken.bind())
    assert result.status == "failed"
    assert isinstance(result.error, RunError)


def test_a_projection_between_two_maps_that_does_not_exist_fails_its_item() -> None:
    @tool(effects="none")
    async def shrinking(number: int) -> list[int]:
        return [number] * number

    @workflow
    def second(number: int) -> int:
        return shrinking(number)[1]

    @workflow
    def broken(numbers: list[int]) -> list[int]:
        return double.map(second.map(numbers))

    result = result_of(broken.bind([2, 1, 3]), on_error="collect")
    assert result.status == "partial"
    assert result.output == [4, None, 6]


# -- collect ---------------------------------------------------------------------------------


def test_collecting_gives_what_there_is_of_a_list() -> None:
    @workflow
    def odd(numbers: list[int]) -> list[int]:
        return is_odd_or_fails.map(numbers)

    result = result_of(odd.bind([1, 2, 3, 4]), on_error="collect")
    assert result.status == "partial"
    assert result.output == [1, None, 3, None]
    assert list(result.errors) == [
        "is_odd_or_fails[1]",
        "is_odd_or_fails[3]",
        "is_odd_or_fails",
    ]
    assert str(result.error) == "tool 'is_odd_or_fails' raised ValueError: 2 is even"


def test_run_returns_what_there_is_when_collecting() -> None:
    @workflow
    def odd(numbers: list[int]) -> list[int]:
        return double.map(is_odd_or_fails.map(numbers))

    runtime = Runtime(ScriptedBackend(), clock=VirtualClock(), on_error="collect")
    assert runtime.run_sync(odd, [1, 2, 3]) == [2, None, 6]


def test_collecting_skips_what_reads_a_failed_list_and_says_why() -> None:
    events: list[Event] = []

    @workflow
    def counted(numbers: list[int]) -> dict[str, int]:
        return {"count": length(is_odd_or_fails.map(numbers)), "other": double(7)}

    result = result_of(counted.bind([1, 2]), on_error="collect", on_event=events.append)
    assert result.output == {"count": None, "other": 14}
    assert statuses(result)["length"] == "skipped"
    told = [(e.node_id, e.because) for e in events if isinstance(e, NodeSkipped)]
    assert told == [("length", "is_odd_or_fails")]


def test_collecting_goes_on_with_independent_branches_and_loops() -> None:
    @tool(effects="none")
    async def is_big(number: float) -> bool:
        return number > 2

    @workflow
    def several() -> list[float]:
        return [
            fails_after(1.0),
            branch(is_big(3.0), lambda: plus(after(1.0), 1.0), lambda: after(9.0)),
            branch(is_big(3.0), lambda: fails_after(1.0), lambda: after(9.0)),
            loop(lambda s: plus(s, after(1.0)), 0.0, until=is_big, max_steps=5),
            loop(lambda s: plus(s, fails_after(1.0)), 0.0, until=is_big, max_steps=5),
        ]

    result = result_of(several.bind(), on_error="collect")
    assert result.output == [None, 2.0, None, 3.0, None]
    assert result.duration_s == 3.0
    assert sorted(result.errors) == [
        "branch_2",
        "branch_2.then.fails_after",
        "fails_after",
        "loop_2",
        "loop_2[0].step.fails_after",
    ]


def test_a_loop_that_never_ends_is_a_limit_exceeded() -> None:
    @tool(effects="none")
    async def never(number: int) -> bool:
        return False

    @workflow
    def endless() -> int:
        return loop(double, 1, until=never, max_steps=4)

    result = result_of(endless.bind())
    assert isinstance(result.error, LimitExceeded)
    assert result.error.limit == "max_steps"


@workflow
def two_maps(lists: dict[str, list[int]], numbers: list[int]) -> tuple[list[int], list[int]]:
    return double.map(lists["missing"]), double.map(numbers)


@workflow
def a_side_and_a_map(is_first: bool, lists: dict[str, int], numbers: list[int]) -> Any:
    side = branch(is_first, lambda: lists["missing"], lambda: lists["other"])
    return [side, double.map(numbers)]


@pytest.mark.parametrize(
    "call",
    [two_maps.bind({}, [1, 2]), a_side_and_a_map.bind(True, {}, [])],
    ids=["starts", "advances"],
)
def test_what_fails_at_once_stops_regions_that_are_next(call: Any) -> None:
    async def main(clock: VirtualClock) -> RunResult[Any]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            return await runtime.start(call).wait()

    result = drive(main)
    assert result.status == "failed"
    assert [node.status for node in result.nodes] == ["failed", "cancelled"]


def test_lists_of_different_length_fail_the_map_and_not_the_runtime() -> None:
    @workflow
    def pairs(left: list[float], right: list[float]) -> list[float]:
        return plus.map(left, right)

    result = result_of(pairs.bind([1.0, 2.0], [1.0]))
    assert result.status == "failed"
    assert str(result.error) == (
        "the lists of a map must be of one length: left has 2, right has 1"
    )


# -- cancelling ------------------------------------------------------------------------------


@workflow
def sleepers(seconds: list[float]) -> list[float]:
    return after.map(seconds)


def test_a_deadline_cancels_the_run() -> None:
    result = result_of(sleepers.bind([1.0, 10.0, 99.0]), deadline_s=5.0)
    assert result.status == "cancelled"
    assert result.duration_s == 5.0
    assert isinstance(result.error, RunCancelled)
    assert "deadline of 5 s" in str(result.error)


def test_a_run_that_ends_in_time_does_not_wait_for_its_deadline() -> None:
    result = result_of(sleepers.bind([1.0]), deadline_s=500.0)
    assert (result.status, result.duration_s) == ("finished", 1.0)


def test_cancelling_keeps_what_there_is() -> None:
    async def main(clock: VirtualClock) -> RunResult[Any]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            run = runtime.start(sleepers.bind([1.0, 10.0]))
            await clock.sleep(5.0)
            run.cancel("enough")
            run.cancel("again")
            assert not run.is_done
            return await run.wait()

    result = drive(main)
    assert result.status == "cancelled"
    assert result.duration_s == 5.0
    assert str(result.error) == f"run {result.run_id} was cancelled: enough"
    assert statuses(result) == {
        "after": "cancelled",
        "after[0]": "finished",
        "after[1]": "cancelled",
    }


def test_a_run_cancelled_before_it_began_runs_nothing() -> None:
    async def main(clock: VirtualClock) -> RunResult[Any]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            run = runtime.start(sleepers.bind([1.0]))
            run.cancel()
            return await run.wait()

    result = drive(main)
    assert (result.status, result.nodes, result.duration_s) == ("cancelled", (), 0.0)


def test_cancelling_after_the_end_changes_nothing() -> None:
    async def main(clock: VirtualClock) -> RunResult[Any]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            run = runtime.start(sleepers.bind([1.0]))
            await run.wait()
            run.cancel()
            return await run.wait()

    assert drive(main).status == "finished"


def test_cancelling_the_task_that_awaits_a_run_stops_the_run() -> None:
    store = MemoryStore()

    async def main(clock: VirtualClock) -> None:
        async with Runtime(ScriptedBackend(), clock=clock, store=store) as runtime:
            task = asyncio.create_task(runtime.run(sleepers, [99.0]))
            await clock.sleep(1.0)
            assert _under_way == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert _under_way == 0
            [summary] = await store.list_runs()
            assert summary.status == "cancelled"

    drive(main)


def test_giving_up_waiting_does_not_stop_the_run() -> None:
    async def main(clock: VirtualClock) -> list[float]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            run = runtime.start(sleepers.bind([9.0]))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await run.wait()
            return await run.result()

    assert drive(main) == [9.0]


def test_leaving_the_runtime_waits_for_its_runs() -> None:
    async def main(clock: VirtualClock) -> Run[list[float]]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            return runtime.start(sleepers.bind([9.0]))

    clock = VirtualClock()
    assert clock.run(main(clock)).is_done
    assert clock.now() == 9.0


def test_leaving_the_runtime_with_an_exception_stops_its_runs() -> None:
    async def main(clock: VirtualClock) -> None:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            runtime.start(sleepers.bind([99.0]))
            await clock.sleep(1.0)
            raise KeyError("mine")

    clock = VirtualClock()
    with pytest.raises(BaseException) as raised:  # noqa: PT011  its shape is the next assertion
        clock.run(main(clock))
    assert (
        raised.group_contains(KeyError)
        if isinstance(raised.value, BaseExceptionGroup)
        else isinstance(raised.value, KeyError)
    )
    assert clock.now() == 1.0


def test_a_tool_that_swallows_its_cancellation_changes_nothing_of_the_result() -> None:
    finished: list[Event] = []

    @tool(effects="read")
    async def stubborn() -> str:
        with Counted():
            try:
                await asyncio.sleep(50.0)
            except asyncio.CancelledError:
                await asyncio.sleep(2.0)
            return "late"

    @workflow
    def stuck() -> str:
        return stubborn()

    result = result_of(stuck.bind(), deadline_s=5.0, on_event=finished.append)
    assert (result.status, result.output) == ("cancelled", None)
    assert result.duration_s == 7.0
    assert not [event for event in finished if isinstance(event, NodeFinished)]


def test_a_tool_that_cancels_itself_fails_like_any_other() -> None:
    @tool(effects="read", retries=0)
    async def resigns() -> str:
        raise asyncio.CancelledError

    @workflow
    def resigned() -> list[str]:
        return [resigns()]

    result = result_of(resigned.bind(), on_error="collect")
    assert (result.status, result.output) == ("partial", [None])
    assert str(result.error) == "it cancelled itself"


def test_a_tool_that_cancels_its_own_task_cancels_nothing_else() -> None:
    @tool(effects="read", retries=0)
    async def resigns() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1.0)
        return "never"

    @workflow
    def resigned() -> list[str]:
        return [resigns()]

    result = result_of(resigned.bind(), on_error="collect")
    assert result.status == "partial"


def test_cancelling_stops_requests_at_the_backend() -> None:
    @llm
    def ask(question: str) -> Prompt[str]:
        return Prompt(question)

    @workflow
    def asked(questions: list[str]) -> list[str]:
        return ask.map(questions)

    ended: list[str] = []

    async def slow(text: str) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(text)
        return text

    async def main(clock: VirtualClock) -> RunResult[Any]:
        backend = ScriptedBackend(lambda r: slow(r.messages[-1].content), max_concurrency=2)
        async with Runtime(backend, clock=clock) as runtime:
            run = runtime.start(asked.bind(["a", "b", "c", "d"]))
            await clock.sleep(1.0)
            run.cancel()
            return await run.wait()

    result = drive(main)
    assert result.duration_s == 1.0
    assert sorted(ended) == ["a", "b"]  # two were waiting and were never sent


# -- observers -------------------------------------------------------------------------------


def test_an_observer_that_fails_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("observer")

    with caplog.at_level(logging.ERROR, "agentrt.runtime"):
        result = result_of(sleepers.bind([1.0]), on_event=broken)
    assert result.output == [1.0]
    assert "an observer" in caplog.text


def test_an_observer_may_cancel_the_run() -> None:
    async def main(clock: VirtualClock) -> RunResult[Any]:
        runs: list[Run[Any]] = []

        def stop(event: Event) -> None:
            if isinstance(event, NodeFinished):
                runs[0].cancel("seen enough")

        async with Runtime(ScriptedBackend(), clock=clock, on_event=stop) as runtime:
            runs.append(runtime.start(sleepers.bind([1.0, 2.0, 50.0])))
            return await runs[0].wait()

    result = drive(main)
    assert (result.status, result.duration_s) == ("cancelled", 1.0)


def test_events_of_a_run_end_with_its_end() -> None:
    async def main(clock: VirtualClock) -> list[Event]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            run = runtime.start(sleepers.bind([1.0, 2.0]))
            return [event async for event in run.events()]

    events = drive(main)
    assert [type(event).__name__ for event in events] == [
        "RunStarted",
        "NodeStarted",
        "NodeStarted",
        "NodeStarted",
        "NodeFinished",
        "NodeFinished",
        "NodeFinished",
        "RunFinished",
    ]
    assert isinstance(events[-1], RunFinished)


def test_events_of_a_run_that_is_over_are_none() -> None:
    async def main(clock: VirtualClock) -> list[Event]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            run = runtime.start(sleepers.bind([1.0]))
            await run.wait()
            return [event async for event in run.events()]

    assert drive(main) == []


def test_events_of_a_run_whose_id_is_taken_are_none() -> None:
    async def main(clock: VirtualClock) -> list[Event]:
        async with Runtime(ScriptedBackend(), clock=clock, store=MemoryStore()) as runtime:
            await runtime.start(sleepers.bind([1.0]), run_id="taken").wait()
            run = runtime.start(sleepers.bind([1.0]), run_id="taken")
            async with asyncio.timeout(60.0):
                return [event async for event in run.events()]

    assert drive(main) == []


# -- run_many --------------------------------------------------------------------------------


@workflow
def checked(number: int) -> int:
    return double(is_odd_or_fails(number))


def test_one_of_many_that_fails_leaves_the_others_alone() -> None:
    async def main(clock: VirtualClock) -> list[RunResult[int]]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            return await runtime.run_many(checked, [{"number": n} for n in (1, 2, 3)])

    clock = VirtualClock()
    results = clock.run(main(clock))
    assert [(each.status, each.output) for each in results] == [
        ("finished", 2),
        ("failed", None),
        ("finished", 6),
    ]
    assert clock.now() == 3.0


def test_many_run_as_many_at_once_as_is_said() -> None:
    async def main(clock: VirtualClock) -> list[RunResult[int]]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            inputs = [{"number": 1} for _ in range(6)]
            return await runtime.run_many(checked, inputs, concurrency=2)

    clock = VirtualClock()
    assert {each.status for each in clock.run(main(clock))} == {"finished"}
    assert clock.now() == 3.0


@pytest.mark.parametrize("wrong", [{"number": "x"}, {}, {"number": 1, "other": 2}])
def test_every_one_of_many_inputs_is_checked_before_anything_runs(wrong: dict[str, Any]) -> None:
    events: list[Event] = []

    async def main(clock: VirtualClock) -> None:
        async with Runtime(ScriptedBackend(), clock=clock, on_event=events.append) as runtime:
            await runtime.run_many(checked, [{"number": 1}, wrong])

    with pytest.raises(InputError) as raised:
        drive(main)
    assert raised.value.__notes__ == ["in input 1"]
    assert events == []


def test_no_inputs_give_no_results() -> None:
    async def main(clock: VirtualClock) -> list[RunResult[int]]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            return await runtime.run_many(checked, [])

    assert drive(main) == []


# -- models ----------------------------------------------------------------------------------


def test_a_backend_that_refuses_ends_the_run_with_its_own_error() -> None:
    @llm
    def ask() -> Prompt[str]:
        return Prompt("?")

    @workflow
    def asked() -> str:
        return ask()

    with pytest.raises(RequestRejected) as raised:
        Runtime(ScriptedBackend([]), clock=VirtualClock()).run_sync(asked)
    assert "in node 'ask' of run" in raised.value.__notes__[0]


def test_an_agent_that_fails_takes_its_readers_along() -> None:
    @agent(max_turns=3, output_retries=0)
    def guess() -> Prompt[int]:
        return Prompt("A number?")

    @workflow
    def guessed() -> list[int]:
        return [double(guess()), double(4)]

    async def main(clock: VirtualClock) -> RunResult[Any]:
        backend = ScriptedBackend("no number")
        async with Runtime(backend, clock=clock, on_error="collect") as runtime:
            return await runtime.start(guessed.bind()).wait()

    result = drive(main)
    assert result.output == [None, 8]
    assert isinstance(result.errors["guess"], OutputError)
