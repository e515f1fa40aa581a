"""What engines are told of the calls of a run: what is needed again, for how long, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from agentrt import agent, llm, tool, workflow
from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.workflow import Workflow
from agentrt.ir.hints import Hints
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Request, ToolCall
from agentrt.runtime import Runtime

RULES = "Answer from the passages only, and name the one that you have it from, by its number. " * 2
CALLED = Completion(tool_calls=(ToolCall("1", "search", '{"query": "x"}'),))


def _hints(
    run: Workflow[..., Any], *arguments: object, script: Callable[[Request], Any] | Any = "ok"
) -> dict[str, Hints]:
    backend = ScriptedBackend(script)
    clock = VirtualClock()

    async def main() -> None:
        async with Runtime(backend, clock=clock) as runtime:
            await runtime.run(run, *arguments)

    clock.run(main())
    return {request.node_id: request.hints for request in backend.requests}


@tool(effects="read")
async def search(query: str) -> str:
    """What is known of it."""
    await asyncio.sleep(5.0)
    return query


@agent(tools=[search], max_turns=4)
def find(question: str) -> Prompt[str]:
    return Prompt(question, system="You find things.")


@llm
def read(text: str) -> Prompt[str]:
    return Prompt(f"Read: {text}", system=RULES)


@llm
def check(text: str) -> Prompt[str]:
    return Prompt(f"Check: {text}", system=RULES)


@llm
def shorten(text: str) -> Prompt[str]:
    return Prompt(f"Shorten: {text}", system="Be brief.")


@workflow
def chain(text: str) -> str:
    return shorten(check(read(text)))


@workflow
def found(question: str) -> str:
    return find(question)


@workflow
def found_and_shortened(question: str) -> tuple[str, str]:
    return find(question), shorten(question)


@workflow
def each(texts: list[str]) -> list[str]:
    return read.map(texts)


def test_a_beginning_that_a_later_call_has_too_is_held_until_then() -> None:
    hints = _hints(chain, "a")["read"]
    assert (hints.hold_s, hints.is_last, hints.reused_tokens) == (60.0, False, len(RULES) // 4)


def test_a_context_that_nothing_goes_on_from_is_not_needed() -> None:
    hints = _hints(chain, "a")["check"]
    assert (hints.hold_s, hints.is_last, hints.reused_tokens) == (0.0, False, None)


def test_the_last_call_of_a_run_says_so() -> None:
    hints = _hints(chain, "a")["shorten"]
    assert (hints.hold_s, hints.is_last) == (0.0, True)


def test_a_call_beside_others_is_not_the_last_of_its_run() -> None:
    hints = _hints(found_and_shortened, "a")["shorten"]
    assert (hints.hold_s, hints.is_last) == (0.0, False)


def test_a_turn_that_may_call_a_tool_is_held_until_nine_in_ten_have_come_back() -> None:
    script = {"find[0].llm": CALLED, "find[1].llm": "here"}

    def answer(request: Request) -> Any:
        return script[request.node_id]

    first, second = _hints(found, "a", script=answer).values()
    assert first.hold_s is not None
    assert first.hold_s > 1.0
    assert (first.is_last, second.is_last) == (False, False)


def test_calls_that_begin_alike_at_the_same_time_give_nothing_up() -> None:
    hints = _hints(each, ["a", "b"])
    assert [(one.hold_s, one.is_last) for one in hints.values()] == [(None, False)] * 2


def test_all_calls_of_a_run_are_of_one_program_whose_id_says_nothing() -> None:
    hints = list(_hints(chain, "a").values())
    assert len({one.program_id for one in hints}) == 1
    assert len(hints[0].program_id) == 32
    assert {one.priority for one in hints} == {(1 << 30) - 1}


def test_a_program_in_free_python_is_held_between_its_calls() -> None:
    backend = ScriptedBackend("ok")

    async def main() -> None:
        async with Runtime(backend) as runtime, runtime.program("triage") as program:
            await program.client.chat.completions.create(
                model="", messages=[{"role": "user", "content": "hi"}]
            )

    asyncio.run(main())
    hints = backend.requests[0].hints
    assert hints.hold_s is not None
    assert hints.hold_s > 0.0
    assert not hints.is_last
