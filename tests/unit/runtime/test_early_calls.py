"""Tool calls of an agent start when they are written, where that can do no harm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agentrt.backends.base import OnChunk
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import agent, tool, workflow
from agentrt.dsl.functions import ToolFunction
from agentrt.errors import BackendUnavailable
from agentrt.ir.event import Event
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Capabilities, Chunk, Completion, Request, ToolCall
from agentrt.runtime import RunResult, Runtime
from agentrt.runtime.early_calls import EarlyCalls
from agentrt.store.memory import MemoryStore


def call(number: int, name: str, arguments: str) -> ToolCall:
    return ToolCall(f"c{number}", name, arguments)


@dataclass
class Writing:
    """An answer that takes a second for each call, and one more for its end; or breaks off there."""

    calls: tuple[ToolCall, ...] = ()
    text: str = ""
    is_broken: bool = False
    as_it_ends: tuple[ToolCall, ...] | None = None


@dataclass
class WritingBackend:
    """Streams one answer after another, with its calls as they are written."""

    answers: Sequence[Writing]
    name: str = "writing"
    requests: list[Request] = field(default_factory=list)

    async def capabilities(self) -> Capabilities:
        return Capabilities(models=("writing",), tools=True, streaming=True)

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        writing = self.answers[len(self.requests)]
        self.requests.append(request)
        for each in writing.calls:
            await asyncio.sleep(1.0)
            if on_chunk is not None:
                on_chunk(Chunk(tool_calls=(each,)))
        await asyncio.sleep(1.0)
        if writing.is_broken:
            raise BackendUnavailable("gone", retryable=True)
        calls = writing.calls if writing.as_it_ends is None else writing.as_it_ends
        return Completion(text=writing.text, tool_calls=calls)

    async def aclose(self) -> None:
        """Nothing to give up."""


@dataclass
class World:
    """What the tools did, and when."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    log: list[tuple[float, str]] = field(default_factory=list)

    def note(self, what: str) -> None:
        self.log.append((self.clock.now() - self.began_s, what))

    began_s: float = 0.0


Made = Callable[..., RunResult[Any]]


@dataclass
class Agent:
    """An agent with tools of all effects, ready to run."""

    world: World = field(default_factory=World)
    store: MemoryStore | None = None
    without: tuple[str, ...] = ()
    events: list[Event] = field(default_factory=list)

    def run(
        self, *answers: Writing, timeout_s: float | None = None, cancel_at_s: float | None = None
    ) -> RunResult[Any]:
        world = self.world

        @tool(effects="read")
        async def look(at: str) -> str:
            """Look."""
            world.note(f"look {at}")
            try:
                await asyncio.sleep(3.0)
            except asyncio.CancelledError:
                world.note(f"no more {at}")
                raise
            if at == "nothing":
                raise ValueError("nothing to see")
            return f"saw {at}"

        @tool(effects="write")
        async def put(what: str) -> str:
            """Put."""
            world.note(f"put {what}")
            return "done"

        @agent(tools=[look, put], max_turns=5, retries=3, timeout_s=timeout_s)
        def act(question: str) -> Prompt[str]:
            return Prompt(question)

        @workflow
        def main(question: str) -> str:
            return act(question)

        async def ran() -> RunResult[Any]:
            world.began_s = world.clock.now()
            backend = WritingBackend(answers)
            async with Runtime(
                backend, clock=world.clock, store=self.store, without=self.without,
                on_event=self.events.append, seed=1,
            ) as runtime:  # fmt: skip
                started = runtime.start(main.bind("go"))
                if cancel_at_s is not None:
                    await world.clock.sleep(cancel_at_s)
                    started.cancel()
                result = await started.wait()
                assert len(asyncio.all_tasks()) == 1, "something was left running"
                return result

        return world.clock.run(ran())


LOOK_A = call(0, "look", '{"at": "a"}')
LOOK_B = call(1, "look", '{"at": "b"}')
PUT = call(2, "put", '{"what": "x"}')
DONE = Writing(text="done")


def test_reads_start_when_they_are_written() -> None:
    made = Agent()
    result = made.run(Writing((LOOK_A, LOOK_B)), DONE)
    assert made.world.log == [(1.0, "look a"), (2.0, "look b")]
    # The message ends at 3, the second tool at 5, the answer takes one more.
    assert (result.output, result.duration_s) == ("done", 6.0)


def test_without_the_pass_they_wait_for_the_end_of_the_message() -> None:
    made = Agent(without=("early-dispatch",))
    result = made.run(Writing((LOOK_A, LOOK_B)), DONE)
    assert made.world.log == [(3.0, "look a"), (3.0, "look b")]
    assert (result.output, result.duration_s) == ("done", 7.0)


def test_the_model_sees_the_same_either_way() -> None:
    seen: list[Any] = []
    for without in ((), ("early-dispatch",)):
        events: list[Event] = []
        made = Agent(without=without, events=events)
        nodes = made.run(
            Writing((LOOK_A, call(1, "look", '{"at": "nothing"}'), PUT, LOOK_B)), DONE
        ).nodes
        seen.append([(node.node_id, node.status, node.attempts) for node in nodes])
    assert seen[0] == seen[1]


def test_a_write_waits_for_the_end_and_what_follows_it_waits_for_the_write() -> None:
    made = Agent()
    made.run(Writing((LOOK_A, PUT, LOOK_B)), DONE)
    # The message ends at 4, when the first look ends too.
    assert made.world.log == [(1.0, "look a"), (4.0, "put x"), (4.0, "look b")]


def test_an_answer_that_breaks_off_keeps_what_the_next_one_asks_for_again() -> None:
    made = Agent()
    result = made.run(Writing((LOOK_A, LOOK_B), is_broken=True), Writing((LOOK_B, PUT)), DONE)
    looks = [what for _, what in made.world.log if what.startswith("look")]
    assert looks == ["look a", "look b"]
    assert (result.status, result.output) == ("finished", "done")
    assert [n.node_id for n in result.nodes if n.kind == "tool"] == [
        "act[0].look[0]",
        "act[0].put[0]",
    ]


def test_what_the_whole_answer_does_not_ask_for_is_dropped() -> None:
    made = Agent()
    result = made.run(Writing((LOOK_A, LOOK_B), as_it_ends=(LOOK_B,)), DONE)
    assert made.world.log == [(1.0, "look a"), (2.0, "look b"), (3.0, "no more a")]
    assert [n.node_id for n in result.nodes if n.kind == "tool"] == ["act[0].look[0]"]


@pytest.mark.parametrize(
    "answers",
    [
        (Writing((LOOK_A,), is_broken=True), Writing((PUT, LOOK_A))),
        (Writing((LOOK_A,), as_it_ends=(PUT, LOOK_A)),),
    ],
)
def test_what_the_whole_answer_asks_for_after_a_write_was_not_seen_before_it(
    answers: Sequence[Writing],
) -> None:
    made = Agent()
    result = made.run(*answers, DONE)
    assert (result.status, result.output) == ("finished", "done")
    what = [what for _, what in made.world.log]
    assert (what[0], what[-2:]) == ("look a", ["put x", "look a"])


def test_of_equal_calls_before_and_after_a_write_the_later_ones_are_made_after_it() -> None:
    made = Agent()
    again = replace(LOOK_A, id="again")
    made.run(Writing((LOOK_A, again), is_broken=True), Writing((LOOK_A, PUT, again)), DONE)
    what = [what for _, what in made.world.log]
    assert what[-2:] == ["put x", "look a"]


def test_equal_calls_of_one_message_are_each_made() -> None:
    made = Agent()
    made.run(Writing((LOOK_A, replace(LOOK_A, id="other"))), DONE)
    assert made.world.log == [(1.0, "look a"), (2.0, "look a")]


def test_arguments_that_do_not_fit_and_tools_that_are_not_there_are_for_the_model_to_know() -> None:
    made = Agent()
    result = made.run(
        Writing((call(0, "look", "{}"), call(1, "no_tool", "{}"), call(2, "look", '{"at": 1}'))),
        DONE,
    )
    assert (result.status, made.world.log) == ("finished", [])


@pytest.mark.parametrize("cancel_at_s", [0.5, 1.5, 2.5, 3.5, 5.5])
def test_cancelling_leaves_nothing_running(cancel_at_s: float) -> None:
    made = Agent()
    result = made.run(Writing((LOOK_A, LOOK_B)), DONE, cancel_at_s=cancel_at_s)
    assert result.status == "cancelled"
    assert result.duration_s == cancel_at_s


def test_an_agent_that_runs_out_of_time_leaves_nothing_running() -> None:
    made = Agent()
    result = made.run(Writing((LOOK_A, LOOK_B)), DONE, timeout_s=2.5)
    assert result.status == "failed"
    assert made.world.log[-2:] == [(2.5, "no more a"), (2.5, "no more b")]


def test_a_stored_run_says_when_they_started() -> None:
    made = Agent(store=MemoryStore())
    result = made.run(Writing((LOOK_A,)), DONE)
    (look,) = [node for node in result.nodes if node.kind == "tool"]
    assert (look.started_s, look.finished_s) == (1.0, 4.0)


def test_a_turn_is_forgotten_when_all_that_it_started_is_taken() -> None:
    @tool(effects="read")
    async def look(at: str) -> str:
        return at

    async def start(tool: ToolFunction[..., Any], arguments: dict[str, Any], **_: Any) -> Any:
        return await tool.function(**arguments)

    async def main() -> list[int]:
        early = EarlyCalls(now=lambda: 0.0)
        lengths: list[int] = []
        async with asyncio.TaskGroup() as early.tasks:
            for number in range(2):
                turn = early.turn(f"turn{number}", {"look": look}, ("look",), start)
                assert turn is not None
                turn(Chunk(tool_calls=(LOOK_A,)))
                turn.keep_only(Completion(tool_calls=(LOOK_A,) * number))
                lengths.append(len(early))
            taken = early.take("turn1", LOOK_A)
            assert taken is not None
            assert await taken.result(lambda _: None, lambda *_: None) == "a"
        return [*lengths, len(early)]

    assert asyncio.run(main()) == [0, 1, 0]
