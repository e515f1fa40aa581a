"""Programs in free Python: the same queues, the same records."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import llm, tool, workflow
from agentrt.errors import (
    BackendUnavailable,
    DefinitionError,
    InputError,
    RateLimited,
    ToolError,
)
from agentrt.ir.event import Event, NodeFinished, RunFinished
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Message, Request, ToolCall
from agentrt.runtime import Runtime
from agentrt.store.memory import MemoryStore

QUESTION: Any = [{"role": "user", "content": "Why?"}]


@tool(effects="read", retries=1)
async def search(query: str, limit: int = 3) -> list[str]:
    if query == "broken":
        raise OSError("down")
    return [f"{query} {number}" for number in range(limit)]


@tool(effects="none")
def shout(text: str) -> str:
    return text.upper()


async def test_a_program_asks_through_an_openai_client() -> None:
    backend = ScriptedBackend("Because.")
    async with Runtime(backend) as runtime, runtime.program("triage") as program:
        reply = await program.client.chat.completions.create(
            model="", messages=QUESTION, temperature=0.5, max_tokens=9
        )
        assert reply.choices[0].message.content == "Because."
        assert reply.usage is not None
        assert reply.usage.completion_tokens == program.usage.completion_tokens
    [request] = backend.requests
    assert request.messages == (Message("user", "Why?"),)
    assert (request.program_id, request.node_id) == (program.run_id, "llm[0]")
    assert (request.options.temperature, request.options.max_tokens) == (0.5, 9)


async def test_a_program_takes_its_answer_piece_by_piece() -> None:
    async with Runtime(ScriptedBackend("one two three")) as runtime:
        async with runtime.program("triage") as program:
            stream = await program.client.chat.completions.create(
                model="", messages=QUESTION, stream=True
            )
            pieces = [c.choices[0].delta.content async for c in stream if c.choices]
        assert "".join(piece or "" for piece in pieces) == "one two three"
        assert len([piece for piece in pieces if piece]) == 3
        [node] = program.nodes
        assert (node.node_id, node.status) == ("llm[0]", "finished")


async def test_tool_calls_of_the_model_reach_the_program() -> None:
    call = ToolCall("c0", "search", '{"query": "x"}')
    backend = ScriptedBackend([Completion(tool_calls=(call,), finish_reason="tool_calls")])
    async with Runtime(backend) as runtime, runtime.program("agent") as program:
        reply = await program.client.chat.completions.create(model="", messages=QUESTION)
        [made] = reply.choices[0].message.tool_calls or []
        assert made.type == "function"
        assert (made.id, made.function.name) == ("c0", "search")


async def test_a_program_is_kept_like_any_run() -> None:
    store = MemoryStore()
    events: list[Event] = []
    backend = ScriptedBackend("Because.")
    async with (
        Runtime(backend, store=store, on_event=events.append) as runtime,
        runtime.program("triage") as program,
    ):
        assert await program.tool(search, "x", limit=2) == ["x 0", "x 1"]
        assert await program.tool(shout, text="a") == "A"
        await program.client.chat.completions.create(model="", messages=QUESTION)
        assert await program.tool(search, "y", limit=1) == ["y 0"]
    kept = await store.load(program.run_id)
    assert (kept.run.workflow, kept.run.status, kept.run.graph) == ("triage", "finished", None)
    assert [(node.node_id, node.status) for node in kept.nodes] == [
        ("search[0]", "finished"),
        ("shout[0]", "finished"),
        ("llm[0]", "finished"),
        ("search[1]", "finished"),
    ]
    assert kept.nodes[0].value == ["x 0", "x 1"]
    assert kept.nodes[2].usage == program.usage
    finished = [event.node_id for event in events if isinstance(event, NodeFinished)]
    assert finished == ["search[0]", "shout[0]", "llm[0]", "search[1]"]
    assert isinstance(events[-1], RunFinished)


async def test_what_goes_wrong_in_a_program_is_raised_where_it_was_asked_for() -> None:
    store = MemoryStore()
    backend = ScriptedBackend([RateLimited("slow down", retryable=False), "fine"])
    async with (
        Runtime(backend, store=store) as runtime,
        runtime.program("triage") as program,
    ):
        with pytest.raises(ToolError, match="OSError: down"):
            await program.tool(search, "broken")
        with pytest.raises(openai.RateLimitError, match="slow down"):
            await program.client.chat.completions.create(model="", messages=QUESTION)
        with pytest.raises(InputError):
            await program.tool(search, 7)  # type: ignore[arg-type]  # on purpose
        with pytest.raises(InputError):
            await program.tool(search)  # type: ignore[arg-type]  # likewise
        with pytest.raises(DefinitionError):
            await program.tool(len, [1])
        reply = await program.client.chat.completions.create(model="", messages=QUESTION)
        assert reply.choices[0].message.content == "fine"
    kept = await store.load(program.run_id)
    assert kept.run.status == "finished"
    assert [(node.node_id, node.status) for node in kept.nodes] == [
        ("search[0]", "failed"),
        ("llm[0]", "failed"),
        ("llm[1]", "finished"),
    ]


def test_a_programs_requests_are_tried_again_by_the_runtime() -> None:
    clock = VirtualClock()
    backend = ScriptedBackend([BackendUnavailable("gone"), "back"])

    async def main() -> Completion:
        async with Runtime(backend, clock=clock) as runtime, runtime.program("p") as program:
            return await program.complete(Request(messages=(Message("user", "?"),)))

    assert clock.run(main()).text == "back"
    assert len(backend.requests) == 2


async def test_a_program_that_raises_is_kept_as_failed() -> None:
    store = MemoryStore()
    async with Runtime(ScriptedBackend(), store=store) as runtime:
        with pytest.raises(KeyError):
            async with runtime.program("triage") as program:
                raise KeyError("mine")
        run = (await store.load(program.run_id)).run
        assert (run.status, run.error) == ("failed", "KeyError: 'mine'")


def test_a_program_that_is_cancelled_is_kept_as_cancelled() -> None:
    store = MemoryStore()
    clock = VirtualClock()
    ids: list[str] = []

    async def work(runtime: Runtime) -> None:
        async with runtime.program("triage") as program:
            ids.append(program.run_id)
            await program.client.chat.completions.create(model="", messages=QUESTION)

    async def main() -> None:
        async with Runtime(ScriptedBackend("x", latency_s=60), store=store, clock=clock) as runtime:
            task = asyncio.create_task(work(runtime))
            await clock.sleep(1.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await store.load(ids[0])).run.status == "cancelled"

    clock.run(main())
    assert clock.now() == 1.0


async def test_a_program_that_is_over_does_nothing_more() -> None:
    async with Runtime(ScriptedBackend("x")) as runtime:
        async with runtime.program("triage") as program:
            client = program.client
        with pytest.raises(Exception, match="is over"):
            await program.tool(shout, "a")
        with pytest.raises(Exception, match="is over"):
            await program.complete(Request(messages=(Message("user", "?"),)))
        with pytest.raises((RuntimeError, openai.APIError)):
            await client.chat.completions.create(model="", messages=QUESTION)
        assert program.nodes == ()


def test_programs_and_workflows_stand_in_one_queue() -> None:
    @llm
    def ask(question: str) -> Prompt[str]:
        return Prompt(question)

    @workflow
    def several(questions: list[str]) -> list[str]:
        return ask.map(questions)

    clock = VirtualClock()
    backend = ScriptedBackend(lambda r: r.messages[-1].content, latency_s=1.0, max_concurrency=1)

    async def free(runtime: Runtime) -> None:
        async with runtime.program("free") as program, asyncio.TaskGroup() as tasks:
            for name in ("f1", "f2"):
                request = Request(messages=(Message("user", name),))
                tasks.create_task(program.complete(request))

    async def main() -> None:
        async with Runtime(backend, clock=clock) as runtime, asyncio.TaskGroup() as tasks:
            tasks.create_task(runtime.run(several, ["a", "b", "c"]))
            await asyncio.sleep(0)
            tasks.create_task(free(runtime))

    clock.run(main())
    assert [r.messages[-1].content for r in backend.requests] == ["a", "b", "c", "f1", "f2"]
