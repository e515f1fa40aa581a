"""Under a virtual clock a run is its program, its answers and its seed, and nothing else.

But for synchronous tools: which of two threads ends first is the machine's to say.
"""

from __future__ import annotations

import asyncio
import random

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.errors import RateLimited
from agentrt.ir.event import Event
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Request, ToolCall
from agentrt.runtime import Runtime
from agentrt.store.memory import MemoryStore

_chances = random.Random()


@tool(effects="read", retries=3, timeout_s=5.0)
async def fetch(item: str) -> str:
    await asyncio.sleep(_chances.choice([0.5, 1.0, 9.0]))
    if _chances.random() < 0.3:
        raise OSError("down")
    return item.upper()


@tool(effects="none")
async def shout(text: str) -> str:
    return text + "!"


@llm(retries=5)
def ask(text: str) -> Prompt[str]:
    return Prompt(text)


@agent(tools=[fetch, shout], retries=5)
def act(text: str) -> Prompt[str]:
    return Prompt(text)


@workflow
def all_of_it(items: list[str]) -> list[list[str]]:
    return [ask.map(shout.map(fetch.map(items))), [act("x"), act("y")]]


def script(request: Request) -> Completion | str | Exception:
    if _chances.random() < 0.2:
        return RateLimited("slow down", retry_after_s=1.0)
    if request.tools and request.messages[-1].role != "tool":
        calls = [("fetch", '{"item": "a"}'), ("shout", '{"text": "b"}'), ("shout", "{")]
        return Completion(
            tool_calls=tuple(ToolCall(f"c{i}", *call) for i, call in enumerate(calls))
        )
    return request.messages[-1].content


def told(seed: int) -> bytes:
    """Every event of a run and its result, as text."""
    _chances.seed(seed)
    events: list[Event] = []
    clock, store = VirtualClock(), MemoryStore()

    async def main() -> str:
        async with Runtime(
            ScriptedBackend(script, latency_s=0.1, max_concurrency=2),
            clock=clock,
            store=store,
            seed=seed,
            on_event=events.append,
            on_error="collect",
        ) as runtime:
            run = runtime.start(all_of_it.bind(["a", "b", "c", "d"]), run_id="r1")
            result = await run.wait()
        return f"{result.output} {result.nodes} {await store.load('r1')}"

    ending = clock.run(main())
    return "\n".join([*map(repr, events), ending]).encode()


def test_the_same_seed_gives_the_same_events_byte_for_byte() -> None:
    for seed in range(10):
        assert told(seed) == told(seed)


def test_another_seed_gives_other_events() -> None:
    assert len({told(seed) for seed in range(5)}) == 5
