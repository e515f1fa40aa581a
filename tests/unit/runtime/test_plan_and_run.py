"""`plan_and_run` at run time: when tasks start, what failures do, what a resume repeats.

Among them the defects of the published LLMCompiler implementation, each as what must be true.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from agentrt.backends.base import OnChunk
from agentrt.backends.scripted import ScriptedBackend
from agentrt.dsl.decorators import tool, workflow
from agentrt.dsl.functions import ToolFunction
from agentrt.dsl.planned import plan_and_run
from agentrt.errors import (
    BackendUnavailable,
    LimitExceeded,
    OutputError,
    RateLimited,
    ResumeError,
)
from agentrt.ir.event import Event, NodeStarted
from agentrt.ir.request import Capabilities, Chunk, Completion, Request
from agentrt.planner import CacheReport
from agentrt.runtime import Run, Runtime
from agentrt.store.memory import MemoryStore
from tests.unit.runtime.conftest import check_append_only

_calls: Counter[str] = Counter()
_broken: set[str] = set()
_at: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def nothing_called_yet() -> None:
    _calls.clear()
    _broken.clear()
    _at.clear()


async def _called(what: str) -> None:
    _calls[what] += 1
    _at.setdefault(what, asyncio.Event()).set()
    await asyncio.sleep(0)
    if what in _broken:
        raise ValueError(f"{what} is broken")


async def _until(what: str) -> None:
    """Until a tool was called so; a test that waits in vain fails."""
    async with asyncio.timeout(20):
        await _at.setdefault(what, asyncio.Event()).wait()


@tool(effects="read", retries=0)
async def search(query: str) -> str:
    """Find a passage."""
    await _called(query)
    return f"about {query}"


@tool(effects="read", retries=0)
async def price(of: str) -> str:
    """What it costs."""
    await _called(of)
    return "it cost $1 million"


@tool(effects="none")
def length(text: str) -> int:
    """How long a text is."""
    return len(text)


@tool(effects="read")
async def maybe(name: str) -> str | None:
    """A thing, if there is one."""
    return None


@tool(effects="read")
async def shown(thing: str | None) -> str:
    """How a thing is shown."""
    return f"<{thing}>"


@tool(effects="write")
async def note(text: str) -> str:
    """Write it down."""
    await _called(text)
    return "noted"


ALL: list[ToolFunction[..., Any]] = [search, price, length, maybe, shown, note]


@workflow
def ask(question: str) -> str:
    return plan_and_run(tools=ALL, question=question, name="ask")


@workflow
def ask_again(question: str) -> str:
    return plan_and_run(tools=ALL, question=question, name="ask", reuses_plans=True)


@workflow
def count(question: str) -> int:
    return plan_and_run(tools=ALL, question=question, answer=int, name="ask", max_replans=0)


class Streaming:
    """A backend that streams plans as a test wants it; joiners are answered at once."""

    name = "streaming"

    def __init__(
        self, write: Callable[[Callable[[str], None]], object], answer: str = "fine"
    ) -> None:
        self._write = write
        self._answer = answer
        self.requests: list[Request] = []

    async def capabilities(self) -> Capabilities:
        return Capabilities(models=("m",), streaming=True, json_schema=True)

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        self.requests.append(request)
        if not request.node_id.endswith("llm"):
            text = "join" if "repair" in request.node_id else f'{{"answer": "{self._answer}"}}'
            return Completion(text=text)
        written: list[str] = []

        def say(text: str) -> None:
            written.append(text)
            if on_chunk is not None:
                on_chunk(Chunk(text))

        result = self._write(say)
        if asyncio.iscoroutine(result):
            await result
        return Completion(text="".join(written))

    async def aclose(self) -> None:
        """Nothing to give up."""


def _scripted(plan: str, answer: str = "fine") -> ScriptedBackend:
    return ScriptedBackend({"llm": plan, "join": f'{{"answer": "{answer}"}}'})


async def _run(backend: ScriptedBackend | Streaming, question: str = "why?") -> str:
    async with Runtime(backend) as runtime:
        return await runtime.run(ask, question)


def _results(backend: ScriptedBackend | Streaming) -> str:
    """What the joiner was told."""
    return next(r for r in backend.requests if ".join" in r.node_id).messages[-1].content


# -- what the published implementation gets wrong --------------------------------------------


async def test_a_tool_that_raises_is_an_observation_and_the_run_goes_on() -> None:
    _broken.add("a")
    backend = _scripted('1 search(query="a")\n2 search(query="b")\n3 length(text=$1)\njoin')
    assert await _run(backend) == "fine"
    assert _results(backend).startswith(
        "Results:\n$1: error: tool 'search' raised ValueError: a is broken\n$2: about b\n"
        "$3: error: not run: task 1 failed\n"
    )


async def test_a_planner_that_cannot_be_had_ends_the_run_with_its_error() -> None:
    backend = ScriptedBackend({"llm": RateLimited("slow down", retryable=False)})
    with pytest.raises(RateLimited, match="slow down"):
        await _run(backend)


async def test_a_stream_that_breaks_off_keeps_its_tasks_and_is_gone_on_with() -> None:
    async def write(say: Callable[[str], None]) -> None:
        say('1 search(query="a")\n2 search(query="b')
        await _until("a")
        raise BackendUnavailable("the connection broke")

    backend = Streaming(write)
    assert await _run(backend) == "fine"
    assert dict(_calls) == {"a": 1}
    assert [request.node_id for request in backend.requests] == [
        "ask[0].llm",
        "ask[0].repair[1]",
        "ask[0].join",
    ]
    assert "Go on with task 2" in backend.requests[1].messages[-1].content


async def test_a_task_starts_when_its_own_line_ends_and_not_with_the_next() -> None:
    async def write(say: Callable[[str], None]) -> None:
        say('1 search(query="a")\n')
        await _until("a")
        say("2 search(query=$1)\n")
        await _until("about a")  # a dependent waits for its dependency, not for the planner
        say("join")

    assert await _run(Streaming(write)) == "fine"


async def test_a_chunk_of_several_lines_loses_none_of_them() -> None:
    plan = '1 search(query="a")\n2 search(query="b")\n3 search(query="c")\njoin'
    assert await _run(Streaming(lambda say: say(plan))) == "fine"
    assert dict(_calls) == {"a": 1, "b": 1, "c": 1}


async def test_a_result_is_never_read_for_references() -> None:
    backend = _scripted('1 price(of="it")\n2 search(query=$1)\njoin')
    await _run(backend)
    assert _calls["it cost $1 million"] == 1
    assert "$2: about it cost $1 million\n" in _results(backend)


async def test_a_dollar_sign_in_a_text_is_no_dependency() -> None:
    await _run(_scripted('1 search(query="$5 bills")\n2 search(query="$1")\njoin'))
    assert dict(_calls) == {"$5 bills": 1, "$1": 1}


async def test_a_null_result_is_passed_on_as_null() -> None:
    backend = _scripted('1 maybe(name="x")\n2 shown(thing=$1)\njoin')
    await _run(backend)
    assert _results(backend).startswith("Results:\n$1: null\n$2: <None>\n")


async def test_arguments_are_named_and_typed() -> None:
    await _run(_scripted('1 search(query="Paris")\njoin'))
    assert dict(_calls) == {"Paris": 1}


@pytest.mark.parametrize("answer", ["First for Women (magazine)", "The Replan Act", "Replan(x)"])
async def test_an_answer_is_whole_and_no_word_in_it_decides_anything(answer: str) -> None:
    backend = _scripted("join", answer)
    assert await _run(backend) == answer
    assert len(backend.requests) == 2


async def test_a_malformed_line_is_asked_for_again_and_the_others_run() -> None:
    backend = ScriptedBackend(
        {
            "llm": '1 search(query="a"\n2 search(query="b")\n3 length(text=abs($1 - $2))\njoin',
            "repair": '1 search(query="a")\n3 length(text=$1)',
            "join": '{"answer": "fine"}',
        }
    )
    await _run(backend)
    assert dict(_calls) == {"a": 1, "b": 1}
    assert _results(backend).startswith("Results:\n$1: about a\n$2: about b\n$3: 7\n")


# -- what else it does -----------------------------------------------------------------------


async def test_nothing_runs_of_a_line_whose_arguments_do_not_fit() -> None:
    backend = ScriptedBackend(
        {"llm": "1 search(query=3)\njoin", "repair": "join", "join": '{"answer": "fine"}'}
    )
    await _run(backend)
    assert not _calls
    assert "$1: error: the line of the plan cannot be used: query must be" in _results(backend)


async def test_requests_only_extend_what_was_sent_before() -> None:
    backend = ScriptedBackend(
        {
            "llm": ['1 search(query="a"\njoin', '2 search(query="b")\njoin'],
            "repair": '1 search(query="a")',
            "join": ['{"replan": "b"}', '{"answer": "fine"}'],
        }
    )
    assert await _run(backend) == "fine"
    assert len(backend.requests) == 5
    for before, after in zip(backend.requests, backend.requests[1:], strict=False):
        assert after.messages[: len(before.messages)] == before.messages
    check_append_only(backend.requests)


async def test_another_plan_repeats_nothing() -> None:
    backend = ScriptedBackend(
        {
            "llm": [
                '1 note(text="n")\n2 search(query="a")\njoin',
                '3 note(text="n")\n4 search(query="a")\n5 search(query=$2)\njoin',
            ],
            "join": ['{"replan": "more"}', '{"answer": "fine"}'],
        }
    )
    assert await _run(backend) == "fine"
    assert dict(_calls) == {"n": 1, "a": 1, "about a": 1}


async def test_a_typed_answer_is_a_value_and_nonsense_is_asked_for_again() -> None:
    backend = ScriptedBackend({"llm": "join", "join": ["many", '{"answer": "4"}']})
    async with Runtime(backend) as runtime:
        assert await runtime.run(count, "how many?") == 4
    assert [request.node_id for request in backend.requests][1:] == [
        "ask[0].join",
        "ask[0].join[1]",
    ]


async def test_of_an_answer_that_ran_on_and_was_cut_off_only_the_beginning_is_sent_again() -> None:
    ran_on = Completion(text='{"answer": "' + "and " * 10_000, finish_reason="length")
    backend = ScriptedBackend({"llm": "join", "join": [ran_on, '{"answer": "fine"}']})
    async with Runtime(backend) as runtime:
        assert await runtime.run(ask, "why?") == "fine"
    quoted, told = backend.requests[-1].messages[-2:]
    assert len(quoted.content) < 2_100
    assert quoted.content.endswith(" [... 38,012 characters left out]")
    assert "it is too long" in told.content


async def test_a_joiner_that_answers_only_nonsense_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="does not fit int"):
        async with Runtime(ScriptedBackend({"llm": "join", "join": "hm"})) as runtime:
            await runtime.run(count, "how many?")


async def test_too_many_tasks_are_an_error_and_none_beyond_the_limit_runs() -> None:
    plan = "".join(f'{index} search(query="{index}")\n' for index in range(1, 10_001))
    with pytest.raises(LimitExceeded, match="more than 64 tasks") as caught:
        await _run(Streaming(lambda say: say(plan)))
    assert caught.value.limit == "max_tasks"
    assert sum(_calls.values()) <= 64


async def test_a_question_that_takes_too_long_is_given_up() -> None:
    @workflow
    def hurried(question: str) -> str:
        return plan_and_run(tools=ALL, question=question, name="ask", timeout_s=0.05)

    async def write(say: Callable[[str], None]) -> None:
        say('1 search(query="a")\n')
        await asyncio.Event().wait()

    with pytest.raises(LimitExceeded) as caught:
        async with Runtime(Streaming(write)) as runtime:
            await runtime.run(hurried, "why?")
    assert caught.value.limit == "timeout_s"


async def test_tokens_are_bounded() -> None:
    @workflow
    def thrifty(question: str) -> str:
        return plan_and_run(tools=ALL, question=question, name="ask", max_total_tokens=10)

    with pytest.raises(LimitExceeded) as caught:
        async with Runtime(_scripted("join")) as runtime:
            await runtime.run(thrifty, "why?")
    assert caught.value.limit == "max_total_tokens"


async def test_a_planner_that_goes_on_after_its_plan_is_cut_short() -> None:
    async def write(say: Callable[[str], None]) -> None:
        say('1 search(query="a")\njoin\n')
        while True:
            say("and then " * 20)
            await asyncio.sleep(0)

    assert await _run(Streaming(write)) == "fine"


async def test_a_plan_is_used_again_for_a_question_of_the_same_shape() -> None:
    backend = ScriptedBackend(
        {"llm": ['1 search(query="Ada")\njoin'], "join": '{"answer": "fine"}'}
    )
    async with Runtime(backend) as runtime:
        await runtime.run(ask_again, "who is Ada?")
        await runtime.run(ask_again, "who is Bob?")
        assert runtime.plans.report == CacheReport(hits=1, misses=1, kept=1)
    assert dict(_calls) == {"Ada": 1, "Bob": 1}
    assert [r.node_id for r in backend.requests] == ["ask[0].llm", "ask[0].join", "ask[0].join"]


async def test_plans_are_not_used_again_unless_their_author_wants_it() -> None:
    backend = _scripted('1 search(query="Ada")\njoin')
    async with Runtime(backend) as runtime:
        await runtime.run(ask, "who is Ada?")
        await runtime.run(ask, "who is Ada?")
        assert runtime.plans.report == CacheReport()
    assert len(backend.requests) == 4


async def test_the_grammar_of_the_plan_goes_with_the_request() -> None:
    backend = _scripted("join")
    await _run(backend)
    planner, joiner = backend.requests
    assert planner.grammar is not None
    assert planner.grammar.startswith("root ::= lines-1\n")
    assert (planner.tools, planner.output_schema, joiner.grammar) == ((), None, None)
    assert joiner.output_schema is not None


async def test_a_write_whose_result_cannot_be_used_is_not_made_again() -> None:
    @tool(effects="write")
    async def post(text: str) -> int:
        """Post it."""
        await _called(text)
        return "posted"  # type: ignore[return-value]  # a mistake in a tool

    @workflow
    def posted(question: str) -> str:
        return plan_and_run(tools=[post], question=question, name="ask")

    backend = ScriptedBackend(
        {
            "llm": ['1 post(text="p")\njoin', '2 post(text="p")\njoin'],
            "join": ['{"replan": "once more"}', '{"answer": "fine"}'],
        }
    )
    async with Runtime(backend) as runtime:
        await runtime.run(posted, "why?")
    assert dict(_calls) == {"p": 1}


# -- durability ------------------------------------------------------------------------------


PLAN = '1 search(query="a")\n2 note(text="n")\n3 search(query=$1)\njoin'


async def _stopped_at(node_id: str, store: MemoryStore, backend: ScriptedBackend) -> str:
    """A run that is cancelled when this node starts; its id."""
    run: Run[str] | None = None

    def stop(event: Event) -> None:
        if isinstance(event, NodeStarted) and event.node_id == node_id and run is not None:
            run.cancel()

    async with Runtime(backend, store=store, on_event=stop) as runtime:
        run = runtime.start(ask.bind("why?"), run_id="r")
        result = await run.wait()
    assert result.status == "cancelled"
    return result.run_id


async def test_a_resumed_run_repeats_no_task_and_asks_for_no_plan_again() -> None:
    store = MemoryStore()
    run_id = await _stopped_at("ask[0].join", store, _scripted(PLAN))
    assert dict(_calls) == {"a": 1, "n": 1, "about a": 1}
    backend = _scripted("1 nonsense()")
    async with Runtime(backend, store=store) as runtime:
        run = await runtime.resume(run_id, ask)
        assert (await run.wait()).output == "fine"
    assert dict(_calls) == {"a": 1, "n": 1, "about a": 1}
    assert [request.node_id for request in backend.requests] == ["ask[0].join"]


async def test_a_result_is_not_taken_for_another_call_of_the_same_number() -> None:
    """Stopped while the plan was written: the planner is asked anew, and may plan otherwise."""
    store = MemoryStore()
    stopping: list[Run[str]] = []

    async def write(say: Callable[[str], None]) -> None:
        say('1 search(query="a")\n2 search(query="b")\n')
        await _until("b")
        await asyncio.sleep(0.01)
        stopping[0].cancel()
        await asyncio.Event().wait()

    async with Runtime(Streaming(write), store=store) as runtime:
        stopping.append(runtime.start(ask.bind("why?"), run_id="r"))
        assert (await stopping[0].wait()).status == "cancelled"
    async with Runtime(
        Streaming(lambda say: say('1 search(query="a")\n2 search(query="c")\njoin')), store=store
    ) as runtime:
        run = await runtime.resume("r", ask)
        assert (await run.wait()).output == "fine"
    assert dict(_calls) == {"a": 1, "b": 1, "c": 1}


async def test_a_write_that_was_under_way_is_asked_about() -> None:
    store = MemoryStore()
    run_id = await _stopped_at("ask[0].t2.note", store, _scripted(PLAN))
    backend = _scripted(PLAN)
    async with Runtime(backend, store=store) as runtime:
        with pytest.raises(ResumeError) as caught:
            await runtime.resume(run_id, ask)
        assert caught.value.nodes == ("ask[0].t2.note",)
        run = await runtime.resume(run_id, ask, in_flight="skip")
        assert (await run.wait()).output == "fine"
    assert "$2: error: [the run was interrupted during this call" in _results(backend)
    assert "$3: error: not run: task 2 failed" in _results(backend)


async def test_a_write_is_made_once_though_a_resumed_run_plans_otherwise() -> None:
    """Stopped when the plan was complete, and the model's answer was not: it is not on record."""
    store = MemoryStore()
    stopping: list[Run[str]] = []

    async def write(say: Callable[[str], None]) -> None:
        say('1 search(query="a")\n2 note(text="n")\njoin\n')
        await _until("a")
        await asyncio.sleep(0.05)
        stopping[0].cancel()
        await asyncio.Event().wait()

    async with Runtime(Streaming(write), store=store) as runtime:
        stopping.append(runtime.start(ask.bind("why?"), run_id="r"))
        assert (await stopping[0].wait()).status == "cancelled"
    async with Runtime(_scripted('1 note(text="n")\njoin'), store=store) as runtime:
        run = await runtime.resume("r", ask, in_flight="skip")
        assert (await run.wait()).output == "fine"
    assert _calls["n"] == 1
