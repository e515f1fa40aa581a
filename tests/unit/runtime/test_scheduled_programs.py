"""Programs as the schedulers hear of them: what is told when, and that all of it comes to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.errors import (
    BackendUnavailable,
    InvariantError,
    RateLimited,
    RequestRejected,
    RunCancelled,
)
from agentrt.ir.node import LLMOptions, Tier
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Capabilities, Completion, Message, Request, ToolCall, Usage
from agentrt.runtime import Runtime
from agentrt.runtime.execution import Execution
from agentrt.runtime.scheduling import Scheduled, Scheduling
from agentrt.scheduler.actions import SendCall
from agentrt.scheduler.events import (
    CallCancelled,
    CallFailed,
    CallFinished,
    CallReady,
    FirstToken,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    ProgramIdle,
    ReplicaUp,
    SchedulerEvent,
    ToolFinished,
    ToolStarted,
)
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.store.memory import MemoryStore
from tests.unit.runtime.scheduled_log import assert_nothing_is_left, replayed, to_the_end

ASK = Request(messages=(Message("user", "?"),))


@tool(effects="read", retries=0)
async def bash(command: str) -> str:
    """Run it."""
    await asyncio.sleep(1.0)
    if command == "false":
        raise OSError("it said no")
    return command.upper()


@tool(effects="none")
async def look(query: str) -> str:
    """Look it up."""
    return query


@llm(retries=2)
def ask(question: str) -> Prompt[str]:
    return Prompt(question)


@llm(tier="small")
def ask_small(question: str) -> Prompt[str]:
    return Prompt(question)


@agent(tools=[bash])
def fix(task: str) -> Prompt[str]:
    return Prompt(task)


@workflow
def asked(question: str) -> str:
    return ask(question)


@workflow
def fixed(task: str) -> str:
    return fix(look(task))


@workflow
def both(question: str) -> list[str]:
    return [ask(question), ask_small(question)]


@workflow
def looked(query: str) -> str:
    return look(query)


def act(*commands: str) -> Callable[[Request], Completion]:
    """An agent's model: one command a turn, then an answer."""

    def answer(request: Request) -> Completion:
        turn = sum(message.role == "assistant" for message in request.messages)
        if turn == len(commands):
            return Completion(text="done")
        arguments = f'{{"command": "{commands[turn]}"}}'
        return Completion(tool_calls=(ToolCall(f"c{turn}", "bash", arguments),))

    return answer


class Watched:
    """A runtime on virtual time whose schedulers are listened to."""

    def __init__(self, backend: ScriptedBackend, **options: Any) -> None:
        self.log: list[Scheduled] = []
        self.clock = VirtualClock()
        scheduling = Scheduling(
            on_scheduled=self.log.append,
            kv_tokens=options.pop("kv", None),
            streams_all=options.pop("streams_all", False),
        )
        self.runtime = Runtime(backend, clock=self.clock, scheduling=scheduling, **options)

    def run(self, main: Callable[[Runtime], Coroutine[Any, Any, Any]]) -> Any:
        async def entered() -> Any:
            async with self.runtime:
                return await main(self.runtime)

        return to_the_end(self.clock, entered())

    @property
    def events(self) -> list[SchedulerEvent]:
        return [entry.event for entry in self.log]

    def of(self, *kinds: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]


def test_an_agents_story_is_told_in_full() -> None:
    watched = Watched(
        ScriptedBackend(act("cd x && pytest -q", "false"), latency_s=2.0, max_concurrency=3),
        deadline_s=60.0,
    )
    watched.run(lambda runtime: runtime.run(fixed, "t" * 100))
    program = watched.of(ProgramArrived)[0].program_id
    story = [(entry.at, type(entry.event)) for entry in watched.log]
    assert story == [
        (0.0, ProgramArrived),
        (0.0, ReplicaUp),
        (0.0, CallReady),
        (2.0, FirstToken),  # turns are streamed, since `bash` only reads
        (2.0, CallFinished),
        (2.0, ToolStarted),
        (3.0, ToolFinished),
        (3.0, CallReady),
        (5.0, FirstToken),
        (5.0, CallFinished),
        (5.0, ToolStarted),
        (6.0, ToolFinished),
        (6.0, CallReady),
        (8.0, FirstToken),
        (8.0, CallFinished),
        (8.0, ProgramFinished),
    ]
    assert watched.of(ProgramArrived, ProgramFinished, ReplicaUp) == [
        ProgramArrived(program_id=program, workflow="fixed", deadline_at=60.0),
        ReplicaUp(replica_id="scripted", kv_blocks=None, max_running=3),
        ProgramFinished(program),
    ]
    assert watched.of(ToolStarted, ToolFinished) == [
        ToolStarted(program, "t1", "bash", "pytest", "c1"),
        ToolFinished(program, "t1"),
        ToolStarted(program, "t2", "bash", "false", "c2"),
        ToolFinished(program, "t2"),
    ]
    assert_nothing_is_left(watched.log)


@workflow
def all_fixed(tasks: list[str]) -> list[str]:
    return fix.map(tasks)


def test_tools_are_told_with_the_turn_that_asked_and_agents_that_ask_for_none_have_ended() -> None:
    watched = Watched(ScriptedBackend(act("x"), latency_s=lambda r: len(r.messages[0].content)))
    watched.run(lambda runtime: runtime.run(all_fixed, ["a", "bb"]))
    assert [(e.tool_call_id, e.call_id) for e in watched.of(ToolStarted)] == [
        ("t1", "c1"),
        ("t2", "c2"),
    ]
    ended = {event.call_id: event.is_last for event in watched.of(CallFinished)}
    assert ended == {"c1": False, "c2": False, "c3": True, "c4": True}
    assert {event.is_last for event in watched.of(CallReady)} == {False}


def test_a_call_of_a_function_is_the_last_of_its_kind() -> None:
    watched = Watched(ScriptedBackend("x"))
    watched.run(lambda runtime: runtime.run(asked, "?"))
    assert [event.is_last for event in watched.of(CallReady, CallFinished)] == [True, True]


@llm(output_retries=2)
def count(question: str) -> Prompt[int]:
    return Prompt(question)


@agent(tools=[bash], max_turns=2)
def fix_soon(task: str) -> Prompt[str]:
    return Prompt(task)


@agent(tools=[bash], max_total_tokens=60)
def fix_cheaply(task: str) -> Prompt[str]:
    return Prompt(task)


@agent(tools=[bash], output_retries=1)
def fix_and_count(task: str) -> Prompt[int]:
    return Prompt(task)


@workflow
def counted(question: str) -> int:
    return count(question)


@workflow
def fixed_soon(task: str) -> str:
    return fix_soon(task)


@workflow
def fixed_cheaply(task: str) -> str:
    return fix_cheaply(task)


@workflow
def fixed_and_counted(task: str) -> int:
    return fix_and_count(task)


WRONG, RIGHT = "many", '{"answer": 3}'
ACT = Completion(tool_calls=(ToolCall("c", "bash", '{"command": "x"}'),), usage=Usage(20, 0, 20))
WRITTEN = Completion(text='<tool_call>{"name": "bash", "arguments": {"command": "x"}}</tool_call>')
NO, YES = False, True


@pytest.mark.parametrize(
    ("call", "answers", "told"),
    [
        # Each call: whether it was told to be the last when it was ready, and when it had its answer.
        (counted, [RIGHT], [(NO, YES)]),
        (counted, [WRONG, RIGHT], [(NO, NO), (NO, YES)]),
        (counted, [WRONG, WRONG, RIGHT], [(NO, NO), (NO, NO), (YES, YES)]),
        (counted, [WRONG, WRONG, WRONG], [(NO, NO), (NO, NO), (YES, YES)]),
        (fixed_soon, [ACT, "done"], [(NO, NO), (YES, YES)]),
        (fixed_soon, [ACT, ACT], [(NO, NO), (YES, YES)]),
        (fixed, [WRITTEN, "done"], [(NO, NO), (NO, YES)]),
        (fixed_cheaply, [ACT, ACT], [(NO, NO), (NO, YES)]),
        (fixed_and_counted, [ACT, WRONG, RIGHT], [(NO, NO), (NO, NO), (NO, YES)]),
        (fixed_and_counted, [WRONG, WRONG], [(NO, NO), (NO, YES)]),
    ],
)
def test_a_call_is_the_last_if_no_prompt_can_go_on_from_its_answer(
    call: Any, answers: list[str | Completion], told: list[tuple[bool, bool]]
) -> None:
    backend = ScriptedBackend(answers)
    watched = Watched(backend)
    watched.run(lambda runtime: runtime.start(call.bind("?")).wait())
    assert len(backend.requests) == len(answers)
    ready, finished = watched.of(CallReady), watched.of(CallFinished)
    assert [(a.is_last, b.is_last) for a, b in zip(ready, finished, strict=True)] == told
    assert_nothing_is_left(watched.log)


def test_each_turn_begins_with_the_blocks_that_the_one_before_left() -> None:
    watched = Watched(ScriptedBackend(act(*["x" * 200] * 3)))
    watched.run(lambda runtime: runtime.run(fixed, "t" * 300))
    ready, finished = watched.of(CallReady), watched.of(CallFinished)
    assert [len(call.chain) for call in ready] == [1, 1, 1, 1]
    for before, after in zip(finished, ready[1:], strict=False):
        assert before.context[0].first == after.chain[0].first == 0
        assert before.context[0].count < after.chain[0].count
    assert all(call.usage != Usage() for call in finished)
    tokens = [call.prompt_tokens for call in ready]
    assert tokens == sorted(tokens)


def test_a_deadline_is_told_on_the_schedulers_clock() -> None:
    watched = Watched(ScriptedBackend("x", latency_s=60.0), deadline_s=5.0)

    async def late(runtime: Runtime) -> None:
        await asyncio.sleep(100.0)
        with pytest.raises(RunCancelled):
            await runtime.run(asked, "?")

    watched.run(late)
    [arrived] = watched.of(ProgramArrived)
    assert arrived.deadline_at == 105.0
    assert watched.of(CallCancelled, ProgramCancelled) == [
        CallCancelled("c1"),
        ProgramCancelled(arrived.program_id),
    ]
    assert_nothing_is_left(watched.log)


def test_a_program_without_calls_is_nobodys_business() -> None:
    watched = Watched(ScriptedBackend("x"))
    watched.run(lambda runtime: runtime.run(looked, "x"))
    assert watched.log == []


def test_a_program_arrives_at_every_pool_that_it_may_use() -> None:
    watched = Watched(ScriptedBackend("x"), small=ScriptedBackend("y"))
    watched.run(lambda runtime: runtime.run(both, "?"))
    arrived = [e.pool for e in watched.log if isinstance(e.event, ProgramArrived)]
    assert arrived == ["large", "small"]
    assert [e.pool for e in watched.log if isinstance(e.event, CallFinished)] == ["large", "small"]
    assert_nothing_is_left(watched.log)


def test_with_one_backend_both_tiers_are_one_pool() -> None:
    watched = Watched(ScriptedBackend("x", max_concurrency=1))
    watched.run(lambda runtime: runtime.run(both, "?"))
    assert len(watched.of(ProgramArrived)) == 1
    assert {entry.pool for entry in watched.log} == {"large"}
    assert_nothing_is_left(watched.log)


def test_tools_are_told_to_the_pools_that_the_program_has_called() -> None:
    watched = Watched(ScriptedBackend("x"), small=ScriptedBackend("y"))

    async def main(runtime: Runtime) -> None:
        async with runtime.program("p") as program:
            await program.tool(look, "before any call")
            await program.complete(ASK)
            await program.tool(look, "after one")

    watched.run(main)
    told = [(e.pool, e.event) for e in watched.log if isinstance(e.event, ToolStarted)]
    [arrived] = watched.of(ProgramArrived)
    assert told == [("large", ToolStarted(arrived.program_id, "t1", "look"))]
    assert_nothing_is_left(watched.log)


def test_the_first_piece_of_a_streamed_answer_is_told_once() -> None:
    watched = Watched(ScriptedBackend("one two three"), on_event=lambda _: None)
    watched.run(lambda runtime: runtime.run(asked, "?"))
    kinds = [type(event) for event in watched.events[2:]]
    assert kinds == [CallReady, FirstToken, CallFinished, ProgramFinished]


@pytest.mark.parametrize(("can_stream", "told"), [(True, [FirstToken("c1")]), (False, [])])
def test_first_pieces_can_be_asked_for_though_nobody_reads_them(
    can_stream: bool, told: list[FirstToken]
) -> None:
    class Streaming(ScriptedBackend):
        async def capabilities(self) -> Capabilities:
            return replace(await super().capabilities(), streaming=can_stream)

    watched = Watched(Streaming("one two three"), streams_all=True)
    assert watched.run(lambda runtime: runtime.run(asked, "?")) == "one two three"
    assert watched.of(FirstToken) == told


def test_another_try_is_another_call() -> None:
    answers = (BackendUnavailable("x"), RateLimited("x", retry_after_s=7.0), "fine")
    watched = Watched(ScriptedBackend(answers))
    assert watched.run(lambda runtime: runtime.run(asked, "?")) == "fine"
    assert [event.call_id for event in watched.of(CallReady)] == ["c1", "c2", "c3"]
    assert watched.of(CallFailed) == [CallFailed("c1", moves=True), CallFailed("c2", moves=True)]
    assert watched.log[-1].at >= 7.0
    assert_nothing_is_left(watched.log)


class Away(ScriptedBackend):
    """Nobody answers when it is asked first."""

    is_back = False

    async def capabilities(self) -> Capabilities:
        if not self.is_back:
            self.is_back = True
            raise BackendUnavailable("nobody there")
        return await super().capabilities()


def test_nobody_is_told_of_a_call_before_a_server_is_there() -> None:
    watched = Watched(Away("fine"))
    assert watched.run(lambda runtime: runtime.run(asked, "?")) == "fine"
    assert [type(event) for event in watched.events] == [
        ProgramArrived,
        ReplicaUp,
        CallReady,
        CallFinished,
        ProgramFinished,
    ]


# -- however it ends -------------------------------------------------------------------------


def test_a_run_that_fails_leaves_nothing() -> None:
    watched = Watched(ScriptedBackend([RequestRejected("no")]))

    async def main(runtime: Runtime) -> str:
        return (await runtime.start(asked.bind("?")).wait()).status

    assert watched.run(main) == "failed"
    assert isinstance(watched.events[-1], ProgramFinished)
    assert_nothing_is_left(watched.log)


@pytest.mark.parametrize("after_s", [0.0, 1.0, 2.5])
def test_a_run_that_is_cancelled_leaves_nothing_wherever_it_was(after_s: float) -> None:
    watched = Watched(ScriptedBackend(act("x"), latency_s=2.0, max_concurrency=1))

    async def main(runtime: Runtime) -> list[str]:
        runs = [runtime.start(fixed.bind("?")) for _ in range(3)]
        await asyncio.sleep(after_s)
        for run in runs:
            run.cancel()
        return [(await run.wait()).status for run in runs]

    assert watched.run(main) == ["cancelled"] * 3
    assert len(watched.of(ProgramCancelled)) == 3
    assert_nothing_is_left(watched.log)


def test_runs_that_never_began_leave_nothing() -> None:
    watched = Watched(ScriptedBackend("x"))

    async def main(runtime: Runtime) -> None:
        runtime.start(asked.bind("?"))
        raise KeyError("before the run's first step")

    with pytest.raises(KeyError):
        watched.run(main)
    assert [type(event) for event in watched.events] == [ProgramArrived, ProgramCancelled]


def test_an_interrupt_leaves_nothing() -> None:
    watched = Watched(ScriptedBackend("x", latency_s=60.0))

    async def main(runtime: Runtime) -> None:
        asyncio.get_running_loop().call_later(1.0, interrupt)
        await runtime.run(asked, "?")

    def interrupt() -> None:
        for task in asyncio.all_tasks():  # as asyncio does on Ctrl-C, with the main task
            task.cancel()

    with pytest.raises(asyncio.CancelledError):
        watched.run(main)
    assert watched.of(CallCancelled, ProgramCancelled) != []
    assert_nothing_is_left(watched.log)


def test_a_bug_of_ours_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(ScriptedBackend("x", latency_s=1.0))

    def broken(*_: object) -> None:
        raise InvariantError("a bug")

    monkeypatch.setattr(Execution, "_finish", broken)

    async def main(runtime: Runtime) -> None:
        with pytest.raises(InvariantError):
            await runtime.run(asked, "?")

    watched.run(main)
    assert isinstance(watched.events[-1], ProgramCancelled)
    assert_nothing_is_left(watched.log)


def test_a_run_whose_id_is_taken_leaves_nothing() -> None:
    watched = Watched(ScriptedBackend("x"), store=MemoryStore())

    async def main(runtime: Runtime) -> list[str]:
        return [(await runtime.start(asked.bind("?"), run_id="r").wait()).status for _ in "ab"]

    assert watched.run(main) == ["finished", "failed"]
    assert_nothing_is_left(watched.log)


def test_a_resumed_run_is_a_new_program() -> None:
    watched = Watched(ScriptedBackend([RequestRejected("no"), "x"]), store=MemoryStore())

    async def main(runtime: Runtime) -> str:
        await runtime.start(asked.bind("?"), run_id="r").wait()
        return await (await runtime.resume("r", asked)).result()

    assert watched.run(main) == "x"
    assert [event.program_id for event in watched.of(ProgramArrived)] == ["r#1", "r#2"]
    assert_nothing_is_left(watched.log)


def test_what_a_program_in_free_python_leaves_behind_is_broken_off() -> None:
    watched = Watched(ScriptedBackend("x", latency_s=60.0, max_concurrency=1))

    async def main(runtime: Runtime) -> list[object]:
        async with runtime.program("p") as program:
            tasks = [asyncio.create_task(program.complete(ASK)) for _ in range(2)]
            tools = asyncio.create_task(program.tool(bash, "x"))
            await asyncio.sleep(0.5)
        await asyncio.wait([*tasks, tools])
        return [type(task.exception()) for task in tasks] + [tools.result()]

    assert watched.run(main) == [RunCancelled, RunCancelled, "X"]
    assert watched.clock.now() == 1.0
    assert isinstance(watched.events[-1], ProgramCancelled)
    assert_nothing_is_left(watched.log)


def test_a_program_that_is_over_waits_for_no_other_try() -> None:
    watched = Watched(ScriptedBackend([RateLimited("slow", retry_after_s=5.0), "never"]))

    async def main(runtime: Runtime) -> object:
        async with runtime.program("p") as program:
            task = asyncio.create_task(program.complete(ASK))
            await asyncio.sleep(1.0)
        await asyncio.wait([task])
        return type(task.exception())

    assert watched.run(main) is RunCancelled
    assert_nothing_is_left(watched.log)


# -- places ----------------------------------------------------------------------------------


def test_programs_beyond_the_kv_cache_wait_and_holds_that_end_wake_them() -> None:
    """Each needs more than half of the cache; the first goes to a long tool and loses its place."""
    watched = Watched(ScriptedBackend(lambda r: "x" * 100, latency_s=1.0), kv=1000 * 64 // 4 // 16)

    async def one(runtime: Runtime, name: str) -> float:
        async with runtime.program(name) as program:
            request = Request(messages=(Message("user", name * 40_000),))
            await program.complete(request)
            sent_at = asyncio.get_running_loop().time()
            await asyncio.sleep(1000.0)
        return sent_at

    async def main(runtime: Runtime) -> list[float]:
        async with asyncio.TaskGroup() as tasks:
            both_ = [tasks.create_task(one(runtime, name)) for name in "ab"]
        return [task.result() for task in both_]

    first, second = watched.run(main)
    assert first == 1.0
    assert 2.0 < second < 1000.0
    sends = [e for e in watched.log for a in e.actions if isinstance(a, SendCall)]
    assert [type(entry.event).__name__ for entry in sends] == ["CallReady", "TimerFired"]
    replayed(watched.log)


def test_programs_that_wait_for_each_others_places_give_way() -> None:
    """Each has the one place at one pool, which it would keep to its end, and waits for the other."""
    log: list[Scheduled] = []
    clock = VirtualClock()
    scheduling = Scheduling(policy=lambda: FixedCap(1), on_scheduled=log.append)
    backends = [ScriptedBackend("x", latency_s=1.0) for _ in range(2)]

    async def one(runtime: Runtime, first: Tier, second: Tier) -> None:
        async with runtime.program(first) as program:
            for tier in (first, second):
                await program.complete(replace(ASK, options=LLMOptions(tier=tier)))

    async def main() -> None:
        async with (
            Runtime(backends[0], small=backends[1], clock=clock, scheduling=scheduling) as runtime,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(one(runtime, "large", "small"))
            tasks.create_task(one(runtime, "small", "large"))

    to_the_end(clock, main())
    gave_way = [(entry.at, entry.pool) for entry in log if isinstance(entry.event, ProgramIdle)]
    assert sorted(gave_way) == [(61.0, "large"), (61.0, "small")]
    assert clock.now() == 62.0
