"""The invariant that every test is held to sees what it should see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentrt import Prompt, Runtime, agent, tool, workflow
from agentrt.ir.request import Completion, Message, Request, ToolCall
from agentrt.ir.tool import ToolSpec
from agentrt.testing import ScriptedBackend
from tests.prefix_invariant import PrefixWatch

BACKEND = ScriptedBackend("ok")
TURN = Request(
    messages=(Message("system", "s"), Message("user", "u")), program_id="p", node_id="fix[0].llm"
)
NEXT = replace(TURN, messages=(*TURN.messages, Message("assistant", "a")), node_id="fix[1].llm")


def _broken(*requests: Request) -> int:
    watch = PrefixWatch()
    for request in requests:
        watch.asked(BACKEND, request)
    return len(watch.broken)


def test_turns_that_grow_or_are_asked_again_break_nothing() -> None:
    assert _broken(TURN, NEXT, NEXT, TURN) == 0


def test_a_changed_message_or_tool_breaks_the_prefix() -> None:
    other = replace(NEXT, messages=(Message("system", "S"), *NEXT.messages[1:]))
    assert _broken(TURN, other) == 1
    assert _broken(TURN, replace(NEXT, tools=(ToolSpec(name="t"),))) == 1


def test_other_agents_programs_and_calls_have_nothing_to_do_with_it() -> None:
    other = replace(NEXT, messages=(Message("user", "x"),))
    assert _broken(TURN, replace(other, program_id="q"), replace(other, node_id="do[0].llm")) == 0
    assert _broken(replace(TURN, node_id="ask"), replace(other, node_id="ask")) == 0


@tool(effects="read")
def look() -> str:
    """Look."""
    return "seen"


@agent(tools=[look], output_retries=1)
def count(text: str) -> Prompt[int]:
    return Prompt(text)


@workflow
def counting(text: str) -> int:
    return count(text)


@pytest.mark.breaks_prefix("only to see that the mark is known: nothing breaks here")
def test_an_answer_that_is_asked_for_again_without_tools_still_extends_the_messages() -> None:
    call = Completion(tool_calls=(ToolCall("1", "look", "{}"),))
    backend = ScriptedBackend([call, "five", '{"answer": 5}'])
    assert Runtime(backend).run_sync(counting, "?") == 5
    watch = PrefixWatch()
    for request in backend.requests:
        watch.asked(backend, request)
    assert watch.broken == []
    assert [len(request.tools) for request in backend.requests] == [1, 1, 0]
