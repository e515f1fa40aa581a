"""A process that dies at any moment, a run that is resumed: nothing that writes happens twice."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from agentrt.backends.base import OnChunk
from agentrt.dsl.decorators import tool, workflow
from agentrt.dsl.planned import plan_and_run
from agentrt.errors import ResumeError
from agentrt.ir.request import Capabilities, Chunk, Completion, Request
from agentrt.runtime import Run, Runtime
from agentrt.store.base import Record
from agentrt.store.memory import MemoryStore

_made: list[tuple[str, int]] = []
"""What was written, and how many records were kept by then."""
_kept: list[Record] = []


@pytest.fixture(autouse=True)
def nothing_made_yet() -> None:
    _made.clear()
    _kept.clear()


@tool(effects="read")
async def search(query: str) -> str:
    """Find a passage."""
    return f"about {query}"


@tool(effects="write")
async def note(text: str) -> str:
    """Write it down."""
    _made.append((text, len(_kept)))
    await asyncio.sleep(0)
    return "noted"


@workflow
def ask(question: str) -> str:
    return plan_and_run(tools=[search, note], question=question, name="ask")


class Planner:
    """Streams the plans it was given, slowly after their ends; joiners are answered at once."""

    name = "planner"

    def __init__(self, *plans: str) -> None:
        self._plans = plans

    async def capabilities(self) -> Capabilities:
        return Capabilities(models=("m",), streaming=True, json_schema=True)

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        plan = int(request.node_id.removeprefix("ask[")[0])
        if ".join" in request.node_id:
            is_last = plan + 1 == len(self._plans)
            return Completion(text='{"answer": "so"}' if is_last else '{"replan": "more"}')
        text = self._plans[plan]
        for start in range(0, len(text), 9):
            await asyncio.sleep(0)
            if on_chunk is not None:
                on_chunk(Chunk(text[start : start + 9]))
        for _ in range(20):  # tools could do a lot meanwhile
            await asyncio.sleep(0)
        return Completion(text=text)

    async def aclose(self) -> None:
        """Nothing to give up."""


class Keeping(MemoryStore):
    """Knows what it was given, in order: what a disk would have held at any moment."""

    def write(self, record: Record) -> None:
        _kept.append(record)
        super().write(record)


async def _resumed(records: list[Record], planner: Planner) -> None:
    store = MemoryStore()
    for record in records:
        store.write(record)
    await store.release("r")  # its owner is no more
    async with Runtime(planner, store=store) as runtime:
        run: Run[str]
        try:
            run = await runtime.resume("r", ask)
        except ResumeError:
            run = await runtime.resume("r", ask, in_flight="skip")
        assert (await run.wait()).output == "so"


async def test_whenever_it_dies_and_whatever_is_planned_then_no_write_is_made_twice() -> None:
    first = Planner(
        '1 search(query="a")\n2 note(text="n")\n3 search(query="b")\n4 note(text=$3)\njoin\n',
        '5 note(text="n")\n6 note(text="z")\njoin\n',
    )
    other = Planner(
        '1 note(text="n")\n2 search(query="b")\n3 note(text=$2)\njoin\n',
        '5 note(text="z")\njoin\n',
    )
    async with Runtime(first, store=Keeping()) as runtime:
        await runtime.start(ask.bind("why?"), run_id="r").wait()
    kept, made = list(_kept), list(_made)
    assert [text for text, _ in made] == ["n", "about b", "z"]
    for count in range(1, len(kept)):
        _made.clear()
        await _resumed(kept[:count], other)
        before = Counter(text for text, at in made if at <= count)
        assert set((before + Counter(text for text, _ in _made)).values()) == {1}
