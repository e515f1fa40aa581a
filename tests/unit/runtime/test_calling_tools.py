"""Tools: timeouts, retries, threads, limits, and everything a tool may do wrong."""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import tool, workflow
from agentrt.errors import ToolError
from agentrt.ir.event import AttemptFailed, Event, NodeStarted
from agentrt.runtime import RunResult, Runtime
from agentrt.runtime.backoff import FIRST_S, LONGEST_S, backoff_s

_made: list[float] = []


@pytest.fixture(autouse=True)
def no_calls_yet() -> None:
    _made.clear()


def attempt() -> None:
    _made.append(asyncio.get_running_loop().time())


def result_of(made: Any, **options: Any) -> RunResult[Any]:
    """The result of a workflow of one tool without arguments."""

    @workflow
    def once() -> Any:
        return made()

    clock = VirtualClock()

    async def main() -> RunResult[Any]:
        async with Runtime(ScriptedBackend(), clock=clock, **options) as runtime:
            return await runtime.start(once.bind()).wait()

    return clock.run(main())


# -- timeouts --------------------------------------------------------------------------------


def test_an_attempt_that_takes_too_long_is_stopped() -> None:
    stopped: list[bool] = []

    @tool(effects="read", timeout_s=2.0, retries=0)
    async def slow() -> str:
        try:
            await asyncio.sleep(60.0)
        finally:
            stopped.append(True)
        return "late"

    result = result_of(slow)
    assert (result.status, result.duration_s, stopped) == ("failed", 2.0, [True])
    assert isinstance(result.error, ToolError)
    assert str(result.error) == "tool 'slow' did not finish within 2 s"
    assert not result.error.is_effect_unknown


def test_each_attempt_has_its_own_timeout() -> None:
    @tool(effects="read", timeout_s=2.0, retries=2)
    async def slow_twice() -> str:
        attempt()
        await asyncio.sleep(60.0 if len(_made) < 3 else 1.9)
        return "at last"

    assert result_of(slow_twice).output == "at last"
    assert len(_made) == 3


def test_a_timeout_of_a_call_that_writes_leaves_its_effect_unknown() -> None:
    @tool(effects="write", timeout_s=2.0)
    async def slow() -> str:
        attempt()
        await asyncio.sleep(60.0)
        return "late"

    result = result_of(slow)
    assert isinstance(result.error, ToolError)
    assert result.error.is_effect_unknown
    assert len(_made) == 1


def test_a_tool_that_answers_its_timeout_with_a_value_is_believed() -> None:
    @tool(effects="read", timeout_s=2.0, retries=0)
    async def insists() -> str:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            return "what I have"
        return "late"

    assert result_of(insists).output == "what I have"


async def test_a_thread_that_takes_too_long_is_given_up_on_and_waited_for_at_the_end() -> None:
    go_on, is_over = threading.Event(), threading.Event()

    @tool(effects="read", timeout_s=0.01, retries=0)
    def stuck() -> str:
        go_on.wait(30)
        is_over.set()
        return "late"

    @workflow
    def once() -> str:
        return stuck()

    async with Runtime(ScriptedBackend()) as runtime:
        result = await runtime.start(once.bind()).wait()
        assert result.status == "failed"
        assert "did not finish within 0.01 s" in str(result.error)
        assert not is_over.is_set()
        go_on.set()
    assert is_over.is_set()


# -- retries ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "attempts"),
    [
        ({"effects": "none", "retries": 3}, 4),
        ({"effects": "read", "retries": 3}, 4),
        ({"effects": "read", "retries": 0}, 1),
        ({"effects": "write", "retries": 3}, 1),
        ({"effects": "write", "retries": 3, "is_idempotent": True}, 4),
    ],
)
def test_calls_are_repeated_only_where_that_is_harmless(
    options: dict[str, Any], attempts: int
) -> None:
    @tool(**options)
    async def fails() -> str:
        attempt()
        raise OSError("down")

    events: list[Event] = []
    result = result_of(fails, on_event=events.append)
    assert len(_made) == attempts
    told = "tool 'fails' raised OSError: down"
    assert str(result.error) == (told if attempts == 1 else f"{told} (attempt {attempts})")
    assert isinstance(result.error, ToolError)
    assert isinstance(result.error.__cause__, OSError)
    [node] = result.nodes
    assert node.attempts == attempts
    starts = [event.attempt for event in events if isinstance(event, NodeStarted)]
    assert starts == list(range(1, attempts + 1))
    failures = [event for event in events if isinstance(event, AttemptFailed)]
    assert [event.attempt for event in failures] == starts[:-1]
    waits = [after - before for before, after in pairwise(_made)]
    assert waits == pytest.approx([event.retry_in_s for event in failures])


def test_the_same_seed_waits_the_same_between_attempts() -> None:
    @tool(effects="read", retries=8)
    async def fails() -> str:
        attempt()
        raise OSError("down")

    told: list[list[float]] = []
    for seed in (1, 1, 2):
        result_of(fails, seed=seed)
        told.append(list(_made))
        _made.clear()
    assert told[0] == told[1] != told[2]


def test_waits_grow_to_a_bound_and_are_jittered_over_all_of_it() -> None:
    for number in (1, 2, 5, 8, 100, 10**9):
        bound = min(LONGEST_S, FIRST_S * 2 ** min(number - 1, 16))
        waits = [backoff_s(number, random.Random(seed)) for seed in range(500)]
        assert all(0.0 <= wait <= bound for wait in waits)
        assert min(waits) < bound * 0.05
        assert max(waits) > bound * 0.95


def test_a_wrong_result_is_not_asked_for_again() -> None:
    @tool(effects="none", retries=5)
    async def lies() -> int:
        attempt()
        return "seven"  # type: ignore[return-value]  # on purpose

    result = result_of(lies)
    assert len(_made) == 1
    assert str(result.error).startswith("tool 'lies' returned the wrong type: ")
    assert isinstance(result.error, ToolError)
    assert not result.error.retryable


# -- what tools raise ------------------------------------------------------------------------


class Odd(BaseException):
    """Neither an Exception nor one that asyncio treats as special."""


def raiser(error: BaseException, *, is_async: bool) -> Callable[..., Any]:
    @tool(effects="read", retries=0, name="raises")
    async def raises_later() -> list[str]:
        await asyncio.sleep(0)
        raise error

    @tool(effects="read", retries=0, name="raises")
    def raises() -> list[str]:
        raise error

    return raises_later if is_async else raises


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StopIteration("x"), "StopIteration"),
        (StopAsyncIteration("x"), "StopAsyncIteration"),
        (asyncio.CancelledError(), "cancelled itself"),
        (TimeoutError(), "TimeoutError"),
        (RecursionError("deep"), "RecursionError: deep"),
        (ExceptionGroup("several", [ValueError("a"), KeyError("b")]), "several (2 sub-exceptions)"),
        (SystemExit(3), "SystemExit: 3"),
        (Odd("odd"), "Odd: odd"),
    ],
)
def test_whatever_a_tool_raises_is_its_nodes_failure(
    error: BaseException, told: str, is_async: bool
) -> None:
    result = result_of(raiser(error, is_async=is_async), on_error="collect")
    assert (result.status, result.output) == ("partial", None)
    assert told in str(result.error)


@pytest.mark.parametrize("error", [GeneratorExit(), KeyboardInterrupt()])
def test_what_means_something_else_to_the_event_loop_is_a_failure_in_a_thread(
    error: BaseException,
) -> None:
    result = result_of(raiser(error, is_async=False), on_error="collect")
    assert type(error).__name__ in str(result.error)


def test_an_exception_that_cannot_be_shown_is_still_a_failure() -> None:
    class Mute(Exception):  # noqa: N818  it has no words at all
        def __str__(self) -> str:
            raise RuntimeError("no words")

    result = result_of(raiser(Mute(), is_async=True), on_error="collect")
    assert result.status == "partial"


# -- threads ---------------------------------------------------------------------------------


def test_context_variables_reach_a_synchronous_tool() -> None:
    place = contextvars.ContextVar("place", default="nowhere")

    @tool(effects="none")
    def where() -> str:
        found = place.get()
        place.set("changed inside")
        return found

    @workflow
    def once() -> list[str]:
        return [where(), where()]

    clock = VirtualClock()

    async def main() -> list[str]:
        place.set("here")
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            return await runtime.run(once)

    assert clock.run(main()) == ["here", "here"]


async def test_synchronous_tools_overlap_up_to_the_limit() -> None:
    barrier = threading.Barrier(3, timeout=30)  # breaks unless three are there at once
    at_work: list[int] = []
    most: list[int] = []

    @tool(effects="none", retries=0)
    def meet(number: int) -> int:
        at_work.append(number)
        most.append(len(at_work))
        barrier.wait()
        at_work.remove(number)
        barrier.wait()
        return number

    @workflow
    def all_meet(numbers: list[int]) -> list[int]:
        return meet.map(numbers)

    async with Runtime(ScriptedBackend(), max_threads=3) as runtime:
        assert await runtime.run(all_meet, [0, 1, 2, 3, 4, 5]) == [0, 1, 2, 3, 4, 5]
    assert max(most) == 3


async def test_a_cancelled_run_waits_for_its_threads() -> None:
    has_begun, go_on, is_over = threading.Event(), threading.Event(), threading.Event()

    @tool(effects="write")
    def stuck() -> str:
        has_begun.set()
        go_on.wait(30)
        is_over.set()
        return "late"

    @workflow
    def once() -> str:
        return stuck()

    async with Runtime(ScriptedBackend()) as runtime:
        run = runtime.start(once.bind())
        await asyncio.to_thread(has_begun.wait, 30)
        run.cancel()
        await asyncio.sleep(0.01)
        assert not run.is_done
        go_on.set()
        assert (await run.wait()).status == "cancelled"
        assert is_over.is_set()


def test_a_machine_without_a_thread_left_fails_the_call_and_no_later_one() -> None:
    @tool(effects="none", retries=0)
    def work() -> str:
        return "done"

    @workflow
    def once() -> str:
        return work()

    clock = VirtualClock()

    async def main() -> tuple[RunResult[str], RunResult[str]]:
        async with Runtime(ScriptedBackend(), clock=clock, max_threads=1) as runtime:
            usual = threading.stack_size(1 << 46)  # more than there is: no thread can start
            try:
                failed = await runtime.start(once.bind()).wait()
            finally:
                threading.stack_size(usual)
            return failed, await runtime.start(once.bind()).wait()

    failed, later = clock.run(main())
    assert "can't start new thread" in str(failed.error)
    assert later.output == "done"
    assert not clock.is_held


# -- limits ----------------------------------------------------------------------------------


def test_a_tools_limit_holds_over_all_runs() -> None:
    at_once: list[int] = []
    open_calls: set[object] = set()

    @tool(effects="read", concurrency=3)
    async def narrow(number: int) -> int:
        mark = object()
        open_calls.add(mark)
        at_once.append(len(open_calls))
        await asyncio.sleep(1.0)
        open_calls.remove(mark)
        return number

    @workflow
    def through(numbers: list[int]) -> list[int]:
        return narrow.map(numbers)

    clock = VirtualClock()

    async def main() -> list[list[int]]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            results = await runtime.run_many(through, [{"numbers": [1, 2, 3, 4]}] * 3)
            return [result.output for result in results]

    assert clock.run(main()) == [[1, 2, 3, 4]] * 3
    assert max(at_once) == 3
    assert clock.now() == 4.0


def test_two_tools_of_one_name_have_each_their_own_limit() -> None:
    @tool(effects="read", concurrency=1, name="search")
    async def narrow(number: int) -> str:
        await asyncio.sleep(1.0)
        return "narrow"

    @tool(effects="read", concurrency=10, name="search")
    async def wide(number: int) -> str:
        await asyncio.sleep(1.0)
        return "wide"

    @workflow
    def narrowly() -> list[str]:
        return [narrow(1), narrow(2)]

    @workflow
    def widely() -> list[str]:
        return [wide(number) for number in range(10)]

    clock = VirtualClock()

    async def main() -> tuple[float, float]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            runs = [runtime.start(narrowly.bind()), runtime.start(widely.bind())]
            results = [await run.wait() for run in runs]
            return results[0].duration_s, results[1].duration_s

    assert clock.run(main()) == (2.0, 1.0)


def test_waiting_for_a_turn_is_not_part_of_the_timeout() -> None:
    @tool(effects="read", concurrency=1, timeout_s=2.0, retries=0)
    async def one_by_one(number: int) -> int:
        await asyncio.sleep(1.5)
        return number

    @workflow
    def queue(numbers: list[int]) -> list[int]:
        return one_by_one.map(numbers)

    assert Runtime(ScriptedBackend(), clock=VirtualClock()).run_sync(queue, [1, 2, 3]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("value", "size"),
    [("x" * 101, 101), ("é" * 51, 102), (["x" * 99], 103), ({"a": "x" * 99}, 108)],
)
def test_a_result_over_the_limit_is_an_error_in_a_graph(value: Any, size: int) -> None:
    @tool(effects="none", max_output_bytes=100)
    async def talks() -> Any:
        return value

    result = result_of(talks)
    assert isinstance(result.error, ToolError)
    assert f"returned {size} bytes, more than its limit of 100" in str(result.error)
    assert not result.error.retryable


def test_a_result_at_the_limit_is_fine() -> None:
    @tool(effects="none", max_output_bytes=100)
    async def talks() -> str:
        return "é" * 50

    assert result_of(talks).output == "é" * 50


def test_a_value_that_no_store_could_keep_is_the_tools_failure() -> None:
    @tool(effects="none", retries=0)
    async def makes() -> Any:
        return {"it": object()}

    result = result_of(makes)
    assert result.status == "failed"
    assert isinstance(result.error, ToolError)
