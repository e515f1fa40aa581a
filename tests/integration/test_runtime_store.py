"""Runs on a store: what is kept, what a resume takes from it, and what happens when it fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agentrt.backends.scripted import ScriptedBackend
from agentrt.dsl.control import branch, loop
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.errors import InputError, ResumeError, StoreError, ToolError
from agentrt.ir.event import Event, NodeFinished, RunFinished, RunStarted
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Request, ToolCall
from agentrt.runtime import Run, RunResult, Runtime
from agentrt.store.base import RunStore
from agentrt.store.open import open_store
from tests.integration.crash.failing_store import FailingStore

_done: Counter[str] = Counter()
_broken: set[str] = set()


@pytest.fixture(autouse=True)
def nothing_done_yet() -> None:
    _done.clear()
    _broken.clear()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunStore]:
    opened = open_store("memory:" if request.param == "memory" else str(tmp_path / "runs.db"))
    yield opened
    await opened.aclose()


def act(what: str) -> str:
    _done[what] += 1
    if what in _broken:
        raise OSError(f"{what} is broken")
    return what


@tool(effects="read", retries=0)
async def fetch(item: str) -> str:
    return act(f"fetch {item}")


@tool(effects="none", retries=0)
def polish(text: str) -> str:
    return act(f"polish {text}")


@tool(effects="write")
async def publish(text: str) -> str | None:
    return act(f"publish {text}")


@tool(effects="write")
async def number(text: str) -> int:
    act(f"number {text}")
    return 7


@tool(effects="write")
async def forever(text: str) -> str | None:
    act(f"forever {text}")
    await asyncio.sleep(3600)
    return text


@tool(effects="none")
async def is_long(text: str) -> bool:
    return len(text) > 12


@tool(effects="none")
async def join(texts: list[str]) -> str:
    return " ".join(texts)


@tool(effects="none")
async def or_nothing(text: str | None) -> str:
    return text or "nothing"


@llm
def split(question: str) -> Prompt[list[str]]:
    return Prompt(f"Split {question}")


@agent(tools=[fetch, publish], max_turns=4)
def editor(text: str) -> Prompt[str]:
    return Prompt(f"Edit {text}")


@workflow
def whole(question: str) -> str:
    polished = polish.map(fetch.map(split(question)))
    chosen = branch(is_long(join(polished)), lambda: editor(join(polished)), lambda: "short")
    grown = loop(polish, "x", until=is_long, max_steps=9)
    return join([chosen, grown, or_nothing(publish("end"))])


def script(request: Request) -> Completion | str:
    act(f"llm {request.node_id}")
    if request.node_id == "split":
        return '{"answer": ["a", "b"]}'
    if len(request.messages) > 3:
        return "edited"
    calls = (("fetch", '{"item": "c"}'), ("publish", '{"text": "d"}'))
    return Completion(
        tool_calls=tuple(ToolCall(f"c{i}", *call) for i, call in enumerate(calls)),
        finish_reason="tool_calls",
    )


OUTPUT = "edited polish polish x publish end"


def runtime_on(store: RunStore, **options: Any) -> Runtime:
    return Runtime(ScriptedBackend(script), store=store, **options)


async def result_of(
    store: RunStore, call: Any, run_id: str = "r1", **options: Any
) -> RunResult[Any]:
    async with runtime_on(store, **options) as runtime:
        return await runtime.start(call, run_id=run_id).wait()


async def resumed(
    store: RunStore, workflow_: Any, run_id: str = "r1", *, force: bool = False, **options: Any
) -> RunResult[Any]:
    in_flight = options.pop("in_flight", "refuse")
    async with runtime_on(store, **options) as runtime:
        run = await runtime.resume(run_id, workflow_, force=force, in_flight=in_flight)
        return await run.wait()


async def interrupted(store: RunStore, call: Any, when: Callable[[Event], bool]) -> None:
    """Start a run and cancel it at the first event that `when` names."""
    runs: list[Run[Any]] = []

    def stop(event: Event) -> None:
        if when(event):
            runs[0].cancel("interrupted")

    async with runtime_on(store, on_event=stop) as runtime:
        runs.append(runtime.start(call, run_id="r1"))
        assert (await runs[0].wait()).status == "cancelled"


# -- what is kept ----------------------------------------------------------------------------


async def test_a_run_is_kept_whole(store: RunStore) -> None:
    result = await result_of(store, whole.bind("q"))
    assert (result.status, result.output, result.store_error) == ("finished", OUTPUT, None)
    kept = await store.load("r1")
    assert (kept.run.status, kept.run.output, kept.run.error) == ("finished", OUTPUT, None)
    assert kept.run.input == {"question": "q"}
    assert kept.run.graph_hash == whole.trace().graph.hash
    finished = {node.node_id: node for node in kept.nodes}
    assert set(finished) == set(result.values)
    assert {node.status for node in kept.nodes} == {"finished"}
    assert finished["fetch[1]"].value == "fetch b"
    assert finished["split"].value == ["a", "b"]
    assert [(a.node_id, a.status) for a in kept.attempts if a.node_id == "split"] == [
        ("split", "finished")
    ]
    assert [e.kind for e in kept.events] == ["run_started", "run_finished"]
    assert sum(n.usage.total_tokens for n in kept.nodes if n.kind == "llm") == (
        result.usage.total_tokens
    )


async def test_every_node_is_reported_finished_before_its_run_is(store: RunStore) -> None:
    events: list[Event] = []
    result = await result_of(store, whole.bind("q"), on_event=events.append)
    finished = [event.node_id for event in events if isinstance(event, NodeFinished)]
    assert sorted(finished) == sorted(result.values)
    assert isinstance(events[-1], RunFinished)


async def test_a_failure_is_kept_with_its_words(store: RunStore) -> None:
    _broken.add("fetch b")
    result = await result_of(store, whole.bind("q"), on_error="collect")
    kept = await store.load("r1")
    assert (result.status, kept.run.status) == ("partial", "partial")
    failed = {node.node_id: node.value for node in kept.nodes if node.status == "failed"}
    assert failed["fetch[1]"] == "tool 'fetch' raised OSError: fetch b is broken"
    told = [(e.kind, e.node_id) for e in kept.events]
    assert ("node_failed", "fetch[1]") in told
    assert ("node_skipped", "polish[1]") in told


# -- resuming --------------------------------------------------------------------------------


async def test_a_resumed_run_does_again_only_what_had_not_finished(store: RunStore) -> None:
    _broken.add("polish fetch b")
    assert (await result_of(store, whole.bind("q"))).status == "failed"
    before = dict(_done)
    _broken.clear()
    result = await resumed(store, whole)
    assert (result.status, result.output) == ("finished", OUTPUT)
    again = {what for what, times in _done.items() if what in before and times > before[what]}
    assert "llm split" not in again
    assert not again & {"fetch a", "fetch b"}
    assert _done["polish fetch b"] == 2
    restored = {node.node_id for node in result.nodes if node.is_restored}
    assert {"split", "fetch[0]", "fetch[1]"} <= restored


async def test_a_finished_run_is_resumed_without_doing_anything(store: RunStore) -> None:
    first = await result_of(store, whole.bind("q"))
    before = dict(_done)
    events: list[Event] = []
    result = await resumed(store, whole, on_event=events.append)
    assert (result.status, result.output) == ("finished", OUTPUT)
    assert dict(_done) == before
    assert result.usage == first.usage
    assert isinstance(events[0], RunStarted)
    assert events[0].is_resumed
    leaves = [e for e in events if isinstance(e, NodeFinished) and e.kind in ("tool", "llm")]
    assert all(event.is_restored for event in leaves)
    assert [each.run_id for each in await store.list_runs()] == ["r1"]


@pytest.mark.parametrize("stop_after", ["split", "fetch[1]", "branch.then.editor[0].fetch[0]"])
async def test_a_run_cancelled_anywhere_is_resumed_to_the_same_answer(
    store: RunStore, stop_after: str
) -> None:
    await interrupted(
        store, whole.bind("q"), lambda e: isinstance(e, NodeFinished) and e.node_id == stop_after
    )
    result = await resumed(store, whole, in_flight="retry")
    assert (result.status, result.output) == ("finished", OUTPUT)
    assert _done["llm split"] == 1


async def test_time_goes_on_where_the_stored_run_had_got_to(store: RunStore) -> None:
    _broken.add("publish end")
    first = await result_of(store, whole.bind("q"))
    _broken.clear()
    second = await resumed(store, whole)
    assert second.duration_s > first.duration_s
    assert (await store.load("r1")).run.duration_s == second.duration_s


async def test_a_run_is_resumed_by_the_beginning_of_its_id(store: RunStore) -> None:
    _broken.add("publish end")
    await result_of(store, whole.bind("q"), run_id="abcdef")
    _broken.clear()
    assert (await resumed(store, whole, run_id="abc")).run_id == "abcdef"


async def test_a_run_that_is_not_there_cannot_be_resumed(store: RunStore) -> None:
    with pytest.raises(StoreError, match="nobody"):
        await resumed(store, whole, run_id="nobody")


async def test_without_a_store_nothing_can_be_resumed() -> None:
    async with Runtime(ScriptedBackend(script)) as runtime:
        with pytest.raises(StoreError, match="keeps no runs"):
            await runtime.resume("r1", whole)


# -- changed workflows -----------------------------------------------------------------------


@workflow(name="edited")
def before_edit(item: str) -> list[str]:
    return [polish(fetch(item)), polish("same")]


@workflow(name="edited")
def after_edit(item: str) -> list[str]:
    return [polish(fetch("other")), polish("same")]


async def test_a_workflow_that_changed_is_refused_with_the_nodes_that_differ(
    store: RunStore,
) -> None:
    await result_of(store, before_edit.bind("a"))
    with pytest.raises(ResumeError) as raised:
        await resumed(store, after_edit)
    assert raised.value.nodes == ("fetch",)
    assert "fetch" in str(raised.value)
    assert "force" in str(raised.value)
    # The refusal leaves the run as it was, for the next one who tries.
    assert (await resumed(store, before_edit)).output == ["polish fetch a", "polish same"]


async def test_force_takes_the_results_of_nodes_of_the_same_name(store: RunStore) -> None:
    await result_of(store, before_edit.bind("a"))
    result = await resumed(store, after_edit, force=True)
    assert result.output == ["polish fetch a", "polish same"]
    assert _done["fetch other"] == 0


async def test_a_stored_result_that_no_longer_fits_fails_its_node_and_stays_stored(
    store: RunStore,
) -> None:
    @tool(effects="none", name="value")
    async def text_value() -> str:
        return act("text")

    @tool(effects="none", name="value")
    async def number_value() -> int:
        return 1

    @workflow(name="typed")
    def old() -> str:
        return text_value()

    @workflow(name="typed")
    def new() -> int:
        return number_value()

    await result_of(store, old.bind())
    result = await resumed(store, new, force=True)
    assert result.status == "failed"
    kept = await store.load("r1")
    assert [(node.node_id, node.value) for node in kept.nodes] == [("value", "text")]


async def test_a_program_in_free_python_cannot_be_resumed(store: RunStore) -> None:
    async with runtime_on(store) as runtime:
        async with runtime.program("free") as program:
            run_id = program.run_id
        with pytest.raises(ResumeError, match="free Python"):
            await runtime.resume(run_id, whole)


# -- write calls in flight -------------------------------------------------------------------


@workflow
def endless(text: str) -> list[str]:
    return [or_nothing(forever(text)), or_nothing(publish(text))]


@workflow
def numbered(text: str) -> int:
    return number(text)


async def interrupted_in_flight(store: RunStore) -> None:
    await interrupted(store, endless.bind("w"), lambda e: _done["forever w"] > 0)


def has_published(event: Event) -> bool:
    return isinstance(event, NodeFinished) and event.node_id == "publish"


async def leave_in_flight(store: RunStore) -> None:
    """`forever` was under way when the run was stopped, and `publish` had finished."""
    await interrupted(store, endless.bind("w"), has_published)
    assert (_done["forever w"], _done["publish w"]) == (1, 1)


async def test_a_write_call_in_flight_is_refused_until_somebody_decides(store: RunStore) -> None:
    await leave_in_flight(store)
    for _ in range(2):
        with pytest.raises(ResumeError) as raised:
            await resumed(store, endless)
        assert raised.value.nodes == ("forever",)
    assert (_done["forever w"], _done["publish w"]) == (1, 1)


async def test_a_write_call_in_flight_is_taken_as_done_when_told_so(store: RunStore) -> None:
    await leave_in_flight(store)
    result = await resumed(store, endless, in_flight={"forever": "skip"})
    assert result.output == ["nothing", "publish w"]
    assert (_done["forever w"], _done["publish w"]) == (1, 1)


async def test_a_write_call_in_flight_is_made_again_when_told_so(store: RunStore) -> None:
    await leave_in_flight(store)
    async with runtime_on(store) as runtime:
        run = await runtime.resume("r1", endless, in_flight="retry")
        while _done["forever w"] < 2:  # noqa: ASYNC110  a tool of this test, in this loop
            await asyncio.sleep(0)
        run.cancel()
        await run.wait()
    assert _done["publish w"] == 1
    # It was under way again: the question comes up again.
    with pytest.raises(ResumeError, match="forever"):
        await resumed(store, endless)


async def test_a_decision_on_another_node_decides_nothing(store: RunStore) -> None:
    await leave_in_flight(store)
    with pytest.raises(ResumeError, match="forever"):
        await resumed(store, endless, in_flight={"publish": "retry"})


async def test_a_call_whose_result_nothing_can_stand_for_stays_undecided(store: RunStore) -> None:
    """Skipping cannot make up an int; and the call must not be made by the resume after that."""

    @tool(effects="write", name="number", timeout_s=0.01)
    async def slow_number(text: str) -> int:
        act(f"number {text}")
        await asyncio.sleep(3600)
        return 7

    @workflow(name="numbered")
    def slow_numbered(text: str) -> int:
        return slow_number(text)

    first = await result_of(store, slow_numbered.bind("n"))
    assert isinstance(first.error, ToolError)
    assert first.error.is_effect_unknown
    skipped = await resumed(store, slow_numbered, in_flight="skip")
    assert skipped.status == "failed"
    assert isinstance(skipped.error, ResumeError)
    with pytest.raises(ResumeError):
        await resumed(store, slow_numbered)
    assert _done["number n"] == 1


async def test_an_agent_is_told_of_a_skipped_call(store: RunStore) -> None:
    @agent(tools=[forever], max_turns=4)
    def careful() -> Prompt[str]:
        return Prompt("?")

    @workflow
    def act_carefully() -> str:
        return careful()

    told: list[str] = []

    def carefully(request: Request) -> Completion | str:
        if request.messages[-1].role == "tool":
            told.append(request.messages[-1].content)
            return "fine"
        return Completion(tool_calls=(ToolCall("c", "forever", '{"text": "w"}'),))

    backend = ScriptedBackend(carefully)
    async with Runtime(backend, store=store) as runtime:
        run = runtime.start(act_carefully.bind(), run_id="r1")
        while not _done["forever w"]:  # noqa: ASYNC110  a tool of this test, in this loop
            await asyncio.sleep(0)
        run.cancel()
        await run.wait()
        again = await runtime.resume("r1", act_carefully, in_flight="skip")
        assert await again.result() == "fine"
    assert len(told) == 1
    assert "not known" in told[0]
    assert _done["forever w"] == 1


# -- two at once -----------------------------------------------------------------------------


async def test_the_second_of_two_resumers_is_refused(store: RunStore) -> None:
    await leave_in_flight(store)
    async with runtime_on(store) as runtime, runtime_on(store) as other:
        run = await runtime.resume("r1", endless, in_flight="retry")
        with pytest.raises(StoreError):
            await other.resume("r1", endless, in_flight="retry")
        with pytest.raises(StoreError):
            await runtime.resume("r1", endless, in_flight="retry")
        run.cancel()
        await run.wait()
        # It is over: now the other may.
        second = await other.resume("r1", endless, in_flight="skip")
        assert await second.result() == ["nothing", "publish w"]


async def test_of_ten_resumers_at_once_one_gets_the_run(store: RunStore) -> None:
    await leave_in_flight(store)
    async with runtime_on(store) as runtime:
        resumes = [
            asyncio.create_task(runtime.resume("r1", endless, in_flight="skip")) for _ in range(10)
        ]
        await asyncio.wait(resumes)
        won = [task.result() for task in resumes if task.exception() is None]
        assert {type(task.exception()) for task in resumes} == {type(None), StoreError}
        assert len(won) == 1
        assert await won[0].result() == ["nothing", "publish w"]


# -- stores that fail ------------------------------------------------------------------------


@workflow
def harmless(items: list[str]) -> list[str]:
    return polish.map(fetch.map(items))


@pytest.mark.parametrize("room", range(1, 10))
async def test_a_store_that_fails_does_not_take_the_result_with_it(room: int) -> None:
    events: list[Event] = []
    result = await result_of(
        FailingStore(room), harmless.bind(["a", "b", "c"]), on_event=events.append
    )
    assert result.status == "finished"
    assert result.output == ["polish fetch a", "polish fetch b", "polish fetch c"]
    assert str(result.store_error) == "The disk is full. Make room."
    # What is not on disk is not reported finished.
    assert sum(isinstance(event, NodeFinished) for event in events) < room
    assert isinstance(events[-1], RunFinished)


@pytest.mark.parametrize("on_error", ["fail", "collect"])
async def test_a_call_that_writes_is_not_made_when_it_cannot_be_recorded(on_error: Any) -> None:
    @workflow
    def send() -> list[str]:
        return [or_nothing(publish("x"))]

    result = await result_of(FailingStore(2), send.bind(), on_error=on_error)
    assert result.status == ("failed" if on_error == "fail" else "partial")
    assert isinstance(result.error, StoreError)
    assert _done["publish x"] == 0


async def test_an_agents_call_that_cannot_be_recorded_is_no_observation() -> None:
    @workflow
    def edit() -> list[str]:
        return [editor("x")]

    backend = ScriptedBackend(script)
    async with Runtime(backend, store=FailingStore(4), on_error="collect") as runtime:
        result = await runtime.start(edit.bind()).wait()
    assert result.status == "partial"
    assert result.output == [None]
    assert isinstance(result.error, StoreError)
    assert _done["publish d"] == 0
    assert len(backend.requests) == 1


async def test_a_run_id_that_is_taken_is_refused_before_anything_runs(tmp_path: Path) -> None:
    calls: list[int] = []

    @tool(effects="none")
    async def count(x: int) -> int:
        """Count."""
        calls.append(x)
        return x

    @workflow
    def counted(x: int) -> int:
        return count(x)

    async with Runtime(ScriptedBackend([]), store=str(tmp_path / "runs.db")) as runtime:
        assert await runtime.start(counted.bind(1), run_id="mine").result() == 1
        with pytest.raises(InputError, match="'mine' already"):
            await runtime.start(counted.bind(2), run_id="mine").result()
        assert await runtime.start(counted.bind(3), run_id="min").result() == 3
    assert calls == [1, 3]
