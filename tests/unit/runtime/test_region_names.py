"""Nodes and outer values of one name, on the two sides of a branch."""

from __future__ import annotations

from typing import Any

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.control import branch
from agentrt.dsl.decorators import tool, workflow
from agentrt.runtime import RunResult, Runtime


@tool(effects="none", retries=0)
async def check(number: int) -> int:
    if number > 5:
        raise ValueError("too large")
    return number


@tool(effects="none")
async def is_small(number: int) -> bool:
    return number < 5


@tool(effects="none")
async def plus(left: int, right: int) -> int:
    return left + right


def result_of(call: Any) -> RunResult[Any]:
    clock = VirtualClock()

    async def main() -> RunResult[Any]:
        async with Runtime(ScriptedBackend(), clock=clock, on_error="collect") as runtime:
            return await runtime.start(call).wait()

    return clock.run(main())


def test_a_failing_step_has_not_the_value_of_its_namesake_on_the_other_side() -> None:
    @workflow
    def sided(number: int) -> list[int]:
        outside = check(number)
        return [branch(is_small(outside), lambda: check(7), lambda: plus(outside, 1))]

    result = result_of(sided.bind(1))
    assert list(result.errors) == ["branch.then.check", "branch"]
    assert result.output == [None]
    assert result_of(sided.bind(5)).output == [6]


def test_a_side_may_return_an_outer_value_whose_name_it_has_given_to_a_node() -> None:
    @workflow
    def sided(number: int) -> int:
        outside = check(number)

        def then() -> int:
            check(0)
            return outside

        return branch(is_small(outside), then, lambda: plus(outside, 1))

    assert result_of(sided.bind(1)).output == 1
    assert result_of(sided.bind(5)).output == 6
