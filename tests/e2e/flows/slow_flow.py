"""Tools that take their time, and leave marks in a file so that tests can see what ran."""

import asyncio
import sys
import time
from pathlib import Path

from agentrt import tool, workflow


@tool(effects="none")
def quick(marks: str) -> str:
    mark(marks, "quick")
    return marks


@tool(effects="read", retries=0)
async def slow(marks: str, seconds: float) -> str:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(600)"
    )
    mark(marks, f"child {child.pid}")
    try:
        await asyncio.sleep(seconds)
    finally:
        child.kill()
        await child.wait()
    return "slept"


@tool(effects="write")
async def publish(marks: str, seconds: float) -> str:
    mark(marks, "publish")
    await asyncio.sleep(seconds)
    return "published"


@tool(effects="none")
def stubborn(marks: str, seconds: float) -> str:
    mark(marks, "stubborn")
    time.sleep(seconds)
    return "woke"


@workflow
def nap(marks: str, seconds: float) -> str:
    return slow(quick(marks), seconds)


@workflow
def release(marks: str, seconds: float) -> str:
    return publish(quick(marks), seconds)


@workflow
def sleeper(marks: str, seconds: float) -> str:
    return stubborn(quick(marks), seconds)


def mark(marks: str, line: str) -> None:
    with Path(marks).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
