"""Random programs, run by the runtime and by an interpreter that does one thing after the other."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.compiler.pipeline import compile_graph
from agentrt.dsl.control import branch, loop
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.errors import StoreError
from agentrt.ir.event import Event, NodeFinished, NodeStarted
from agentrt.ir.node import MapNode
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Request, ToolCall
from agentrt.runtime import RunResult, Runtime
from agentrt.store.memory import MemoryStore
from tests.integration.crash.failing_store import FailingStore

# -- programs: data that both can run --------------------------------------------------------


@dataclass(frozen=True)
class Op:
    """One step. `reads` are places in the list of values so far."""

    kind: str
    tag: int
    reads: tuple[int, ...] = ()
    bodies: tuple[Body, ...] = ()


@dataclass(frozen=True)
class Body:
    """Steps on two numbers, and which value is the result."""

    ops: tuple[Op, ...]
    output: int


NUMBER_OPS = ("async", "sync", "limited", "write", "ask", "act", "branch", "loop")
LIST_OPS = ("spread", "pair")
MAP_OPS = ("map_async", "map_sync", "map_limited", "map_ask", "map_body")


class Maker:
    """Draws programs; every tag is used once, so that tags tell calls apart."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.tags = 0

    def body(self, inputs: int, depth: int) -> Body:
        """Steps that follow `inputs` numbers."""
        kinds = ["number"] * inputs
        ops: list[Op] = []
        for _ in range(self.draw.randint(1, 4 if depth else 14)):
            op = self.op(kinds, depth)
            ops.append(op)
            kinds.append("number" if op.kind in NUMBER_OPS else op.kind)
        numbers = [i for i, kind in enumerate(kinds) if kind == "number"]
        return Body(tuple(ops), numbers[-1])

    def op(self, kinds: list[str], depth: int) -> Op:
        self.tags += 1
        tag = self.tags
        numbers = [i for i, kind in enumerate(kinds) if kind == "number"]
        lists = [i for i, kind in enumerate(kinds) if kind != "number"]
        left, right = self.draw.choice(numbers), self.draw.choice(numbers)
        choice = self.draw.randint(0, 9)
        if lists and choice < 4:
            kind = self.draw.choice(MAP_OPS if depth < 2 else MAP_OPS[:-1])
            bodies = (self.body(2, depth + 1),) if kind == "map_body" else ()
            return Op(kind, tag, (self.draw.choice(lists), right), bodies)
        if choice < 6:
            return Op(self.draw.choice(LIST_OPS), tag, (left, right))
        kind = self.draw.choice(NUMBER_OPS if depth < 2 else NUMBER_OPS[:-2])
        sides = (self.body(2, depth + 1), self.body(2, depth + 1)) if kind == "branch" else ()
        return Op(kind, tag, (left, right), sides)


class Language(Protocol):
    """What can be done with values: symbolic ones, or real ones one after the other."""

    def number(self, op: Op, left: Any, right: Any) -> Any: ...

    def many(self, op: Op, left: Any, right: Any) -> Any: ...

    def each(self, op: Op, items: Any, right: Any) -> Any: ...


def perform(body: Body, inputs: list[Any], language: Language) -> list[Any]:
    """All values of `body`."""
    values = list(inputs)
    for op in body.ops:
        given = [values[read] for read in op.reads]
        if op.kind in NUMBER_OPS:
            values.append(language.number(op, *given))
        elif op.kind in LIST_OPS:
            values.append(language.many(op, *given))
        else:
            values.append(language.each(op, *given))
    return values


def uses_second(body: Body) -> bool:
    """Whether the second number makes a difference; a branch waits for it only then."""
    needed = {body.output}
    for place, op in reversed(list(enumerate(body.ops, start=2))):
        if op.kind != "pair" or place in needed:  # a list that nobody reads is no node
            needed.update(used(op))
    return 1 in needed


def used(op: Op) -> tuple[int, ...]:
    """What `op` waits for."""
    if op.kind in ("ask", "act", "loop", "spread", "map_ask"):
        return op.reads[:1]
    if op.kind == "branch" and not any(map(uses_second, op.bodies)):
        return op.reads[:1]
    return op.reads


# -- one thing after the other ---------------------------------------------------------------


@dataclass(frozen=True)
class BrokenValue:
    """Stands for what a failed step did not give; of a loop without end the last state is left."""

    partial: int | None = None


BROKEN = BrokenValue()
Number: TypeAlias = int | BrokenValue


@dataclass
class Many:
    """A list; `is_mapped`: whoever maps over it takes its items one by one."""

    items: list[Number]
    is_mapped: bool = False

    @property
    def is_broken(self) -> bool:
        return any(isinstance(item, BrokenValue) for item in self.items)


def mixed(left: int, right: int, tag: int) -> int:
    return (left * 31 + right * 17 + tag * 7) % 1009


def asked(value: int, tag: int) -> int:
    return (value * 13 + tag) % 997


@dataclass
class OneByOne:
    """The naive interpreter. `is_failing`: which results of tools are failures instead."""

    is_failing: Callable[[int], bool]

    def mix(self, left: Number, right: Number, tag: int) -> Number:
        if isinstance(left, BrokenValue) or isinstance(right, BrokenValue):
            return BROKEN
        value = mixed(left, right, tag)
        return BROKEN if self.is_failing(value) else value

    def ask(self, value: Number, tag: int) -> Number:
        return BROKEN if isinstance(value, BrokenValue) else asked(value, tag)

    def number(self, op: Op, left: Number, right: Number) -> Number:
        match op.kind:
            case "ask":
                return self.ask(left, op.tag)
            case "act":
                return self.act(left, op.tag)
            case "branch":
                if isinstance(left, BrokenValue):
                    return BROKEN
                if isinstance(right, BrokenValue) and any(map(uses_second, op.bodies)):
                    return BROKEN
                return self.output(op.bodies[left % 2], left, right)
            case "loop":
                return self.loop(left, op.tag)
            case _:
                return self.mix(left, right, op.tag)

    def act(self, value: Number, tag: int) -> Number:
        if isinstance(value, BrokenValue):
            return BROKEN
        seen = [self.mix(value, i, tag) for i in range(calls_of(value, tag))]
        return sum(0 if isinstance(each, BrokenValue) else each for each in seen)

    def loop(self, value: Number, tag: int) -> Number:
        for _ in range(6):
            value = self.mix(value, 0, tag)
            if isinstance(value, BrokenValue) or value % 3 == 0:
                return value
        return BrokenValue(value) if isinstance(value, int) else value

    def many(self, op: Op, left: Number, right: Number) -> Many | BrokenValue:
        if op.kind == "pair":
            return Many([left, right])
        return BROKEN if isinstance(left, BrokenValue) else Many(list(range(left, left + left % 4)))

    def each(self, op: Op, items: Many | BrokenValue, right: Number) -> Many | BrokenValue:
        if isinstance(items, BrokenValue) or (items.is_broken and not items.is_mapped):
            return BROKEN
        if isinstance(right, BrokenValue) and op.kind != "map_ask":
            return BROKEN
        return Many([self.item(op, item, right) for item in items.items], is_mapped=True)

    def item(self, op: Op, item: Number, right: Number) -> Number:
        if op.kind == "map_ask":
            return self.ask(item, op.tag)
        if op.kind == "map_body":
            return self.output(op.bodies[0], item, right)
        return self.mix(item, right, op.tag)

    def output(self, body: Body, left: Number, right: Number) -> Number:
        found: Number = perform(body, [left, right], self)[body.output]
        return BROKEN if isinstance(found, BrokenValue) else found


def told(value: Any) -> Any:
    """A value of the naive interpreter as a run's partial output has it."""
    match value:
        case BrokenValue(partial):
            return partial
        case Many(items, True):
            return [None if isinstance(item, BrokenValue) else item for item in items]
        case Many():
            return [told(item) for item in value.items]
        case _:
            return value


def calls_of(value: int, tag: int) -> int:
    return (value + tag) % 4


# -- the same in the language of workflows ---------------------------------------------------


@dataclass
class World:
    """What tools and the model see of each other while a program runs."""

    is_failing: Callable[[int], bool]
    has_threads: bool = True
    under_way: int = 0
    limited: int = 0
    most_limited: int = 0

    @contextmanager
    def call(self) -> Any:
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def mix(self, left: int, right: int, tag: int) -> int:
        value = mixed(left, right, tag)
        if self.is_failing(value):
            raise ValueError(f"{value} is a failure")
        return value


def seconds_of(*what: int) -> float:
    """A duration that depends on nothing but the call; often 0, often the same."""
    return random.Random(str(what)).choice([0.0, 0.0, 0.5, 1.0, 1.0, 3.0, 10.0])  # type: ignore[no-any-return, unused-ignore]


@tool(effects="none")
async def spread(left: int) -> list[int]:
    return list(range(left, left + left % 4))


@tool(effects="none")
async def is_even(left: int) -> bool:
    return left % 2 == 0


@tool(effects="none")
async def is_third(left: int) -> bool:
    return left % 3 == 0


@llm
def ask(value: int, tag: int) -> Prompt[int]:
    return Prompt(f"{value} {tag}")


def mixing_tools(world: World) -> dict[str, Any]:
    """The same result in every way a tool can be called."""

    async def timed(left: int, right: int, tag: int) -> int:
        with world.call():
            await asyncio.sleep(seconds_of(left, right, tag))
            return world.mix(left, right, tag)

    @tool(effects="read", retries=0)
    async def mix_async(left: int, right: int, tag: int) -> int:
        return await timed(left, right, tag)

    @tool(effects="none", retries=0)
    def mix_sync(left: int, right: int, tag: int) -> int:
        return world.mix(left, right, tag)

    @tool(effects="read", retries=0, concurrency=2)
    async def mix_limited(left: int, right: int, tag: int) -> int:
        world.limited += 1
        world.most_limited = max(world.most_limited, world.limited)
        try:
            return await timed(left, right, tag)
        finally:
            world.limited -= 1

    @tool(effects="write")
    async def mix_write(left: int, right: int, tag: int) -> int:
        return await timed(left, right, tag)

    return {
        "async": mix_async,
        "sync": mix_sync if world.has_threads else mix_async,
        "limited": mix_limited,
        "write": mix_write,
    }


@dataclass
class Symbolic:
    """Calls that leave nodes; the tools behind them act in `world`."""

    world: World

    def __post_init__(self) -> None:
        self.mixes: dict[str, Any] = mixing_tools(self.world)

        @agent(tools=[self.mixes["async"], self.mixes["write"]], max_turns=3)
        def act(value: int, tag: int) -> Prompt[int]:
            return Prompt(f"{value} {tag}")

        self.act: Any = act

    def number(self, op: Op, left: Any, right: Any) -> Any:
        match op.kind:
            case "ask":
                return ask(left, op.tag)
            case "act":
                return self.act(left, op.tag)
            case "branch":
                return branch(
                    is_even(left),
                    lambda: self.output(op.bodies[0], left, right),
                    lambda: self.output(op.bodies[1], left, right),
                )
            case "loop":
                mix = self.mixes["async"]
                step: Callable[[int], int] = lambda state: mix(state, 0, op.tag)  # noqa: E731
                return loop(step, left, until=is_third, max_steps=6)
            case _:
                return self.mixes[op.kind](left, right, op.tag)

    def many(self, op: Op, left: Any, right: Any) -> Any:
        return [left, right] if op.kind == "pair" else spread(left)

    def each(self, op: Op, items: Any, right: Any) -> Any:
        if op.kind == "map_ask":
            return ask.map(items, tag=op.tag)
        if op.kind == "map_body":

            def function(left: int, right: int) -> int:
                found: int = self.output(op.bodies[0], left, right)
                return found

            return workflow(name=f"body{op.tag}")(function).map(items, right=right)
        return self.mixes[op.kind.removeprefix("map_")].map(items, right=right, tag=op.tag)

    def output(self, body: Body, left: Any, right: Any) -> Any:
        return perform(body, [left, right], self)[body.output]


def script(request: Request) -> Completion | str:
    """Answers as the naive interpreter does, from nothing but the messages."""
    value, tag = map(int, next(m for m in request.messages if m.role == "user").content.split())
    if not request.tools:
        return json.dumps({"answer": asked(value, tag)})
    seen = [m.content for m in request.messages if m.role == "tool"]
    count = calls_of(value, tag)
    if seen or not count:
        numbers = [0 if text.startswith("error") else int(text) for text in seen]
        return json.dumps({"answer": sum(numbers)})
    calls = [
        ToolCall(
            f"c{i}",
            ("mix_async", "mix_write")[i % 2],
            json.dumps({"left": value, "right": i, "tag": tag}),
        )
        for i in range(count)
    ]
    return Completion(tool_calls=tuple(calls))


@dataclass
class Setting:
    """One program, ready to run."""

    body: Body
    world: World
    call: Any
    backend: ScriptedBackend
    expected: list[Any]
    has_failures: bool


def setting(
    draw: random.Random, is_failing: Callable[[int], bool], *, has_threads: bool = True
) -> Setting:
    body = Maker(draw).body(2, 0)
    world = World(is_failing, has_threads)
    symbolic = Symbolic(world)

    @workflow(name="generated")
    def generated(left: int, right: int) -> list[Any]:
        return perform(body, [left, right], symbolic)

    inputs = [draw.randint(0, 9), draw.randint(0, 9)]
    values = perform(body, list(inputs), OneByOne(is_failing))
    backend = ScriptedBackend(
        script,
        latency_s=lambda request: seconds_of(len(request.messages), len(request.node_id)),
        max_concurrency=2,
    )
    expected = [told(value) for value in values]
    broken = [
        v for v in values if isinstance(v, BrokenValue) or (isinstance(v, Many) and v.is_broken)
    ]
    return Setting(body, world, generated.bind(*inputs), backend, expected, bool(broken))


def run(
    made: Setting,
    events: list[Event],
    *,
    on_error: Any = "fail",
    cancel_at_s: float | None = None,
) -> RunResult[Any]:
    clock = VirtualClock()

    async def main() -> RunResult[Any]:
        async with Runtime(
            made.backend, clock=clock, on_event=events.append, on_error=on_error
        ) as runtime:
            started = runtime.start(made.call)
            if cancel_at_s is not None:
                await clock.sleep(cancel_at_s)
                started.cancel()
            result = await started.wait()
            assert len(asyncio.all_tasks()) == 1
            return result

    result = clock.run(main())
    assert made.world.under_way == made.world.limited == made.backend._in_flight == 0
    assert made.world.most_limited <= 2
    assert made.backend.peak_concurrency <= 2
    assert not [thread for thread in threading.enumerate() if is_stuck(thread)]
    check_order(made, events)
    return result


def is_stuck(thread: threading.Thread) -> bool:
    """A tool's thread that goes on; one that has handed over its result may need a moment."""
    if thread.name != "agentrt-tool":
        return False
    thread.join(5.0)
    return thread.is_alive()


def check_order(made: Setting, events: list[Event]) -> None:
    """Every instance starts once, after its inputs and after its region."""
    graph = compile_graph(made.call.traced.graph).graph  # what runs: equal calls are made once
    started: dict[str, int] = {}
    finished: dict[str, int] = {}
    for position, event in enumerate(events):
        if isinstance(event, NodeStarted):
            assert event.node_id not in started, f"{event.node_id} started twice"
            assert event.attempt == 1
            started[event.node_id] = position
        elif isinstance(event, NodeFinished):
            assert event.node_id not in finished, f"{event.node_id} finished twice"
            finished[event.node_id] = position
    for name, position in finished.items():
        assert started[name] < position
    for name, position in started.items():
        region = name.partition("[")[0].partition(".then.")[0].partition(".otherwise.")[0]
        assert started[region] <= position, f"{name} started before its region"
        node = graph.by_id.get(name)
        for read in () if node is None else graph.dependencies[name]:
            source = graph.by_id[read]
            if (source.kind != "input" and not isinstance(source, MapNode)) or (
                isinstance(source, MapNode) and not isinstance(node, MapNode)
            ):
                assert finished[read] < position, f"{name} started before {read} finished"


def never(value: int) -> bool:
    return False


def often(value: int) -> bool:
    return value % 11 == 3


# The first kind shrinks, the second makes larger programs.
programs = st.randoms(use_true_random=False) | st.integers(0, 2**32).map(random.Random)
limits = settings(max_examples=150)


def is_endless(result: RunResult[Any]) -> bool:
    """A loop that met no multiple of 3 in its six steps."""
    return any("still not done" in str(error) for error in result.errors.values())


@limits
@given(draw=programs)
def test_a_run_gives_what_doing_one_thing_after_the_other_gives(draw: random.Random) -> None:
    made = setting(draw, never)
    result = run(made, [])
    if made.has_failures or is_endless(result):
        assert result.status == "failed"
        return
    assert (result.status, result.output) == ("finished", made.expected)


@limits
@given(draw=programs)
def test_collecting_gives_all_that_does_not_rest_on_a_failure(draw: random.Random) -> None:
    made = setting(draw, often)
    result = run(made, [], on_error="collect")
    assert result.output == made.expected
    assert (result.status == "finished") == (not result.errors)
    if made.has_failures:
        assert result.status == "partial"


@limits
@given(draw=programs, cancel_at_s=st.floats(0.0, 20.0))
def test_cancelling_at_any_time_leaves_nothing_running(
    draw: random.Random, cancel_at_s: float
) -> None:
    made = setting(draw, never)
    result = run(made, [], cancel_at_s=cancel_at_s)
    assert result.status in ("cancelled", "finished", "failed")
    if result.status == "cancelled":
        assert result.duration_s <= cancel_at_s
        assert not [node for node in result.nodes if node.status in ("failed", "skipped")]


@limits
@given(draw=programs, cancel_at_s=st.floats(0.0, 20.0))
def test_a_cancelled_run_leaves_its_runtime_as_good_as_new(
    draw: random.Random, cancel_at_s: float
) -> None:
    made = setting(draw, often)
    clock = VirtualClock()

    async def main() -> RunResult[Any]:
        async with Runtime(made.backend, clock=clock, on_error="collect") as runtime:
            first = runtime.start(made.call)
            await clock.sleep(cancel_at_s)
            first.cancel()
            return await runtime.start(made.call).wait()

    assert clock.run(main()).output == made.expected
    assert made.backend.peak_concurrency <= 2


@limits
@given(draw=programs, cancel_at_s=st.floats(0.0, 20.0), is_again=st.booleans())
def test_a_run_resumed_after_any_moment_gives_the_same_and_repeats_nothing(
    draw: random.Random, cancel_at_s: float, is_again: bool
) -> None:
    made = setting(draw, never)
    clock, store = VirtualClock(), MemoryStore()
    sittings: list[list[Event]] = []

    async def sit(at_s: float | None) -> RunResult[Any]:
        events: list[Event] = []
        async with Runtime(
            made.backend, clock=clock, store=store, on_event=events.append
        ) as runtime:
            if sittings:
                run = await runtime.resume("r1", made.call.workflow, in_flight="retry")
            else:
                run = runtime.start(made.call, run_id="r1")
            sittings.append(events)
            if at_s is not None:
                await clock.sleep(at_s)
                run.cancel()
            return await run.wait()

    clock.run(sit(cancel_at_s))
    if is_again:
        clock.run(sit(cancel_at_s))
    result = clock.run(sit(None))
    if is_endless(result):
        return
    assert (result.status, result.output) == ("finished", made.expected)
    leaves = [
        event.node_id
        for events in sittings
        for event in events
        if isinstance(event, NodeFinished)
        and event.kind in ("tool", "llm")
        and not event.is_restored
    ]
    assert len(leaves) == len(set(leaves))


@limits
@given(draw=programs, room=st.integers(1, 60))
def test_a_store_that_fails_at_any_record_takes_no_result_and_no_promise_with_it(
    draw: random.Random, room: int
) -> None:
    made = setting(draw, never)
    store = FailingStore(room)
    events: list[Event] = []
    clock = VirtualClock()

    async def main() -> tuple[RunResult[Any], set[str]]:
        async with Runtime(
            made.backend, clock=clock, store=store, on_event=events.append
        ) as runtime:
            result = await runtime.start(made.call, run_id="r1").wait()
        kept = (await store.load("r1")).nodes
        return result, {node.node_id for node in kept if node.status == "finished"}

    result, kept = clock.run(main())
    assert {event.node_id for event in events if isinstance(event, NodeFinished)} <= kept
    if result.status == "finished":
        assert result.output == made.expected
    elif not is_endless(result):  # a call that writes could not be recorded, and was not made
        assert isinstance(result.error, StoreError)
        assert str(result.store_error) == str(result.error)


@limits
@given(draw=programs, on_error=st.sampled_from(["fail", "collect"]))
def test_the_same_program_leaves_the_same_events(draw: random.Random, on_error: Any) -> None:
    state = draw.getrandbits(32)
    told: list[list[str]] = []
    for _ in range(2):
        # No threads: which of two ends first is the machine's to say.
        made = setting(random.Random(state), often, has_threads=False)
        events: list[Event] = []
        run(made, events, on_error=on_error)
        told.append([repr(event).replace(event.run_id, "RUN") for event in events])
    assert told[0] == told[1]
