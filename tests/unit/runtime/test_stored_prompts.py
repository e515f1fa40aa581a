"""Prompts of stored runs, written again: byte for byte what was sent, and where they broke."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from agentrt import Prompt, Runtime, agent, branch, llm, loop, tool, workflow
from agentrt.dsl.workflow import Workflow
from agentrt.ir.request import Completion, Request, ToolCall
from agentrt.runtime.prefix_check import Compared, compare, form_pairs, verdict
from agentrt.runtime.prefix_report import prefix_report
from agentrt.runtime.stored_prompts import prompts_of
from agentrt.store.base import StoredRun
from agentrt.store.memory import MemoryStore
from agentrt.testing import ScriptedBackend


class Plan(BaseModel):
    queries: list[str]
    effort: int


TIMES = iter(f"2026-11-20 10:00:{second:02}" for second in range(60))


@tool(effects="read")
def now() -> str:
    """The time."""
    return next(TIMES)


@tool(effects="read")
def look(query: str) -> list[str]:
    """Passages."""
    return [f"{query} {number}" for number in range(2)]


@tool(effects="none")
def is_long(text: str) -> bool:
    """Whether it is long."""
    return len(text) > 11


@llm
def plan(question: str, at: str) -> Prompt[Plan]:
    return Prompt(f"Plan: {question}", system=f"It is {at}. You plan.")


@llm
def answer(plan: Plan, query: str, passages: list[str]) -> Prompt[str]:
    return Prompt(f"{query} of {plan}", context=[f"{passages}"], system="You answer.")


@llm
def longer(text: str) -> Prompt[str]:
    return Prompt(f"Make this longer: {text}")


@llm
def shout(text: str) -> Prompt[list[int]]:
    return Prompt(f"Shout {text}")


@agent(tools=[now, look], max_turns=3)
def fix(text: str) -> Prompt[str]:
    return Prompt(f"Fix {text}", system="You fix.")


@workflow
def item(query: str, made: Plan) -> str:
    return answer(made, query, look(query))


@workflow
def everything(question: str) -> list[str]:
    made = plan(question, now())
    found = item.map(made.queries, made=made)
    grown = loop(longer, initial=found[0], until=is_long, max_steps=3)
    said = branch(is_long(grown), lambda: fix(grown), lambda: longer(grown))
    return [said, longer(f"{found} and {shout(said)}")]


def _script(request: Request) -> str | Completion:
    name = request.node_id
    if name.startswith("plan"):
        return '{"queries": ["a", "b"], "effort": 1}'
    if name.startswith("shout"):
        return '{"answer": [1, 2]}'
    if ".then" in name and len(request.messages) == 2:
        calls = [ToolCall("1", "look", '{"query": "c"}'), ToolCall("2", "look", '{"query": "d"}')]
        return Completion(text="Let me see.", tool_calls=tuple(calls))
    return f"{request.messages[-1].content[-6:]} words"


async def _runs(count: int) -> tuple[list[StoredRun], ScriptedBackend]:
    store, backend = MemoryStore(), ScriptedBackend(_script)
    ids: list[str] = []
    async with Runtime(backend, store=store) as runtime:
        for number in range(count):
            run = runtime.start(everything.bind("Why?"), run_id=f"run-{number}")
            result = await run.wait()
            assert result.status == "finished", result.errors
            ids.append(result.run_id)
    return [await store.load(each) for each in ids], backend


async def test_every_prompt_of_a_stored_run_is_written_again_as_it_was_sent() -> None:
    (stored,), backend = await _runs(1)
    written = prompts_of(stored)
    sent: Mapping[str, Any] = {each.node_id: each for each in backend.requests}
    assert written.keys() == sent.keys()
    for node_id, prompt in written.items():
        request = sent[node_id]
        assert (prompt.messages, prompt.tools) == (request.messages, request.tools), node_id
        assert prompt.output_schema == request.output_schema


async def test_a_report_says_what_was_cached_and_blames_what_broke_the_rest() -> None:
    (first, second), _ = await _runs(2)
    report = prefix_report(second, first)
    assert report.earlier_run == "run-0"
    calls = {call.node_id: call for call in report.calls}
    broken = calls["plan"].broken
    assert broken is not None
    assert (broken.kind, broken.origin) == (
        "a timestamp",
        "the slot {now} (result of the tool now)",
    )
    assert (broken.before[:24], broken.message) == ("It is 2026-11-20 10:00:0", 0)
    agent_turns = [call for name, call in calls.items() if name.endswith("[1].llm")]
    assert [(call.broken, call.before.endswith("[1].llm")) for call in agent_turns] == [
        (None, True)
    ]
    # The imitated cache keeps whole blocks of 16 tokens, and never forgets.
    for call in report.calls:
        assert call.possible_tokens is not None
        assert call.possible_tokens - 16 <= call.cached_tokens <= call.possible_tokens + 1


@tool(effects="none")
def fails(text: str) -> list[str]:
    """Nothing."""
    raise ValueError(text)


@llm
def joined(texts: list[str]) -> Prompt[str]:
    return Prompt(f"Join {texts}")


@workflow
def after_a_map_that_never_began(text: str) -> str:
    return joined(longer.map(fails(text)))


@workflow
def after_a_loop_that_never_ended(text: str) -> str:
    return longer(loop(longer, text, until=is_long, max_steps=2))


@workflow
def after_a_side_that_was_never_chosen(text: str) -> str:
    return longer(branch(is_long(fails(text)[0]), lambda: text, lambda: "other"))


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (after_a_map_that_never_began, []),
        (after_a_loop_that_never_ended, ["loop[0].step.longer", "loop[1].step.longer"]),
        (after_a_side_that_was_never_chosen, []),
    ],
)
async def test_what_was_never_asked_is_not_written(
    call: Workflow[[str], str], asked: list[str]
) -> None:
    store = MemoryStore()
    async with Runtime(ScriptedBackend(lambda _: "short"), store=store) as runtime:
        result = await runtime.start(call.bind("x"), run_id="run").wait()
    assert result.status == "failed"
    assert list(prompts_of(await store.load("run"))) == asked


def _calls(*calls: tuple[str, str, str]) -> Completion:
    return Completion(text="So.", tool_calls=tuple(ToolCall(*call) for call in calls))


@pytest.mark.parametrize("ids", [("", ""), ("same", "same"), ("1", "2")])
async def test_calls_of_models_that_give_no_ids_are_written_with_those_that_were_sent(
    ids: tuple[str, str],
) -> None:
    @workflow
    def fixing(text: str) -> str:
        return fix(text)

    first = _calls((ids[0], "look", '{"query": "é"}'), (ids[1], "nothing", "no json"))
    backend, store = ScriptedBackend([first, "done"]), MemoryStore()
    async with Runtime(backend, store=store) as runtime:
        await runtime.start(fixing.bind("it"), run_id="run").wait()
    written = prompts_of(await store.load("run"))
    assert [written[each.node_id].messages for each in backend.requests] == [
        each.messages for each in backend.requests
    ]


async def test_agents_that_are_shown_tools_of_others_are_written_as_they_were_asked() -> None:
    @agent(tools=[look], layout="S3")
    def looks(text: str) -> Prompt[str]:
        return Prompt(f"Look {text}")

    @agent(tools=[now], layout="S3")
    def waits(text: str) -> Prompt[str]:
        return Prompt(f"Wait {text}")

    @workflow
    def both(text: str) -> str:
        return waits(looks(text))

    def script(request: Request) -> str | Completion:
        if len(request.messages) > 1:
            return "done"
        return _calls(("1", "look", '{"query": "q"}'), ("2", "now", "{}"))

    backend, store = ScriptedBackend(script), MemoryStore()
    async with Runtime(backend, store=store) as runtime:
        await runtime.start(both.bind("it"), run_id="run").wait()
    written = prompts_of(await store.load("run"))
    assert [len(each.tools) for each in backend.requests] == [2, 2, 2, 2]
    for request in backend.requests:
        prompt = written[request.node_id]
        assert (prompt.messages, prompt.tools) == (request.messages, request.tools)


async def test_an_answer_that_was_asked_for_again_is_not_taken_for_its_first_prompt() -> None:
    @workflow
    def planning(text: str) -> Plan:
        return plan(text, "10:00")

    backend, store = ScriptedBackend(["none", '{"queries": [], "effort": 1}']), MemoryStore()
    async with Runtime(backend, store=store) as runtime:
        await runtime.start(planning.bind("it"), run_id="run").wait()
    report = prefix_report(await store.load("run"))
    assert [call.possible_tokens for call in report.calls] == [0, None]
    assert report.possible_tokens == report.calls[1].cached_tokens > 0


async def test_a_call_that_a_resumed_agent_was_told_nothing_of_is_written_as_it_was_told() -> None:
    is_under_way = asyncio.Event()

    @tool(effects="write")
    async def push(text: str) -> str:
        """Push it."""
        is_under_way.set()
        await asyncio.Event().wait()
        return text

    @agent(tools=[push], max_turns=2)
    def one(text: str) -> Prompt[str]:
        return Prompt(f"Push {text}")

    @workflow
    def pushing(text: str) -> str:
        return one(text)

    store, call = MemoryStore(), _calls(("1", "push", '{"text": "it"}'))
    async with Runtime(ScriptedBackend([call]), store=store) as runtime:
        run = runtime.start(pushing.bind("it"), run_id="run")
        await is_under_way.wait()
        run.cancel()
        await run.wait()
    # Nobody was told of it yet.
    assert list(prompts_of(await store.load("run"))) == ["one[0].llm"]
    backend = ScriptedBackend(["done"])
    async with Runtime(backend, store=store) as runtime:
        await (await runtime.resume("run", pushing, in_flight="skip")).wait()
    written = prompts_of(await store.load("run"))
    assert [written["one[1].llm"].messages] == [each.messages for each in backend.requests]


async def test_an_agents_turn_goes_on_from_its_own_among_many() -> None:
    together = asyncio.Barrier(40)

    @tool(effects="read")
    async def meet(query: str) -> str:
        """All of them, before any goes on."""
        await together.wait()
        return query

    @agent(tools=[meet], max_turns=2)
    def one(text: str) -> Prompt[str]:
        return Prompt(f"{text} meets.", system="You meet others. " * 9)

    @workflow
    def many(texts: list[str]) -> list[str]:
        return one.map(texts)

    def script(request: Request) -> str | Completion:
        return "met" if len(request.messages) > 2 else _calls(("1", "meet", '{"query": "q"}'))

    backend, store = ScriptedBackend(script), MemoryStore()
    async with Runtime(backend, store=store) as runtime:
        texts = [str(number) for number in range(40)]
        result = await runtime.start(many.bind(texts), run_id="run").wait()
    assert result.status == "finished", result.errors
    calls = [
        call for call in prefix_report(await store.load("run")).calls if "[1]." in call.node_id
    ]
    second = [call for call in calls if call.node_id.endswith("[1].llm")]
    assert len(second) == 40
    for call in second:
        assert call.broken is None
        assert call.before == call.node_id.replace("[1].llm", "[0].llm")


async def test_nothing_is_known_of_a_run_without_a_graph() -> None:
    (stored,), _ = await _runs(1)
    run = type(stored.run)(
        run_id="free", workflow="w", graph_hash="", graph=None, input={}, created_at=0.0
    )
    free = StoredRun(run=run, nodes=stored.nodes, attempts=stored.attempts)
    assert prompts_of(free) == {}
    assert {call.possible_tokens for call in prefix_report(free).calls} == {None}


async def test_both_forms_of_a_recorded_call_are_compared_with_what_seeds_do() -> None:
    (stored,), _ = await _runs(1)
    pairs = form_pairs(stored, everything.trace().graph)
    # `plan` has a clock in its system message, and the agent's tools are not sorted.
    assert [(pair.written.node_id, len(pair.written.tools)) for pair in pairs] == [
        ("plan", 0),
        ("branch.then.fix[0].llm", 2),
        ("branch.then.fix[1].llm", 2),
    ]
    pairs = pairs[:1]
    assert pairs[0].moved.messages[0].content.startswith("You plan.")

    def said(request: Request) -> str:
        return f"{request.messages[0].content[:3]} {(request.options.seed or 0) // 3}"

    backend = ScriptedBackend(said)
    compared = await compare(pairs * 5, {"large": backend})
    assert {(one.is_noisy, one.is_other) for one in compared} == {(False, True)}
    result = verdict(compared)
    assert (result.other, result.noisy, result.p_value) == (5, 0, 1 / 32)
    assert (result.differs, result.is_decidable) == (True, True)


async def test_how_similar_long_answers_are_is_told_by_how_they_begin() -> None:
    (stored,), _ = await _runs(1)
    pairs = form_pairs(stored, everything.trace().graph)[:1]
    backend = ScriptedBackend(lambda asked: "ab" * 500_000 + asked.messages[0].content[:3])
    (compared,) = await compare(pairs, {"large": backend})
    assert (compared.is_other, compared.similarity) == (True, 1.0)


def _one(*, is_noisy: bool, is_other: bool) -> Compared:
    return Compared(node_id="n", is_noisy=is_noisy, is_other=is_other, similarity=1.0)


def test_differences_that_seeds_make_as_well_are_noise() -> None:
    by_both = [_one(is_noisy=True, is_other=True)] * 50
    assert (verdict(by_both).p_value, verdict(by_both).differs) == (1.0, False)
    even = [_one(is_noisy=False, is_other=True), _one(is_noisy=True, is_other=False)] * 9
    assert verdict(even).differs is False
    few = [_one(is_noisy=False, is_other=True)] * 4
    assert (verdict(few).differs, verdict(few).is_decidable) == (False, False)
    assert (verdict([]).differs, verdict([]).p_value) == (False, 1.0)
