"""Runs a workflow that sleeps in every kind of node until it is interrupted; prints what ended."""

from __future__ import annotations

import asyncio
import threading
import time

from agentrt.backends.scripted import ScriptedBackend
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Request, ToolCall
from agentrt.runtime import Runtime

under_way: set[str] = set()
EXPECTED = {"tool a", "tool b", "thread", "agent's tool", "model"}


async def sleep(what: str) -> None:
    begin(what)
    try:
        await asyncio.sleep(3600)
    finally:
        under_way.discard(what)
        print(f"ended {what}", flush=True)  # noqa: T201  what the test reads


def begin(what: str) -> None:
    under_way.add(what)
    if under_way == EXPECTED:
        print("ready", flush=True)  # noqa: T201  likewise


@tool(effects="write")
async def sleeps(what: str) -> str:
    await sleep(what)
    return what


@tool(effects="none")
def blocks() -> str:
    begin("thread")
    time.sleep(0.5)
    print("ended thread", flush=True)  # noqa: T201  likewise
    return "x"


@llm
def ask() -> Prompt[str]:
    return Prompt("?")


@agent(tools=[sleeps])
def act() -> Prompt[str]:
    return Prompt("!")


@tool(effects="none")
async def joined(texts: list[str]) -> str:
    return "".join(texts)


@workflow
def everything(names: list[str]) -> list[str]:
    return [blocks(), ask(), act(), joined(sleeps.map(names))]


async def answer(request: Request) -> Completion | str:
    if request.tools:
        return Completion(tool_calls=(ToolCall("c", "sleeps", '{"what": "agent\'s tool"}'),))
    await sleep("model")
    return "never"


def main() -> None:
    try:
        Runtime(ScriptedBackend(answer)).run_sync(everything, ["tool a", "tool b"])
    except KeyboardInterrupt:
        left = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
        print(f"interrupted {sorted(under_way - {'thread'})} {left}", flush=True)  # noqa: T201  likewise


if __name__ == "__main__":
    main()
