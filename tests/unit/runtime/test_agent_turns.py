"""Agents: what a model may do wrong is told to the model, and what ends them says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from agentrt.backends.scripted import Script, ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import agent, tool, workflow
from agentrt.dsl.functions import ToolFunction
from agentrt.errors import BackendUnavailable, LimitExceeded, OutputError
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Message, Request, ToolCall, Usage
from agentrt.runtime import RunResult, Runtime

_log: list[tuple[str, float]] = []


@pytest.fixture(autouse=True)
def empty_log() -> None:
    _log.clear()


def now() -> float:
    return asyncio.get_running_loop().time()


@tool(effects="read", retries=0)
async def look(at: str, seconds: float = 1.0) -> str:
    """Look at something."""
    _log.append((f"look {at}", now()))
    await asyncio.sleep(seconds)
    _log.append((f"seen {at}", now()))
    return f"saw {at}"


@tool(effects="write")
async def put(what: str) -> str:
    """Put something down."""
    _log.append((f"put {what}", now()))
    await asyncio.sleep(1.0)
    _log.append((f"done {what}", now()))
    return f"put {what}"


@tool(effects="read", retries=0)
async def break_(why: str) -> str:
    raise OSError(why)


@tool(effects="none")
async def count(numbers: list[int], factor: int = 2) -> dict[str, int]:
    return {"sum": sum(numbers) * factor}


@tool(effects="none", max_output_bytes=20)
async def talk(words: int) -> str:
    return "wörd " * words


@tool(effects="none")
async def nest(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@tool(effects="none", timeout_s=2.0, retries=0)
async def hang() -> str:
    await asyncio.sleep(1000)
    return "never"


TOOLS: list[ToolFunction[..., Any]] = [look, put, break_, count, talk, nest, hang]


@agent(tools=TOOLS, max_turns=6)
def helper(question: str) -> Prompt[str]:
    return Prompt(question, system="Help.")


@workflow
def help_with(question: str) -> str:
    return helper(question)


class Plan(BaseModel):
    steps: list[str]
    is_done: bool


@agent(tools=[look], max_turns=9, output_retries=2)
def planner(question: str) -> Prompt[Plan]:
    return Prompt(question)


@workflow
def plan(question: str) -> Plan:
    return planner(question)


def calls(*wanted: tuple[str, Any]) -> Completion:
    return Completion(
        tool_calls=tuple(
            ToolCall(f"c{i}", name, given if isinstance(given, str) else json.dumps(given))
            for i, (name, given) in enumerate(wanted)
        ),
        finish_reason="tool_calls",
    )


def result_of(call: Any, script: Script, **options: Any) -> tuple[RunResult[Any], list[Request]]:
    backend = ScriptedBackend(script)
    clock = VirtualClock()

    async def main() -> RunResult[Any]:
        async with Runtime(backend, clock=clock, **options) as runtime:
            return await runtime.start(call).wait()

    return clock.run(main()), backend.requests


def observations(requests: Sequence[Request]) -> list[tuple[str | None, str]]:
    """(call id, what the model was told) of the last request."""
    return [(m.tool_call_id, m.content) for m in requests[-1].messages if m.role == "tool"]


# -- calls of one turn -----------------------------------------------------------------------


def test_a_turn_answers_each_call_under_its_id_and_in_its_order() -> None:
    turn = calls(
        ("look", {"at": "a", "seconds": 3.0}), ("count", {"numbers": [1, 2]}), ("look", {"at": "b"})
    )
    result, requests = result_of(help_with.bind("?"), [turn, "fine"])
    assert result.output == "fine"
    assert requests[1].messages == (
        Message("system", "Help."),
        Message("user", "?"),
        Message("assistant", "", turn.tool_calls),
        Message("tool", "saw a", tool_call_id="c0"),
        Message("tool", '{"sum": 6}', tool_call_id="c1"),
        Message("tool", "saw b", tool_call_id="c2"),
    )


def test_calls_that_only_read_overlap() -> None:
    turn = calls(("look", {"at": "a"}), ("look", {"at": "b"}), ("look", {"at": "c"}))
    result, _ = result_of(help_with.bind("?"), [turn, "fine"])
    assert result.duration_s == 1.0


def test_a_call_that_writes_is_alone_and_in_its_place() -> None:
    turn = calls(
        ("look", {"at": "a"}),
        ("look", {"at": "b", "seconds": 2.0}),
        ("put", {"what": "x"}),
        ("put", {"what": "y"}),
        ("look", {"at": "c"}),
        ("look", {"at": "d"}),
    )
    result_of(help_with.bind("?"), [turn, "fine"])
    assert _log == [
        ("look a", 0.0),
        ("look b", 0.0),
        ("seen a", 1.0),
        ("seen b", 2.0),
        ("put x", 2.0),
        ("done x", 3.0),
        ("put y", 3.0),
        ("done y", 4.0),
        ("look c", 4.0),
        ("look d", 4.0),
        ("seen c", 5.0),
        ("seen d", 5.0),
    ]


def test_a_turn_of_a_thousand_calls_is_answered() -> None:
    turn = calls(*(("look", {"at": str(i)}) for i in range(1000)))
    result, requests = result_of(help_with.bind("?"), [turn, "fine"])
    assert result.duration_s == 1.0
    assert [content for _, content in observations(requests)] == [f"saw {i}" for i in range(1000)]


# -- what a model does wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("look", "{", "error: "),
        ("look", '{"at": "a"} and more', "error: "),
        ("look", "[1]", "error: the arguments must be a JSON object, not a list"),
        ("look", "null", "error: the arguments must be a JSON object, not null"),
        ("look", "", "error: missing argument 'at'"),
        ("look", "{}", "error: missing argument 'at'"),
        ("look", '{"at": "a", "where": 1}', "error: unknown argument 'where'"),
        ("look", '{"at": ["a"]}', "error: argument 'at': "),
        ("look", '{"at": "a", "seconds": "soon"}', "error: argument 'seconds': "),
        ("count", '{"numbers": [1, "x", null]}', "error: argument 'numbers'"),
        ("look", "[" * 100_000, "error: "),
        ("look", "\ud800", "error: "),
        ("look", '{"at": NaN}', "error: "),
        ("no_such", "{}", "error: there is no tool 'no_such'; the tools are: break_, count, "),
        ("", "", "error: there is no tool ''"),
        ("break_", '{"why": "rain"}', "error: tool 'break_' raised OSError: rain"),
        ("hang", "", "error: tool 'hang' did not finish within 2 s"),
        ("nest", '{"depth": 100000}', "error: "),
        ("talk", '{"words": 9}', "wörd wörd wörd w"),
    ],
)
def test_what_a_model_does_wrong_is_told_to_it(name: str, arguments: str, told: str) -> None:
    result, requests = result_of(help_with.bind("?"), [calls((name, arguments)), "fine"])
    assert (result.status, result.output) == ("finished", "fine")
    [(call_id, content)] = observations(requests)
    assert call_id == "c0"
    assert content.startswith(told)


def test_a_long_result_is_cut_and_says_so() -> None:
    _, requests = result_of(help_with.bind("?"), [calls(("talk", {"words": 9})), "fine"])
    [(_, content)] = observations(requests)
    assert content == "wörd wörd wörd w\n[cut: 54 bytes in all, the first 20 are shown]"


@pytest.mark.parametrize("ids", [("", ""), ("same", "same"), ("a", "")])
def test_calls_without_an_id_of_their_own_get_one(ids: tuple[str, str]) -> None:
    turn = Completion(tool_calls=tuple(ToolCall(i, "count", '{"numbers": [1]}') for i in ids))
    _, requests = result_of(help_with.bind("?"), [turn, turn, "fine"])
    asked = [call.id for m in requests[-1].messages for call in m.tool_calls]
    answered = [call_id for call_id, _ in observations(requests)]
    assert asked == answered
    assert len(set(asked)) == 4
    assert all(asked)


def test_a_failing_call_leaves_its_neighbours_alone() -> None:
    turn = calls(("break_", {"why": "x"}), ("look", {"at": "a"}), ("put", {"what": "b"}))
    result, requests = result_of(help_with.bind("?"), [turn, "fine"])
    assert [content for _, content in observations(requests)] == [
        "error: tool 'break_' raised OSError: x",
        "saw a",
        "put b",
    ]
    assert result.errors == {}


# -- limits ----------------------------------------------------------------------------------


def test_too_many_turns_end_it_with_the_transcript() -> None:
    result, requests = result_of(help_with.bind("?"), lambda _: calls(("count", {"numbers": [1]})))
    assert len(requests) == 6
    error = result.error
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.node_id, str(error)) == (
        "max_turns",
        "helper",
        "no answer within 6 turns",
    )
    assert error.transcript[: len(requests[-1].messages)] == requests[-1].messages
    assert [m.role for m in error.transcript] == ["system", "user", *(["assistant", "tool"] * 6)]


def test_an_agent_that_takes_too_long_is_stopped_with_what_it_does() -> None:
    @agent(tools=[look], timeout_s=10.0)
    def slow() -> Prompt[str]:
        return Prompt("?")

    @workflow
    def slowly() -> str:
        return slow()

    script = [calls(("look", {"at": "a"})), calls(("look", {"at": "b", "seconds": 100.0}))]
    result, requests = result_of(slowly.bind(), script)
    assert isinstance(result.error, LimitExceeded)
    assert result.error.limit == "timeout_s"
    assert result.duration_s == 10.0
    assert [m.role for m in result.error.transcript] == ["user", "assistant", "tool", "assistant"]
    assert ("seen b", 101.0) not in _log
    assert len(requests) == 2


def test_an_agent_that_takes_too_long_fails_alone_when_collecting() -> None:
    @agent(tools=[look], timeout_s=10.0)
    def slow(seconds: float) -> Prompt[str]:
        return Prompt(f"{seconds}")

    @workflow
    def slowly(seconds: list[float]) -> list[str]:
        return slow.map(seconds)

    def script(request: Request) -> Completion | str:
        if request.messages[-1].role == "tool":
            return "seen"
        given = float(request.messages[-1].content)
        return calls(("look", {"at": "a", "seconds": given}))

    result, _ = result_of(slowly.bind([1.0, 100.0, 9.0]), script, on_error="collect")
    assert result.output == ["seen", None, "seen"]
    assert result.duration_s == 10.0


def test_too_many_tokens_end_it_before_the_next_turn() -> None:
    @agent(tools=[count], max_total_tokens=100)
    def costly() -> Prompt[str]:
        return Prompt("?")

    @workflow
    def spend() -> str:
        return costly()

    used = Usage(prompt_tokens=40, completion_tokens=10)
    turn = Completion(tool_calls=(ToolCall("c", "count", '{"numbers": [1]}'),), usage=used)
    result, requests = result_of(spend.bind(), lambda _: turn)
    assert isinstance(result.error, LimitExceeded)
    assert result.error.limit == "max_total_tokens"
    assert len(requests) == 2
    assert result.usage.total_tokens == 100


def test_an_answer_at_the_last_turn_counts() -> None:
    turn = calls(("count", {"numbers": [1]}))
    script: list[Completion | str] = [turn, turn, turn, turn, turn, "at last"]
    result, _ = result_of(help_with.bind("?"), script)
    assert result.output == "at last"


# -- typed answers ---------------------------------------------------------------------------


def test_an_answer_that_does_not_fit_is_asked_for_again_with_the_reason() -> None:
    good = '{"steps": ["a"], "is_done": true}'
    result, requests = result_of(plan.bind("?"), ["I am done", '{"steps": "a"}', good])
    assert result.output == Plan(steps=["a"], is_done=True)
    assert [request.output_schema is not None for request in requests] == [False, True, True]
    assert [bool(request.tools) for request in requests] == [True, False, False]
    roles = [message.role for message in requests[2].messages]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert requests[2].messages[3].content.strip()


def test_an_answer_that_never_fits_is_an_output_error() -> None:
    result, requests = result_of(plan.bind("?"), lambda _: "no plan")
    assert len(requests) == 3
    assert isinstance(result.error, OutputError)
    assert (result.error.answer, result.error.node_id) == ("no plan", "planner")


def test_an_agent_may_use_tools_again_after_a_wrong_answer() -> None:
    good = '{"steps": [], "is_done": false}'
    script: list[Completion | str] = ["nothing", calls(("look", {"at": "a"})), good]
    result, _ = result_of(plan.bind("?"), script)
    assert result.output == Plan(steps=[], is_done=False)


# -- transcripts -----------------------------------------------------------------------------


def test_every_turn_extends_the_one_before(
    assert_append_only: Callable[[Sequence[Request]], None],
) -> None:
    def script(request: Request) -> Completion | str | Exception:
        turn = sum(message.role == "assistant" for message in request.messages)
        match turn:
            case 0:
                return calls(("look", "{"), ("put", {"what": "x"}), ("no_such", ""))
            case 1:
                return Completion(tool_calls=(ToolCall("", "count", "{}"),) * 2)
            case 2:
                return Completion(text="Let me see.", tool_calls=(ToolCall("", "hang", ""),))
            case _:
                return "fine"

    @workflow
    def several() -> list[str]:
        return [helper("a"), helper("b"), *[helper("c")]]

    result, requests = result_of(several.bind(), script)
    assert result.output == ["fine"] * 3
    assert len(requests) == 12
    assert_append_only(requests)
    _, requests = result_of(plan.bind("?"), ["x", "y", '{"steps": [], "is_done": true}'])
    assert_append_only(requests)


def test_a_turn_that_is_sent_again_is_sent_unchanged() -> None:
    turn = calls(("count", {"numbers": [1]}))
    lost = BackendUnavailable("gone")
    result, requests = result_of(help_with.bind("?"), [turn, lost, lost, "fine"])
    assert result.output == "fine"
    assert requests[1] == requests[2] == requests[3]
