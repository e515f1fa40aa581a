"""Prompts of planners and joiners, written again from what is stored: as they were sent."""

from __future__ import annotations

from dataclasses import replace

from agentrt import Runtime, tool, workflow
from agentrt.backends.scripted import ScriptedBackend
from agentrt.dsl.planned import plan_and_run
from agentrt.ir.request import Completion, Request
from agentrt.planner.prompt import system_text
from agentrt.runtime.plan_prefixes import plan_prefixes
from agentrt.runtime.prefix_report import prefix_report
from agentrt.runtime.stored_prompts import prompts_of
from agentrt.store.base import StoredRun
from agentrt.store.memory import MemoryStore


@tool(effects="read", retries=0)
async def search(query: str) -> str:
    """Find a passage."""
    if query == "gone":
        raise ValueError("nothing is there")
    return f"about {query}"


@tool(effects="none")
def length(text: str) -> int:
    """How long a text is."""
    return len(text)


@workflow
def ask(question: str) -> str:
    return plan_and_run(
        tools=[search, length], question=f"In short: {question}", system="Be kind.", name="ask"
    )


@workflow
def one(question: str) -> str:
    return plan_and_run(tools=[search], question=question, name="found")


@workflow
def ask_all(questions: list[str]) -> list[str]:
    return one.map(questions)


@workflow
def ask_again(question: str) -> str:
    return plan_and_run(tools=[search, length], question=question, name="ask", reuses_plans=True)


WRITTEN: dict[str, str | Completion] = {
    "ask[0].llm": '1 search(query="a")\n2 search(quary="b")\n3 length(text=$1)\n4 search(query="gone")\njoin',
    "ask[0].repair[1]": '2 search(query="b")\njoin',
    "ask[0].join": "Well, I would say",
    "ask[0].join[1]": '{"replan": "more is needed"}',
    "ask[1].llm": Completion(text='5 search(query="c")\n6 sea', finish_reason="length"),
    "ask[1].repair[1]": '6 search(query="d")\njoin',
    "ask[1].join": '{"answer": "so"}',
}


def _script(request: Request) -> str | Completion:
    return WRITTEN[request.node_id]


async def _stored(backend: ScriptedBackend) -> StoredRun:
    store = MemoryStore()
    async with Runtime(backend, store=store) as runtime:
        result = await runtime.start(ask.bind("why?"), run_id="run").wait()
    assert result.output == "so", result.error
    return await store.load("run")


async def test_planner_repairs_replans_and_joiners_are_written_again_as_they_were_sent() -> None:
    backend = ScriptedBackend(_script)
    written = prompts_of(await _stored(backend))
    sent = {request.node_id: request for request in backend.requests}
    assert sent.keys() == WRITTEN.keys()
    assert written.keys() == sent.keys()
    for node_id, prompt in written.items():
        assert prompt.messages == sent[node_id].messages, node_id
        assert prompt.output_schema == sent[node_id].output_schema


async def test_a_report_finds_that_each_of_them_goes_on_from_the_one_before() -> None:
    report = prefix_report(await _stored(ScriptedBackend(_script)))
    assert [call.node_id for call in report.calls] == list(WRITTEN)
    assert [call.before for call in report.calls] == ["", *list(WRITTEN)[:-1]]
    assert [call.broken for call in report.calls] == [None] * len(WRITTEN)
    assert all(call.possible_tokens for call in report.calls[1:])


async def test_another_question_breaks_what_is_shared_and_is_blamed() -> None:
    store = MemoryStore()
    backend = ScriptedBackend(
        {"llm": 'search\n1 search(query="a")\njoin', "join": '{"answer": "so"}'}
    )
    async with Runtime(backend, store=store) as runtime:
        for number, question in enumerate(("why?", "how?")):
            await runtime.start(ask.bind(question), run_id=f"{number}").wait()
    report = prefix_report(await store.load("1"), await store.load("0"))
    broken = report.calls[0].broken
    assert broken is not None
    assert (broken.origin, broken.message) == ("the slot {question} (parameter question)", 1)


async def test_plans_in_regions_have_the_ids_of_their_instances() -> None:
    store = MemoryStore()
    backend = ScriptedBackend({"llm": '1 search(query="a")\njoin', "join": '{"answer": "so"}'})
    async with Runtime(backend, store=store) as runtime:
        await runtime.start(ask_all.bind(["why?", "how?"]), run_id="run").wait()
    written = prompts_of(await store.load("run"))
    sent = {request.node_id: request.messages for request in backend.requests}
    assert {node_id: prompt.messages for node_id, prompt in written.items()} == sent
    assert len(sent) == 4


async def test_a_question_of_no_words_is_written_again_as_well() -> None:
    store = MemoryStore()
    backend = ScriptedBackend({"llm": '1 search(query="a")\njoin', "join": '{"answer": "so"}'})
    async with Runtime(backend, store=store) as runtime:
        await runtime.start(one.bind(""), run_id="run").wait()
    written = prompts_of(await store.load("run"))
    sent = {request.node_id: request.messages for request in backend.requests}
    assert {node_id: prompt.messages for node_id, prompt in written.items()} == sent
    assert len(sent) == len(("llm", "join"))


async def test_a_plan_that_came_from_the_cache_was_asked_of_nobody() -> None:
    store = MemoryStore()
    backend = ScriptedBackend({"llm": '1 search(query="a 1")\njoin', "join": '{"answer": "so"}'})
    async with Runtime(backend, store=store) as runtime:
        for number in range(2):
            await runtime.start(ask_again.bind('Find "a 1"'), run_id=f"{number}").wait()
    assert [request.node_id for request in backend.requests] == [
        "ask[0].llm",
        "ask[0].join",
        "ask[0].join",
    ]
    assert list(prompts_of(await store.load("1"))) == ["ask[0].join"]


def test_what_all_plans_begin_with_is_known_before_anything_runs() -> None:
    (prefix,) = plan_prefixes(ask.trace().graph)
    system = system_text([search.spec, length.spec])
    assert prefix.node_id == "ask[0].llm"
    assert prefix.prefix_characters == len(system) + len("Question: In short: ")
    assert prefix.lost_characters == len("\nPlan:")
    assert prefix.broken_by == "the slot {question} (parameter question)"
    (in_map,) = plan_prefixes(ask_all.trace().graph)
    assert (in_map.node_id, in_map.stability) == ("one.found[0].llm", "call")


async def test_where_results_are_missing_what_follows_from_them_is_left_out() -> None:
    stored = await _stored(ScriptedBackend(_script))
    nodes = [node for node in stored.nodes if not node.node_id.endswith("t1.search")]
    written = prompts_of(replace(stored, nodes=nodes))
    assert list(written) == ["ask[0].llm", "ask[0].repair[1]"]
    damaged = [
        replace(node, value={"text": 1}) if node.node_id == "ask[0].llm" else node
        for node in stored.nodes
    ]
    assert list(prompts_of(replace(stored, nodes=damaged))) == ["ask[0].llm"]


async def test_a_question_is_told_from_the_words_around_it() -> None:
    """Its words stand there too; a map by them would be blamed for what is the same every time."""
    store = MemoryStore()
    backend = ScriptedBackend({"llm": "join", "join": '{"answer": "so"}'})
    async with Runtime(backend, store=store) as runtime:
        await runtime.start(one.bind("Question"), run_id="run").wait()
    pieces = prompts_of(await store.load("run"))["found[0].llm"].pieces
    said = [piece.text for piece in pieces if piece.message == 1]
    assert said[-2:] == ["Question", "\nPlan:"]
    assert said[0].endswith("Question: ")


def test_a_tool_may_say_of_itself_what_it_likes() -> None:
    @tool(effects="read")
    def odd(x: str) -> str:
        """It takes "\0" for an end."""
        return x

    @workflow
    def asked(question: str) -> str:
        return plan_and_run(tools=[odd], question=question, name="ask")

    (prefix,) = plan_prefixes(asked.trace().graph)
    tools = asked.trace().graph.tools.values()
    assert prefix.prefix_characters == len(system_text(tools)) + len("Question: ")
