"""Where not all that is ready can go at once, what the most waits for goes first."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import llm, tool, workflow
from agentrt.errors import DefinitionError
from agentrt.ir.prompt import Prompt
from agentrt.runtime import RunResult, Runtime


@tool(effects="read", concurrency=1)
async def look(what: str) -> str:
    await asyncio.sleep(1.0)
    return what


@tool(effects="none")
async def think(what: str) -> str:
    await asyncio.sleep(10.0 if what == "long" else 0.0)
    return what


@llm
def ask(what: str) -> Prompt[str]:
    return Prompt(f"{what}?")


@workflow
def two_ways(what: str) -> list[str]:
    return [look("one"), look("two"), think(think(look("long"))), look(what)]


@workflow
def asked(what: str) -> list[str]:
    return [ask("one"), ask("two"), ask(ask(ask(ask("long")))), ask(what)]


def _ran(
    call: Any, *, runs: int = 1, without: Collection[str] = (), **options: Any
) -> list[RunResult[Any]]:
    clock = VirtualClock()

    async def main() -> list[RunResult[Any]]:
        results: list[RunResult[Any]] = []
        backend = options.get("backend") or ScriptedBackend("ok")
        async with Runtime(backend, clock=clock, without=without) as runtime:
            for _ in range(runs):
                results.append(await runtime.start(call).wait())  # noqa: PERF401  in turn
        return results

    return clock.run(main())


def test_a_tool_with_a_limit_is_called_first_for_the_longest_chain() -> None:
    (by_priority,) = _ran(two_ways.bind("three"))
    (as_written,) = _ran(two_ways.bind("three"), without=["priorities"])
    assert by_priority.output == as_written.output == ["one", "two", "long", "three"]
    assert (by_priority.duration_s, as_written.duration_s) == (21.0, 23.0)


def test_an_engine_with_one_slot_is_asked_first_for_the_longest_chain() -> None:
    def order(without: Collection[str]) -> list[str]:
        backend = ScriptedBackend(
            lambda request: request.messages[-1].content, latency_s=1.0, max_concurrency=1
        )
        _ran(asked.bind("three"), without=without, backend=backend)
        return [request.messages[-1].content for request in backend.requests]

    # A slot that is free is used: what goes on from an answer is ready only after the next is sent.
    assert order([]) == ["long?", "one?", "long??", "two?", "long???", "three?", "long????"]
    assert order(["priorities"]) == [
        "one?", "two?", "long?", "three?", "long??", "long???", "long????",
    ]  # fmt: skip


def test_durations_are_learned_from_run_to_run() -> None:
    @tool(effects="read", concurrency=1)
    async def gate(what: str) -> str:
        await asyncio.sleep(1.0)
        return what

    @tool(effects="none")
    async def quick(what: str) -> str:
        return what

    @tool(effects="none")
    async def slow(what: str) -> str:
        await asyncio.sleep(100.0)
        return what

    @workflow
    def unlike(what: str) -> list[str]:
        return [quick(quick(quick(gate("three steps")))), slow(gate(what))]

    first, second = _ran(unlike.bind("one step"), runs=2)
    assert first.output == second.output == ["three steps", "one step"]
    # By the number of steps first, by their seconds then.
    assert (first.duration_s, second.duration_s) == (102.0, 101.0)


def test_leaving_out_what_is_no_pass_is_the_authors_to_know() -> None:
    with pytest.raises(DefinitionError, match="no such pass: priority; there are: prune, "):
        _ran(asked.bind("x"), without=["priority"])
