"""Sizes at which a recursion overflows the stack and quadratic work shows as a timeout."""

from __future__ import annotations

from typing import Any

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.control import loop
from agentrt.dsl.decorators import agent, tool, workflow
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Request, ToolCall
from agentrt.runtime import RunResult, Runtime
from agentrt.store.memory import MemoryStore

pytestmark = pytest.mark.timeout(120)


@tool(effects="none", retries=0)
async def add(left: int, right: int) -> int:
    if right < 0:
        raise ValueError("negative")
    return left + right


@tool(effects="none")
async def is_large(number: int) -> bool:
    return number >= 3000


@tool(effects="none")
async def total(numbers: list[int]) -> int:
    return sum(numbers)


@workflow
def chain(start: int, step: int) -> int:
    value = start
    for _ in range(4000):
        value = add(value, step)
    return value


@workflow
def wide(numbers: list[int]) -> int:
    return total(add.map(add.map(numbers, right=1), right=1))


@workflow
def long_loop(start: int) -> int:
    return loop(lambda state: add(state, 1), start, until=is_large, max_steps=5000)


def result_of(call: Any, backend: ScriptedBackend | None = None, **options: Any) -> RunResult[Any]:
    clock = VirtualClock()

    async def main() -> RunResult[Any]:
        async with Runtime(backend or ScriptedBackend(), clock=clock, **options) as runtime:
            return await runtime.start(call, run_id="r1").wait()

    return clock.run(main())


def test_a_chain_of_4000_nodes_runs_and_is_resumed() -> None:
    store = MemoryStore()
    assert result_of(chain.bind(0, 1), store=store).output == 4000

    async def resumed() -> RunResult[int]:
        async with Runtime(ScriptedBackend(), store=store) as runtime:
            return await (await runtime.resume("r1", chain)).wait()

    result = VirtualClock().run(resumed())
    assert result.output == 4000
    assert all(node.is_restored for node in result.nodes)


def test_a_chain_of_4000_nodes_is_skipped_from_its_first() -> None:
    result = result_of(chain.bind(0, -1), on_error="collect")
    statuses = [node.status for node in result.nodes]
    assert (statuses[0], set(statuses[1:])) == ("failed", {"skipped"})


def test_a_map_over_a_map_of_10_000_items() -> None:
    result = result_of(wide.bind(list(range(10_000))))
    assert result.output == sum(range(10_000)) + 20_000
    assert len(result.nodes) == 20_003


def test_a_map_of_10_000_items_of_which_each_fails() -> None:
    @workflow
    def failing(numbers: list[int]) -> list[int]:
        return add.map(numbers, right=-1)

    result = result_of(failing.bind(list(range(10_000))), on_error="collect")
    assert result.output == [None] * 10_000
    assert len(result.errors) == 10_001


def test_a_loop_of_3000_steps() -> None:
    assert result_of(long_loop.bind(0)).output == 3000


def test_an_agent_of_500_turns() -> None:
    @agent(tools=[add], max_turns=600)
    def count() -> Prompt[str]:
        return Prompt("?")

    @workflow
    def counted() -> str:
        return count()

    def script(request: Request) -> Completion | str:
        turns = sum(message.role == "assistant" for message in request.messages)
        call = ToolCall(f"c{turns}", "add", '{"left": 1, "right": 1}')
        return "done" if turns == 500 else Completion(tool_calls=(call,))

    result = result_of(counted.bind(), ScriptedBackend(script))
    assert result.output == "done"
    assert len(result.nodes) == 1 + 501 + 500
