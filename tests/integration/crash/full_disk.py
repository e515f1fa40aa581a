"""Runs a workflow on a SQLite store that may grow no further after a while; prints how it went."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from typing import Any

from agentrt.backends.scripted import ScriptedBackend
from agentrt.dsl.decorators import tool, workflow
from agentrt.errors import StoreError
from agentrt.ir.event import Event, NodeFinished
from agentrt.runtime import Runtime

MOST_BYTES = 400_000
reported: list[str] = []
written: list[int] = []
is_full = sys.argv[2] == "sync"


@tool(effects="read")
async def fetch(number: int) -> str:
    if is_full:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    await asyncio.sleep(0.02 * number)  # one after another on a busy machine, too
    return f"{number}" * 20_000


@tool(effects="write")
async def publish(text: str) -> int:
    written.append(len(text))
    return len(text)


@tool(effects="none")
async def sizes(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


@workflow
def read_much(numbers: list[int]) -> list[int]:
    return sizes(fetch.map(numbers))


@workflow
def publish_much(numbers: list[int]) -> list[int]:
    return publish.map(fetch.map(numbers))


def on_event(event: Event) -> None:
    if isinstance(event, NodeFinished):
        reported.append(event.node_id)


async def with_a_handle(store: str, name: str) -> dict[str, Any]:
    """Everything a caller can see who asks for it."""
    called = {"read": read_much, "publish": publish_much}[name]
    async with Runtime(ScriptedBackend(), store=store, on_event=on_event) as runtime:
        result = await runtime.start(called.bind(list(range(60))), run_id="r1").wait()
        return {
            "status": result.status,
            "output": result.output,
            "error": None if result.error is None else type(result.error).__name__,
            "store_error": str(result.store_error),
            "reported": reported,
            "written": len(written),
        }


def main() -> None:
    store, name = sys.argv[1:]
    told: Any
    if name == "sync":
        told = Runtime(ScriptedBackend(), store=store).run_sync(read_much, list(range(60)))
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, resource.RLIM_INFINITY))
        try:
            told = asyncio.run(with_a_handle(store, name))
        except StoreError as error:
            told = {"raised": str(error)}
    print(json.dumps(told))  # noqa: T201  what the test reads


if __name__ == "__main__":
    main()
