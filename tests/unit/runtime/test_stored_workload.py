"""Runs as a store has them, as workloads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.control import branch, loop
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.errors import InputError, RateLimited, RequestRejected
from agentrt.ir.prefix import block_count, shared_blocks
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Message, Request, ToolCall, Usage
from agentrt.ir.workload import CallStep, ProgramTrace, Workload
from agentrt.runtime import Runtime
from agentrt.runtime.call_detail import CallDetail, detail_from_json
from agentrt.runtime.stored_workload import workload_of
from agentrt.simulator.workloads import read, write
from agentrt.store.base import AttemptRecord, RunRecord, StoredRun
from agentrt.store.memory import MemoryStore

Main = Callable[[Runtime], Coroutine[Any, Any, Any]]


@tool(effects="read", retries=1)
async def look(query: str) -> str:
    """Look it up."""
    await asyncio.sleep(1.0)
    return query


@tool(effects="write")
async def bash(command: str) -> str:
    """Run it."""
    await asyncio.sleep(3.0)
    if command == "false":
        raise OSError("no")
    return command


@llm(retries=2)
def ask(text: str) -> Prompt[str]:
    return Prompt(text, system="Answer.")


@llm(output_retries=1)
def count(text: str) -> Prompt[int]:
    return Prompt(text)


@llm
def is_done(text: str) -> Prompt[bool]:
    return Prompt(text)


@agent(tools=[bash, look])
def fix(task: str) -> Prompt[str]:
    return Prompt(task, system="Fix it. " * 30)


@workflow
def fixed(task: str) -> str:
    return fix(look(task))


def ran(main: Main, answer: Any = "fine", **options: Any) -> list[StoredRun]:
    """The runs that `main` makes, as they are stored. A call takes 2 s."""
    clock, store = VirtualClock(), MemoryStore()
    backend = ScriptedBackend(answer, latency_s=options.pop("latency_s", 2.0), **options)

    async def entered() -> list[StoredRun]:
        async with Runtime(backend, clock=clock, store=store, on_error="collect") as runtime:
            await main(runtime)
        summaries = await store.list_runs(limit=100)
        return [await store.load(summary.run_id) for summary in reversed(summaries)]

    return clock.run(entered())


def exported(main: Main, answer: Any = "fine", **options: Any) -> Workload:
    workload = workload_of(ran(main, answer, **options), name="w")
    assert read(write(workload)) == workload, "a file of it is not the same"
    return workload


def only(workload: Workload) -> ProgramTrace:
    [program] = workload.programs
    return program


def told(program: ProgramTrace) -> list[tuple[Any, ...]]:
    """Each step in short: calls with their gap, tools with what they are and how long they took."""
    return [
        ("call", step.after, step.gap_s)
        if isinstance(step, CallStep)
        else (f"{step.tool} {step.argument_class}".strip(), step.after, step.duration_s)
        for step in program.steps
    ]


def commands(*turns: tuple[str, ...]) -> Callable[[Request], Completion]:
    """An agent's model: so many tool calls a turn, then an answer."""

    def answer(request: Request) -> Completion:
        turn = sum(message.role == "assistant" for message in request.messages)
        if turn == len(turns):
            return Completion(text="done")
        made = [
            ToolCall(f"c{turn}.{n}", "bash", f'{{"command": "{command}"}}')
            if command != "look"
            else ToolCall(f"c{turn}.{n}", "look", '{"query": "x"}')
            for n, command in enumerate(turns[turn])
        ]
        return Completion(tool_calls=tuple(made))

    return answer


def test_an_agent_is_turns_and_what_they_asked_for() -> None:
    turns = commands(("look", "look", "cd x && make test", "look"), ("false",))
    program = only(exported(lambda runtime: runtime.run(fixed, "t" * 300), turns))
    assert (program.workflow, program.arrival_s, program.deadline_s) == ("fixed", 0.0, None)
    assert told(program) == [
        ("look", (), 1.0),
        ("call", (0,), 0.0),
        ("look", (1,), 1.0),
        ("look", (1,), 1.0),
        ("bash make", (2, 3), 3.0),  # nothing overlaps a call that writes
        ("look", (4,), 1.0),
        ("call", (5,), 0.0),
        ("bash false", (6,), 3.0),
        ("call", (7,), 0.0),
    ]
    calls = [step for step in program.steps if isinstance(step, CallStep)]
    for before, after in pairwise(calls):
        # Each turn goes on from the one before.
        assert shared_blocks(before.context, after.prompt) == block_count(before.context) > 0


def test_tokens_are_those_the_server_counted() -> None:
    answer = Completion(text="a" * 120, usage=Usage(1000, 7, 30))
    [run] = ran(lambda runtime: runtime.run(asked, "t" * 5_000), lambda _: answer)
    workload = workload_of([run], name="w")
    [call] = only(workload).steps
    assert isinstance(call, CallStep)
    assert (call.prompt_tokens, call.completion_tokens) == (1000, 30)
    characters = len("\x1esystem\nAnswer.\x1euser\n") + 5_000
    assert run.attempts[0].detail["characters"] == [characters, len("\x1eassistant\n") + 120]
    assert workload.block_tokens == round(64 / (characters / 1000)) == 13
    assert (block_count(call.prompt), block_count(call.context)) == (1000 // 13, 1030 // 13)


def test_what_a_server_does_not_count_is_estimated_and_said() -> None:
    answer = Completion(text="a" * 400, usage=Usage(0, 0, 1))
    workload = exported(lambda runtime: runtime.run(asked, "q" * 4_000), lambda _: answer)
    [call] = only(workload).steps
    assert isinstance(call, CallStep)
    assert 1_000 < call.prompt_tokens < 1_020
    assert 100 <= call.completion_tokens < 105
    assert "Of 1 calls the server counted no tokens: they are estimated." in workload.modelled


@workflow
def asked(text: str) -> str:
    return ask(text)


@llm
def combine(texts: list[str]) -> Prompt[str]:
    return Prompt(f"{texts}")


@workflow
def wide(texts: list[str]) -> list[Any]:
    found = look.map(texts)
    answers = ask.map(found)
    return [combine(answers), ask("beside it")]


def test_items_of_maps_wait_for_their_own_and_a_join_for_all() -> None:
    takes_s = {"a": 2.0, "b": 4.0}

    def latency_s(request: Request) -> float:
        return takes_s.get(request.messages[-1].content, 8.0)

    program = only(
        exported(
            lambda runtime: runtime.run(wide, ["a", "b"]),
            lambda request: request.messages[-1].content,
            latency_s=latency_s,
        )
    )
    assert told(program) == [
        ("look", (), 1.0),
        ("look", (), 1.0),
        ("call", (), 0.0),
        ("call", (0,), 0.0),
        ("call", (1,), 0.0),
        ("call", (3, 4), 0.0),
    ]


def test_a_wait_for_a_slot_is_no_gap() -> None:
    program = only(
        exported(lambda runtime: runtime.run(wide, ["a", "b"]), latency_s=8.0, max_concurrency=1)
    )
    assert [step[1:] for step in told(program) if step[0] == "call"] == [
        ((), 0.0),
        ((0,), 0.0),
        ((1,), 0.0),
        ((3, 4), 0.0),
    ]


@workflow
def looped(text: str) -> str:
    kept = loop(ask, text, until=is_done, max_steps=3)
    return branch(is_done(kept), then=lambda: ask(kept), otherwise=lambda: look(kept))


def test_iterations_and_sides_come_one_after_another() -> None:
    answers = iter(["a", '{"answer": false}', "b", '{"answer": true}', '{"answer": true}', "c"])
    program = only(exported(lambda runtime: runtime.run(looped, "x"), lambda _: next(answers)))
    assert [step[:2] for step in told(program)] == [
        ("call", ()),
        ("call", (0,)),
        ("call", (1,)),
        ("call", (2,)),
        ("call", (3,)),
        ("call", (4,)),
    ]


@agent(tools=[bash])
def fix_one(task: str) -> Prompt[str]:
    return Prompt(task)


@workflow
def all_fixed(tasks: list[str]) -> list[str]:
    return fix_one.map(tasks)


def test_agents_beside_one_another_do_not_wait_for_one_another() -> None:
    program = only(
        exported(lambda runtime: runtime.run(all_fixed, ["a", "b"]), commands(("make",), ("ls",)))
    )
    assert [step[:2] for step in told(program)] == [
        ("call", ()),
        ("call", ()),
        ("bash make", (0,)),
        ("bash make", (1,)),
        ("call", (2,)),
        ("call", (3,)),
        ("bash ls", (4,)),
        ("bash ls", (5,)),
        ("call", (6,)),
        ("call", (7,)),
    ]


async def free(runtime: Runtime) -> None:
    request = Request(messages=(Message("user", "?"),))
    async with runtime.program("free") as program:
        await asyncio.sleep(5.0)
        await program.complete(request)
        await asyncio.sleep(7.0)
        await program.tool(look, "x")
        await asyncio.sleep(11.0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(program.complete(request))
            tasks.create_task(program.complete(request))


def test_free_python_goes_by_the_times_and_its_own_time_is_a_gap() -> None:
    workload = exported(free)
    assert told(only(workload)) == [
        ("call", (), 5.0),
        ("look", (0,), 1.0),
        ("call", (1,), 18.0),  # before the tool and after it: tools begin at once
        ("call", (1,), 18.0),
    ]
    told_of = "In programs in free Python a step waits for all that had ended when it began."
    assert told_of in workload.modelled


def test_attempts_that_failed_are_left_out_and_said() -> None:
    answers = iter([RateLimited("x", retry_after_s=9.0), "fine"])
    workload = exported(lambda runtime: runtime.run(asked, "x"), lambda _: next(answers))
    assert told(only(workload)) == [("call", (), 11.0)]
    assert any(sentence.startswith("1 attempts that failed") for sentence in workload.modelled)


@workflow
def counted(text: str) -> int:
    return count(text)


def test_an_answer_that_was_asked_for_again_is_two_calls() -> None:
    answers = iter(["seven", '{"answer": 7}'])
    program = only(exported(lambda runtime: runtime.run(counted, "x"), lambda _: next(answers)))
    assert told(program) == [("call", (), 0.0), ("call", (0,), 0.0)]


def test_several_runs_are_one_workload_and_share_what_they_shared() -> None:
    async def two(runtime: Runtime) -> None:
        await runtime.run(asked, "x" * 640)
        await asyncio.sleep(10.0)
        await runtime.run(asked, "x" * 640)

    first, second = (program for program in exported(two).programs)
    assert (first.arrival_s, second.arrival_s) == (0.0, 12.0)
    assert first.steps == second.steps


def test_runs_of_different_processes_share_nothing() -> None:
    async def one(runtime: Runtime) -> None:
        await runtime.run(asked, "x" * 640)

    runs = [*ran(one), *ran(one)]
    workload = workload_of(runs, name="w")
    first, second = (program.steps[0] for program in workload.programs)
    assert isinstance(first, CallStep)
    assert isinstance(second, CallStep)
    assert shared_blocks(first.prompt, second.prompt) == 0
    assert any("different processes" in sentence for sentence in workload.modelled)


def test_what_was_not_stored_shares_nothing_and_is_said() -> None:
    [run] = ran(lambda runtime: runtime.run(fixed, "t" * 3_000), commands(("make",)))
    bare = replace(run, attempts=[replace(attempt, detail=None) for attempt in run.attempts])
    workload = workload_of([bare], name="w")
    assert told(only(workload)) == told(only(workload_of([run], name="w")))
    calls = [step for step in only(workload).steps if isinstance(step, CallStep)]
    assert shared_blocks(calls[0].context, calls[1].prompt) == 0
    assert workload.modelled[0] == "Of 2 calls no text is known: they share nothing with any other."
    assert read(write(workload)) == workload


def test_a_run_that_failed_is_as_far_as_it_got() -> None:
    async def fail(runtime: Runtime) -> None:
        await runtime.start(fixed.bind("x")).wait()

    turns = [Completion(tool_calls=(ToolCall("c", "look", '{"query": "x"}'),)), RequestRejected("")]
    workload = exported(fail, turns)
    assert [step[0] for step in told(only(workload))] == ["look", "call", "look"]
    assert "1 runs did not finish: they end where they were." in workload.modelled


def test_runs_with_nothing_in_them_are_no_workload() -> None:
    record = RunRecord(
        run_id="r", workflow="w", graph_hash="", graph=None, input=None, created_at=0.0
    )
    failed = AttemptRecord(
        run_id="r", node_id="a", attempt=1, status="failed", started_s=0.0, finished_s=1.0
    )
    for run in (StoredRun(run=record), StoredRun(run=record, attempts=(failed,))):
        with pytest.raises(InputError, match="nothing to replay"):
            workload_of([run], name="w")


@pytest.mark.parametrize("graph", [None, {"nodes": "damaged"}, []])
def test_a_graph_that_cannot_be_read_leaves_the_times(graph: Any) -> None:
    [run] = ran(lambda runtime: runtime.run(fixed, "x"), commands(("make",)))
    lost = replace(run, run=replace(run.run, graph=graph))
    assert told(only(workload_of([lost], name="w"))) == [
        ("look", (), 1.0),
        ("call", (0,), 0.0),
        ("bash make", (1,), 3.0),
        ("call", (2,), 0.0),
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ids", "prompt", "context", "characters", "ready_s"]), inner
        )
    ),
    max_leaves=12,
)


@given(
    json_values
    | st.fixed_dictionaries(
        {
            "ids": json_values,
            "prompt": st.lists(st.lists(st.integers(-1, 3), min_size=2, max_size=2), max_size=2),
            "context": st.lists(st.lists(st.integers(-1, 3), min_size=2, max_size=2), max_size=2),
            "characters": st.lists(st.integers(-1, 3), min_size=2, max_size=2),
            "ready_s": json_values,
        }
    )
)
def test_whatever_a_store_holds_is_a_detail_or_none(data: Any) -> None:
    detail = detail_from_json(data)
    if detail is not None:
        assert detail_from_json(detail.to_json()) == detail
        assert isinstance(detail, CallDetail)


def test_the_same_ids_are_read_as_they_were_written() -> None:
    [run] = ran(lambda runtime: runtime.run(fixed, "t" * 3_000), commands(("make",)))
    for attempt in run.attempts:
        detail = detail_from_json(attempt.detail)
        assert detail is not None
        assert detail.to_json() == attempt.detail
