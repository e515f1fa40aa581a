"""What stored runs say of how long calls take, wherever in a workflow they were made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentrt import Prompt, agent, branch, llm, loop, tool, workflow
from agentrt.backends.scripted import ScriptedBackend
from agentrt.cli.plan_durations import learn, stored_durations
from agentrt.clock import VirtualClock
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.request import Completion, Request, ToolCall
from agentrt.runtime import Runtime
from agentrt.store.memory import MemoryStore


@tool(effects="read")
async def fetch(url: str) -> str:
    """Fetch."""
    await asyncio.sleep(40.0)
    return url


@tool(effects="read")
async def is_good(url: str) -> bool:
    """Look."""
    await asyncio.sleep(5.0)
    return True


@llm
def rate(text: str) -> Prompt[str]:
    return Prompt(f"Rate {text}")


@agent(tools=[fetch])
def research(question: str) -> Prompt[str]:
    return Prompt(question)


@workflow
def of_items(items: list[str]) -> list[str]:
    return fetch.map(items)


@workflow
def of_agents(items: list[str]) -> list[str]:
    return research.map(items)


@workflow
def of_sides(items: list[str]) -> str:
    return branch(is_good(items[0]), lambda: research(items[0]), lambda: rate(items[0]))


@workflow
def of_steps(items: list[str]) -> str:
    return loop(rate, items[0], until=is_good, max_steps=2)


@workflow
def rated(items: list[str]) -> str:
    return rate(items[0])


def _answer(request: Request) -> Completion:
    if request.tools and len(request.messages) == 1:
        return Completion(tool_calls=(ToolCall("c", "fetch", '{"url": "u"}'),))
    return Completion(text="ok")


@pytest.mark.parametrize(
    ("declared", "seen"),
    [
        (of_items, {("tool", "fetch"): 40}),
        (of_agents, {("tool", "fetch"): 40, ("agent", "research"): 46}),
        (of_sides, {("tool", "is_good"): 5, ("tool", "fetch"): 40, ("agent", "research"): 46}),
        (of_steps, {("tool", "is_good"): 5, ("llm", "rate"): 3}),
    ],
)
def test_calls_are_learned_by_what_they_call(declared: Any, seen: dict[Any, float]) -> None:
    clock, store = VirtualClock(), MemoryStore()

    async def main() -> WorkEstimates:
        estimates = WorkEstimates()
        backend = ScriptedBackend(_answer, latency_s=3.0)
        async with Runtime(backend, clock=clock, store=store) as runtime:
            run = runtime.start(declared.bind(["a"]))
            await run.wait()
            graph = declared.trace().graph
            for record in (await store.load(run.run_id)).nodes:
                for _ in range(60):
                    learn(estimates, record, graph)
        return estimates

    estimates = clock.run(main())
    for (kind, name), seconds in seen.items():
        assert estimates.seconds(kind, name) == pytest.approx(seconds, rel=0.15), name
    names = {"fetch", "is_good", "rate", "research"}
    learned = {(k, n) for k in ("tool", "llm", "agent") for n in names if estimates.has_seen(k, n)}
    assert learned == seen.keys()


def test_the_runs_of_a_store_are_read(tmp_path: Path) -> None:
    url = str(tmp_path / "runs.db")
    Runtime(ScriptedBackend("ok"), store=url).run_sync(rated, ["a"])
    estimates = asyncio.run(stored_durations(url, rated.trace().graph))
    assert estimates.has_seen("llm", "rate")
    assert not asyncio.run(stored_durations(url, of_items.trace().graph)).is_known
