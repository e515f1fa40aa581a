"""Equal calls at one time are made once, on request; what comes of it comes to all who asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.compiler.passes.single_flight import SingleFlight as Pass
from agentrt.compiler.pipeline import compile_graph
from agentrt.dsl.decorators import tool, workflow
from agentrt.errors import ToolError
from agentrt.ir.event import Event
from agentrt.ir.tool import Effects
from agentrt.runtime import RunResult, Runtime
from agentrt.runtime.attempts import Attempts
from agentrt.runtime.single_flight import SingleFlight

QUIET: Any = {
    "copied": lambda value: value,
    "told": (lambda _: None, lambda *_: None),
}


def _workflow(
    log: list[str], *, single_flight: bool = True, effects: Effects = "read", fails: bool = False
) -> Any:
    @tool(effects=effects, single_flight=single_flight, retries=0)
    async def fetch(url: str) -> list[str]:
        log.append(url)
        await asyncio.sleep(1.0)
        if fails:
            raise ValueError("404")
        return [url]

    @workflow
    def page(url: str) -> list[str]:
        return fetch(url)

    return page


def _together(
    page: Any, *urls: Any, after: Callable[[list[Any]], Any] | None = None, **options: Any
) -> list[RunResult[Any]]:
    clock = VirtualClock()

    async def main() -> list[RunResult[Any]]:
        async with Runtime(ScriptedBackend(), clock=clock, **options) as runtime:
            runs = [runtime.start(page.bind(url)) for url in urls]
            await clock.sleep(0.5)
            if after is not None:
                after(runs)
            results = [await run.wait() for run in runs]
            assert len(asyncio.all_tasks()) == 1
            return results

    return clock.run(main())


def test_runs_that_ask_for_the_same_at_one_time_share_a_call() -> None:
    log: list[str] = []
    results = _together(_workflow(log), "a", "a", "b", "a")
    assert log == ["a", "b"]
    assert [result.output for result in results] == [["a"], ["a"], ["b"], ["a"]]
    # Nobody can change what another has.
    assert len({id(result.output) for result in results}) == 4


def test_only_tools_that_ask_for_it_share_unless_the_runtime_says_all() -> None:
    log: list[str] = []
    _together(_workflow(log, single_flight=False), "a", "a")
    assert log == ["a", "a"]
    _together(_workflow(log, single_flight=False), "b", "b", single_flight=True)
    assert log == ["a", "a", "b"]
    _together(_workflow(log), "c", "c", without=["single-flight"])
    assert log == ["a", "a", "b", "c", "c"]


def test_writes_are_never_shared() -> None:
    log: list[str] = []
    _together(_workflow(log, effects="write"), "a", "a", single_flight=True)
    assert log == ["a", "a"]


def test_an_error_is_everybodys_and_says_to_each_whose_it_is() -> None:
    log: list[str] = []
    results = _together(_workflow(log, fails=True), "a", "a")
    assert log == ["a"]
    errors = [result.error for result in results]
    assert [str(error) for error in errors] == ["tool 'fetch' raised ValueError: 404"] * 2
    assert [getattr(error, "run_id", "") for error in errors] == [r.run_id for r in results]
    assert errors[0] is not errors[1]


@pytest.mark.parametrize("leaver", [0, 1])
def test_one_who_leaves_takes_the_call_from_nobody(leaver: int) -> None:
    log: list[str] = []
    results = _together(_workflow(log), "a", "a", "a", after=lambda runs: runs[leaver].cancel())
    assert log == ["a"]
    statuses = ["finished"] * 3
    statuses[leaver] = "cancelled"
    assert [result.status for result in results] == statuses
    assert [result.duration_s for result in results if result.status == "finished"] == [1.0, 1.0]


@pytest.mark.parametrize("leaver", [0, 1])
def test_who_waits_is_told_of_every_attempt_and_who_has_left_of_none(leaver: int) -> None:
    made: list[str] = []
    events: list[Event] = []

    @tool(effects="read", single_flight=True, retries=2)
    async def fetch(url: str) -> str:
        made.append(url)
        await asyncio.sleep(1.0)
        if len(made) < 3:
            raise ValueError("503")
        return url

    @workflow
    def page(url: str) -> str:
        return fetch(url)

    results = _together(
        page, "a", "a", after=lambda runs: runs[leaver].cancel(), on_event=events.append
    )
    assert len(made) == 3
    (waiter,) = [result for result in results if result.status == "finished"]
    assert [node.attempts for node in waiter.nodes] == [3]
    told = [type(event).__name__ for event in events if event.run_id == waiter.run_id]
    assert told.count("NodeStarted") == 3
    assert told.count("AttemptFailed") == 2
    left = [type(event).__name__ for event in events if event.run_id == results[leaver].run_id]
    assert left[-1] == "RunFinished"


def test_who_comes_later_is_told_what_there_was_before() -> None:
    async def main() -> list[Any]:
        flights, told = SingleFlight(), list[Any]()

        async def slow(attempts: Attempts) -> None:
            attempts.on_attempt(1)
            await asyncio.sleep(1.0)
            attempts.on_retry(1, ValueError("503"), 1.0)
            await asyncio.sleep(1.0)
            attempts.on_attempt(2)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(flights.call("k", slow, **QUIET))
            await asyncio.sleep(1.5)
            listening: Any = {
                "told": (told.append, lambda attempt, *_: told.append(f"{attempt} failed"))
            }
            tasks.create_task(flights.call("k", slow, **(QUIET | listening)))
        return told

    assert VirtualClock().run(main()) == [1, "1 failed", 2]


def test_who_has_written_shares_no_call_that_began_before() -> None:
    world = {"x": "old"}

    @tool(effects="read", single_flight=True)
    async def look(at: str) -> str:
        seen = world[at]
        await asyncio.sleep(1.0)
        return seen

    @tool(effects="write")
    async def put(at: str) -> str:
        await asyncio.sleep(0.1)
        world[at] = "new"
        return at

    @workflow
    def reader(at: str) -> str:
        return look(at)

    @workflow
    def writer(at: str) -> str:
        return look(put(at))

    clock = VirtualClock()

    async def main() -> list[Any]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            runs = [runtime.start(reader.bind("x")), runtime.start(writer.bind("x"))]
            await clock.sleep(0.5)
            runs.append(runtime.start(reader.bind("x")))  # joins the newer one
            return [await run.wait() for run in runs]

    results = clock.run(main())
    assert [(result.output, round(result.duration_s, 1)) for result in results] == [
        ("old", 1.0),
        ("new", 1.1),
        ("new", 0.6),
    ]


def test_keys_in_another_order_are_another_argument() -> None:
    made: list[str] = []

    @tool(effects="none", single_flight=True)
    async def write(what: dict[str, int], how: str) -> str:
        made.append(how)
        await asyncio.sleep(1.0)
        return str(what)

    @workflow
    def written(what: dict[str, int]) -> list[str]:
        return [write(what, "short"), write(how="short", what=what)]

    results = _together(written, {"a": 1, "b": 2}, {"b": 2, "a": 1}, without=["dedupe"])
    assert [result.output for result in results] == [
        ["{'a': 1, 'b': 2}"] * 2,
        ["{'b': 2, 'a': 1}"] * 2,
    ]
    assert len(made) == 2


def test_the_call_ends_with_the_last_who_waits_for_it() -> None:
    async def main() -> tuple[list[str], int]:
        flights, log = SingleFlight(), list[str]()

        async def slow(_: Attempts) -> None:
            try:
                await asyncio.sleep(10.0)
            finally:
                log.append("ended")

        waiting = [asyncio.create_task(flights.call("k", slow, **QUIET)) for _ in range(2)]
        await asyncio.sleep(1.0)
        waiting[0].cancel()
        await asyncio.sleep(1.0)
        log.append("one left")
        waiting[1].cancel()
        await asyncio.wait(waiting)
        assert all(task.cancelled() for task in waiting)
        return log, len(flights)

    assert VirtualClock().run(main()) == (["one left", "ended"], 0)


def test_who_comes_after_the_end_calls_anew() -> None:
    async def main() -> list[int]:
        flights, calls = SingleFlight(), list[int]()

        async def once(_: Attempts) -> int:
            calls.append(len(calls))
            await asyncio.sleep(1.0)
            if len(calls) == 1:
                raise ToolError("no")
            return len(calls)

        with pytest.raises(ToolError, match="no"):
            await flights.call("k", once, **QUIET)
        calls.append(await flights.call("k", once, **QUIET))
        return calls

    assert VirtualClock().run(main()) == [0, 1, 2]


def test_the_summary_names_the_tools() -> None:
    graph = _workflow([]).trace().graph
    (report,) = compile_graph(graph, passes=(), node_passes=[Pass()]).passes
    assert report.summary == (
        "runs share equal calls of fetch that are under way; saves a call for each that waits: "
        "unknown until it has run"
    )
    quiet = _workflow([], single_flight=False).trace().graph
    (report,) = compile_graph(quiet, passes=(), node_passes=[Pass()]).passes
    assert (report.summary, report.has_changed) == ("no tool asks for it", False)
