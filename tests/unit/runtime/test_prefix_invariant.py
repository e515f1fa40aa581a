"""The invariant that every test is held to sees what it should see."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

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


def test_a_later_turn_that_left_messages_out_breaks_the_prefix() -> None:
    third = replace(TURN, node_id="fix[2].llm")
    assert _broken(NEXT, third) == 1
    assert _broken(NEXT, replace(third, messages=NEXT.messages)) == 1
    assert _broken(NEXT, TURN) == 0  # it is asked again


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


_FORGETS = """
import asyncio
import pytest
from agentrt.ir.request import Message, Request
from agentrt.testing import ScriptedBackend

def ask():
    backend = ScriptedBackend("ok")
    for turn in range(2):
        messages = (Message("user", str(turn)),) * (turn + 1)
        asked = Request(messages=messages, node_id=f"fix[{turn}].llm")
        asyncio.run(backend.complete(asked))

def test_unmarked():
    ask()

@pytest.mark.breaks_prefix("on purpose")
def test_marked():
    ask()

@pytest.mark.breaks_prefix
def test_without_a_reason():
    ask()
"""


def test_a_test_whose_agent_forgets_what_it_was_told_fails_unless_it_is_marked(
    tmp_path: Path,
) -> None:
    file = tmp_path / "test_forgets.py"
    file.write_text(_FORGETS, encoding="utf-8")
    words = ["-q", "-rA", "-p", "tests.prefix_invariant", "-p", "no:cacheprovider", "--noconftest"]
    done = subprocess.run(  # noqa: S603  our own words
        [sys.executable, "-m", "pytest", *words, "-c", os.devnull, "--rootdir", tmp_path, file],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    ended = {
        (word, line.rpartition("::")[2].partition(" ")[0])
        for line in done.stdout.splitlines()
        for word in ("PASSED", "ERROR", "FAILED")
        if line.startswith(f"{word} ")
    }
    # Each has passed by itself: it is the watch that makes an error of the first.
    assert ended == {
        ("PASSED", "test_unmarked"),
        ("ERROR", "test_unmarked"),
        ("PASSED", "test_marked"),
        ("ERROR", "test_without_a_reason"),
    }, done.stdout
    assert "prompts of an agent broke: fix[0].llm -> fix[1].llm: message 0" in done.stdout
