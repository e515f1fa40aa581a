"""The run that is killed: every kind of node, and tools that leave a line for each time they act.

Nothing in its answer depends on what the `write` tools return, so that a skipped call changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from agentrt.backends.scripted import ScriptedBackend
from agentrt.dsl.control import branch, loop
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Request, ToolCall

ITEMS = ("ash", "birch", "cedar", "elm")
WRITES = {f"publish[{i}]": f"publish {item}" for i, item in enumerate(ITEMS)} | {
    "editor[0].note[0]": "note first",
    "editor[0].note[1]": "note second",
    "editor[2].note[0]": "note third",
    "branch.then.announce": "announce 4",
}
"""What each `write` call of the run leaves in the log."""

ANSWER = "ASH BIRCH CEDAR ELM / xxx / 4 sent / edited"


def act(line: str) -> None:
    """Leave a trace in the world that outlives us: one write, which a kill cannot cut in two."""
    log = os.open(os.environ["CRASH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(log, f"{os.environ['CRASH_SITTING']} {line}\n".encode())
        os.fsync(log)
    finally:
        os.close(log)


@tool(effects="read")
async def fetch(item: str) -> str:
    act(f"fetch {item}")
    await asyncio.sleep(0.001 * len(item))
    return f"fetch {item}"


@tool(effects="none")
def polish(text: str) -> str:
    act(f"polish {text}")
    return f"polish {text}"


@tool(effects="write")
async def publish(item: str) -> str | None:
    act(f"publish {item}")
    await asyncio.sleep(0.002)
    return f"publish {item}"


@tool(effects="write")
async def announce(count: int) -> str | None:
    act(f"announce {count}")
    return f"announce {count}"


@tool(effects="none")
async def grow(state: str) -> str:
    act(f"grow {state}x")
    await asyncio.sleep(0.001)
    return f"grow {state}x"


@tool(effects="none")
async def bare(state: str) -> str:
    return state.removeprefix("grow ")


@tool(effects="none")
async def is_grown(state: str) -> bool:
    return len(state) >= 3


@tool(effects="none")
async def count_of(sent: list[str | None]) -> int:
    return len(sent)


@tool(effects="none")
async def is_many(count: int) -> bool:
    return count > 2


@tool(effects="none")
async def done(announced: str | None) -> str:
    return "announced"


@tool(effects="read")
async def look(at: str) -> str:
    act(f"look {at}")
    await asyncio.sleep(0.001)
    return f"look {at}"


@tool(effects="write")
async def note(text: str) -> str:
    act(f"note {text}")
    return f"note {text}"


@llm
def split(question: str) -> Prompt[list[str]]:
    return Prompt(f"Which trees? {question}")


@agent(tools=[look, note], max_turns=5)
def editor(polished: list[str]) -> Prompt[str]:
    return Prompt(f"Edit: {polished}")


@llm
def summary(polished: list[str], grown: str, count: int, verdict: str) -> Prompt[str]:
    return Prompt(f"{polished} / {grown} / {count} / {verdict}")


@workflow
def growth(state: str) -> str:
    return bare(grow(state))


@workflow
def job(question: str) -> str:
    items = split(question)
    polished = polish.map(fetch.map(items))
    count = count_of(publish.map(items))
    branch(is_many(count), lambda: done(announce(count)), lambda: bare("few"))
    grown = loop(growth, "", until=is_grown, max_steps=5)
    return summary(polished, grown, count, editor(polished))


TURNS = (
    [
        ("note", "text", "first"),
        ("look", "at", "oak"),
        ("look", "at", "fir"),
        ("note", "text", "second"),
    ],
    [("look", "at", "yew")],
    [("note", "text", "third"), ("nonsense", "at", "all")],
)


def script(request: Request) -> Completion | str:
    node = request.node_id
    act(f"llm {node}")
    if node == "split":
        return json.dumps({"answer": ITEMS})
    if node == "summary":
        return ANSWER
    turn = int(node.removeprefix("editor[").partition("]")[0])
    if turn >= len(TURNS):
        return "edited"
    calls = [
        ToolCall(f"c{turn}{i}", name, json.dumps({argument: value}))
        for i, (name, argument, value) in enumerate(TURNS[turn])
    ]
    return Completion(tool_calls=tuple(calls), finish_reason="tool_calls")


def backend() -> ScriptedBackend:
    return ScriptedBackend(script, latency_s=0.002)


def log_lines(log: Path) -> list[tuple[int, str]]:
    """(sitting, what was done), in order."""
    if not log.exists():
        return []
    lines = (line.partition(" ") for line in log.read_text().splitlines())
    return [(int(sitting), done_) for sitting, _, done_ in lines]
