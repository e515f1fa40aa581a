"""A node starts the moment its inputs are there, whatever else is going on. Times are virtual."""

from __future__ import annotations

import asyncio
from typing import Any

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.control import branch
from agentrt.dsl.decorators import tool, workflow
from agentrt.runtime import RunResult, Runtime


@tool(effects="read")
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@tool(effects="read")
async def then_wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@tool(effects="none")
async def total(numbers: list[float]) -> float:
    return sum(numbers)


@tool(effects="none")
async def is_positive(number: float) -> bool:
    return number > 0


@workflow
def two_steps(seconds: float) -> float:
    return then_wait(wait(seconds))


def times(call: Any) -> tuple[RunResult[Any], dict[str, tuple[float | None, float | None]]]:
    clock = VirtualClock()

    async def main() -> RunResult[Any]:
        async with Runtime(ScriptedBackend(), clock=clock) as runtime:
            return await runtime.start(call).wait()

    result = clock.run(main())
    return result, {node.node_id: (node.started_s, node.finished_s) for node in result.nodes}


def test_two_hundred_siblings_and_a_slow_one_do_not_delay_a_ready_node() -> None:
    @workflow
    def crowd(short: list[float]) -> list[float]:
        return [total(wait.map(short)), then_wait(wait(1.0)), wait(1000.0)]

    result, at = times(crowd.bind([5.0] * 200))
    assert result.output == [1000.0, 1.0, 1000.0]
    assert at["then_wait"] == (1.0, 2.0)
    assert at["total"] == (5.0, 5.0)
    assert at["wait_3"] == (0.0, 1000.0)


def test_a_map_over_a_map_takes_each_item_as_it_finishes() -> None:
    @workflow
    def chained(seconds: list[float]) -> float:
        return total(then_wait.map(wait.map(seconds)))

    result, at = times(chained.bind([5.0, 1.0, 3.0]))
    assert result.output == 9.0
    assert [at[f"then_wait[{i}]"] for i in range(3)] == [(5.0, 10.0), (1.0, 2.0), (3.0, 6.0)]
    assert at["total"] == (10.0, 10.0)


def test_items_are_handed_through_any_number_of_maps_and_workflows() -> None:
    @workflow
    def chained(seconds: list[float]) -> list[float]:
        return wait.map(two_steps.map(then_wait.map(wait.map(seconds))))

    result, at = times(chained.bind([100.0, 1.0]))
    assert result.output == [100.0, 1.0]
    assert at["wait_2[1]"] == (4.0, 5.0)


def test_a_map_that_also_needs_the_whole_list_waits_for_it() -> None:
    @tool(effects="none")
    async def share(part: float, whole: list[float]) -> float:
        return part / sum(whole)

    @workflow
    def shares(seconds: list[float]) -> list[float]:
        waited = wait.map(seconds)
        return share.map(waited, whole=waited)

    result, at = times(shares.bind([1.0, 3.0]))
    assert result.output == [0.25, 0.75]
    assert at["share[0]"] == (3.0, 3.0)


def test_two_maps_that_are_zipped_hand_over_pairs() -> None:
    @tool(effects="none")
    async def both(left: float, right: float) -> float:
        return left + right

    @workflow
    def pairs(left: list[float], right: list[float]) -> list[float]:
        return both.map(wait.map(left), then_wait.map(right))

    result, at = times(pairs.bind([1.0, 9.0], [2.0, 3.0]))
    assert result.output == [3.0, 12.0]
    assert at["both[0]"] == (2.0, 2.0)
    assert at["both[1]"] == (9.0, 9.0)


def test_a_branch_starts_with_its_condition_and_not_with_its_siblings() -> None:
    @workflow
    def choose() -> list[float]:
        chosen = branch(is_positive(wait(1.0)), lambda: wait(2.0), lambda: wait(50.0))
        return [then_wait(chosen), wait(500.0)]

    _, at = times(choose.bind())
    assert at["branch.then.wait"] == (1.0, 3.0)
    assert at["then_wait"] == (3.0, 5.0)
