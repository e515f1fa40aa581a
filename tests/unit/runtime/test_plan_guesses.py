"""Reads that start before the plan that asks for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from agentrt import plan_and_run, tool, workflow
from agentrt.backends.base import OnChunk
from agentrt.dsl.workflow import Workflow
from agentrt.errors import BackendError, RequestRejected
from agentrt.ir.request import Capabilities, Completion, Request
from agentrt.planner import GuessReport
from agentrt.runtime import Runtime
from agentrt.store.memory import MemoryStore

_calls: Counter[str] = Counter()
_cancelled: list[str] = []
_gates: dict[str, asyncio.Event] = {}
_started: dict[str, Callable[[], object]] = {}


@pytest.fixture(autouse=True)
def nothing_called_yet() -> None:
    _calls.clear()
    _cancelled.clear()
    _gates.clear()
    _started.clear()


@tool(effects="read", retries=0)
async def look(name: str) -> str:
    """Look up a name."""
    _calls[name] += 1
    if name == "Bad":
        raise ValueError("it is bad")
    _started.get(name, lambda: None)()
    try:
        if name in _gates:
            await _gates[name].wait()
    except asyncio.CancelledError:
        _cancelled.append(name)
        raise
    return f"about {name}"


@tool(effects="write", retries=0)
async def note(text: str) -> str:
    """Write it down."""
    _calls[text] += 1
    return "noted"


@workflow
def ask(question: str) -> str:
    return plan_and_run(tools=[look, note], question=question, name="ask", guesses_reads=True)


class Planner:
    """Looks up each name of the question, or writes `plans[question]`; first waits for `waits`."""

    name = "planner"

    def __init__(self, **plans: str) -> None:
        self.plans = plans
        self.waits: asyncio.Event | None = None
        self.error: BackendError | None = None
        self.joined: list[str] = []

    async def capabilities(self) -> Capabilities:
        return Capabilities(models=("m",), streaming=True, json_schema=True)

    async def complete(self, request: Request, *, on_chunk: OnChunk | None = None) -> Completion:
        told = request.messages[-1].content
        if request.output_schema is not None:
            self.joined.append(told)
            return Completion(text='{"verdict": {"answer": "fine"}}')
        if self.waits is not None:
            async with asyncio.timeout(20):
                await self.waits.wait()
        if self.error is not None:
            raise self.error
        asked = told.partition("Question: ")[2].partition("\n")[0]
        names = [word.strip("?") for word in asked.split() if word[0].isupper()]
        lines = [f'{n} look(name="{name}")' for n, name in enumerate(names, 1)]
        return Completion(text=self.plans.get(names[0], "\n".join([*lines, "join"])))

    async def aclose(self) -> None:
        """Nothing to give up."""


async def _taught(runtime: Runtime, workflow: Workflow[[str], str] = ask) -> None:
    for question in ("is Ada or Bob older?", "is Cay or Dan older?"):
        assert await runtime.run(workflow, question) == "fine"
    _calls.clear()


def _gate(*names: str) -> asyncio.Event:
    """Set once all of them are being looked up, each of which lasts until then."""
    gate = asyncio.Event()
    waiting = set(names)

    def begun(name: str) -> None:
        waiting.discard(name)
        if not waiting:
            gate.set()

    for name in names:
        _started[name] = partial(begun, name)
        _gates[name] = gate
    return gate


async def test_what_the_plan_will_ask_for_is_under_way_before_it_is_written() -> None:
    backend = Planner()
    async with Runtime(backend) as runtime:
        await _taught(runtime)
        assert runtime.guesses.report == GuessReport()
        backend.waits = _gate("Eve", "Fay")
        assert await runtime.run(ask, "is Eve or Fay older?") == "fine"
        assert runtime.guesses.report == GuessReport(started=2, taken=2)
    assert dict(_calls) == {"Eve": 1, "Fay": 1}
    assert "$1: about Eve\n$2: about Fay" in backend.joined[-1]


async def test_what_the_plan_does_not_ask_for_is_broken_off_and_told_to_nobody() -> None:
    backend = Planner(Eve='1 look(name="Gus")\njoin')
    async with Runtime(backend) as runtime:
        await _taught(runtime)
        backend.waits = asyncio.Event()
        _gates["Eve"] = asyncio.Event()
        _started["Eve"] = backend.waits.set
        assert await runtime.run(ask, "is Eve older?") == "fine"
        assert runtime.guesses.report == GuessReport(started=1, taken=0)
    assert (dict(_calls), _cancelled) == ({"Eve": 1, "Gus": 1}, ["Eve"])
    assert "Eve" not in backend.joined[-1]


async def test_nothing_starts_before_its_plan_unless_the_author_allows_it() -> None:
    @workflow
    def patient(question: str) -> str:
        return plan_and_run(tools=[look, note], question=question, name="ask")

    backend = Planner(Eve="join")
    async with Runtime(backend) as runtime:
        await _taught(runtime)
        await _taught(runtime, patient)
        assert await runtime.run(patient, "is Eve older?") == "fine"
        assert runtime.guesses.report == GuessReport()
    assert dict(_calls) == {}


async def test_what_is_read_after_a_write_is_read_again() -> None:
    backend = Planner(Eve='1 look(name="Eve")\n2 note(text="n")\n3 look(name="Fay")\njoin')
    async with Runtime(backend) as runtime:
        await _taught(runtime)
        assert await runtime.run(ask, "is Eve or Fay older?") == "fine"
        assert runtime.guesses.report == GuessReport(started=2, taken=1)
    assert _calls["Eve"] == 1
    assert _calls["n"] == 1
    assert _calls["Fay"] in (1, 2)  # the first may be broken off before it begins


async def test_a_guess_that_fails_is_an_observation_if_it_was_asked_for() -> None:
    backend = Planner()
    async with Runtime(backend) as runtime:
        await _taught(runtime)
        assert await runtime.run(ask, "is Bad or Fay older?") == "fine"
        assert runtime.guesses.report == GuessReport(started=2, taken=2)
    assert dict(_calls) == {"Bad": 1, "Fay": 1}
    assert "ValueError: it is bad" in backend.joined[-1]


async def test_a_planner_that_fails_takes_its_guesses_with_it() -> None:
    backend = Planner()
    async with Runtime(backend) as runtime:
        await _taught(runtime)
        backend.waits, backend.error = asyncio.Event(), RequestRejected("no", url="u")
        _gates["Eve"] = asyncio.Event()
        _started["Eve"] = backend.waits.set
        with pytest.raises(RequestRejected):
            await runtime.run(ask, "is Eve older?")
    assert _cancelled == ["Eve"]


async def test_a_resumed_run_takes_stored_results_and_guesses_nothing() -> None:
    store = MemoryStore()
    backend = Planner()
    async with Runtime(backend, store=store) as runtime:
        await _taught(runtime)
        run = runtime.start(ask.bind("is Eve older?"), run_id="r")
        _gates["Eve"] = asyncio.Event()
        _started["Eve"] = run.cancel
        assert (await run.wait()).status == "cancelled"
    _gates.clear()
    _started.clear()
    async with Runtime(backend, store=store) as runtime:
        await _taught(runtime)
        result = await (await runtime.resume("r", ask)).wait()
    assert (result.status, result.output) == ("finished", "fine")
    assert "$1: about Eve" in backend.joined[-1]
