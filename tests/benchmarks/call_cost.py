"""What a model call costs where the model costs nothing: `python -m tests.benchmarks.call_cost`.

CPU time of the whole process, the least of several rounds. Calls go through the whole runtime, the
scheduler included, to a backend that answers at once and counts no tokens.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable

from agentrt import Prompt, Runtime, agent, llm, tool, workflow
from agentrt.backends.base import OnChunk
from agentrt.ir.request import Capabilities, Completion, Message, Request, ToolCall
from agentrt.runtime.conversations import Conversations
from agentrt.runtime.prompt_chains import PromptChains

ROUNDS = 5
TURNS = 20
AGENTS = 20
LONG_CHARACTERS = 400_000


class AtOnce:
    """Answers at once: with a tool call while there are turns left, where there are tools."""

    name = "at once"

    async def capabilities(self) -> Capabilities:
        return Capabilities(tools=True)

    async def complete(
        self,
        request: Request,
        *,
        on_chunk: OnChunk | None = None,
    ) -> Completion:
        turn = len(request.messages) // 2
        if not request.tools or turn > TURNS:
            return Completion(text="fine")
        return Completion(tool_calls=(ToolCall(f"c{turn}", "noop", '{"value": "a"}'),))

    async def aclose(self) -> None:
        pass


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


SYSTEM = "You are a helpful assistant. " * 40


@llm
def ask(text: str) -> Prompt[str]:
    return Prompt(text, system=SYSTEM)


@tool(effects="none")
async def noop(value: str) -> str:
    """Say something long."""
    return value * 2_000


@agent(tools=[noop])
def act(text: str) -> Prompt[str]:
    return Prompt(text, system=SYSTEM)


@workflow
def asked(texts: list[str]) -> list[str]:
    return ask.map(texts)


@workflow
def acted(texts: list[str]) -> list[str]:
    return act.map(texts)


async def least_us(run: Callable[[], Awaitable[object]], calls: int) -> float:
    """CPU a call, in microseconds: the least of several rounds after one that warms up."""
    found: list[float] = []
    for _ in range(ROUNDS + 1):
        began = time.process_time()
        await run()
        found.append((time.process_time() - began) / calls * 1e6)
    return min(found[1:])


async def calls() -> None:
    async with Runtime(AtOnce()) as runtime:
        for width in (250, 1_000, 4_000):
            texts = [str(number) for number in range(width)]
            us = await least_us(lambda t=texts: runtime.run(asked, t), width)  # type: ignore[misc]  # a default binds it
            say(f"{us:8.0f} us a call, {width:,} at once in one program")
        one = [{"texts": [str(number)]} for number in range(1_000)]
        us = await least_us(lambda: runtime.run_many(asked, one), 1_000)
        say(f"{us:8.0f} us a program of one call, 1,000 at once")
        texts = [str(number) for number in range(AGENTS)]
        us = await least_us(lambda: runtime.run(acted, texts), AGENTS * (TURNS + 1))
        say(f"{us:8.0f} us a turn of an agent and its tool, {AGENTS} agents of {TURNS} turns")


def ms(measure: Callable[[], object]) -> float:
    began = time.process_time()
    measure()
    return (time.process_time() - began) * 1e3


def prompts() -> None:
    letters = random.Random(0).choices("abcdef ", k=LONG_CHARACTERS)
    long = (Message("user", "".join(letters)),)
    chains = PromptChains()
    say(f"{ms(lambda: chains.measured((), long)):8.2f} ms for a prompt of 400,000 characters")
    say(f"{ms(lambda: chains.measured((), long)):8.2f} ms for the same once more")
    talk, messages = Conversations(chains), list(long)
    talk.context(talk.prompt(Request(messages=long)), Message("assistant", "a"), is_last=False)
    messages += [Message("assistant", "a"), Message("tool", "b" * 3_000)]
    grown = Request(messages=tuple(messages))
    say(f"{ms(lambda: talk.prompt(grown)):8.3f} ms for it grown by 3,000, in its conversation")


if __name__ == "__main__":
    prompts()
    asyncio.run(calls())
