"""The runtime drives the scheduler as the simulator does: the same events, the same actions.

Two comparisons. What a runtime told its scheduler, with the times, is told to a fresh one, which must
answer the same; and one workload through both drivers must lead to the same decisions at the same times.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentrt.backends.scripted import ScriptedBackend
from agentrt.clock import VirtualClock
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.errors import AgentRTError, BackendUnavailable, RateLimited, RequestRejected
from agentrt.ir.prefix import Chain
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Completion, Message, Request, ToolCall, Usage
from agentrt.ir.workload import CallStep, ProgramTrace, Step, ToolStep, Workload
from agentrt.runtime import Runtime
from agentrt.runtime.scheduling import Scheduled, Scheduling
from agentrt.scheduler.actions import Prewarm, SchedulerAction, SendCall
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFinished,
    CallReady,
    CallStarted,
    FirstToken,
    ProgramArrived,
    ProgramFinished,
    ReplicaUp,
    SchedulerEvent,
    TimerFired,
    ToolFinished,
    ToolStarted,
)
from agentrt.scheduler.policies import named
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.fleet import FleetSettings
from agentrt.simulator.simulation import simulate_with
from tests.unit.runtime.scheduled_log import replayed, to_the_end

POLICIES = ("occupancy", "fcfs", "cap-2", "plas:cap=2")


@dataclass
class Chances:
    """What is random in these runs, set anew by each."""

    source: random.Random


CHANCES = Chances(random.Random(0))


@tool(effects="read", retries=1, timeout_s=8.0)
async def bash(command: str) -> str:
    """Run it."""
    await asyncio.sleep(CHANCES.source.choice([0.0, 0.1, 3.0, 9.0]))
    if CHANCES.source.random() < 0.2:
        raise OSError("it said no")
    return command * CHANCES.source.randint(1, 100)


@llm(retries=2, timeout_s=20.0)
def ask(text: str) -> Prompt[str]:
    return Prompt(text, system="Answer. " * 20)


@llm(retries=2, tier="small")
def ask_small(text: str) -> Prompt[str]:
    return Prompt(text)


@agent(tools=[bash], retries=2)
def fix(text: str) -> Prompt[str]:
    return Prompt(text, system="Fix it. " * 40)


@workflow
def several(texts: list[str]) -> list[Any]:
    return [ask.map(fix.map(texts)), ask_small(bash("x"))]


def answer(request: Request) -> Completion | Exception:
    chance = CHANCES.source.random()
    if chance < 0.1:
        return CHANCES.source.choice(
            [
                RateLimited("slow", retry_after_s=2.0),
                BackendUnavailable("x"),
                RequestRejected("no"),
            ]
        )
    if request.tools and chance < 0.8:
        calls = [ToolCall(f"c{i}", "bash", '{"command": "ls -l"}') for i in range(2)]
        return Completion(text="x" * 50, tool_calls=tuple(calls[: CHANCES.source.randint(1, 2)]))
    return Completion(text="y" * CHANCES.source.randint(0, 400))


def recorded(seed: int, policy: str, *, at_once: int | None, kv_tokens: int | None) -> Any:
    """What the schedulers of a runtime were told in a run of everything that can happen."""
    CHANCES.source.seed(seed)
    log: list[Scheduled] = []
    clock = VirtualClock()

    def latency_s(_: Request) -> float:
        return CHANCES.source.choice([0.0, 0.5, 1.0, 5.0, 30.0])

    large = ScriptedBackend(answer, latency_s=latency_s, max_concurrency=at_once)
    small = ScriptedBackend(answer, latency_s=latency_s, max_concurrency=1)

    async def free(runtime: Runtime) -> None:
        async with runtime.program("free") as program, asyncio.TaskGroup() as tasks:
            for number in range(3):
                request = Request(messages=(Message("user", "z" * 100 * number),))
                tasks.create_task(program.complete(request))
            await program.tool(bash, "make")

    async def main() -> None:
        scheduling = Scheduling(
            policy=lambda: named(policy), kv_tokens=kv_tokens, on_scheduled=log.append
        )
        async with Runtime(
            large,
            small=small,
            clock=clock,
            seed=seed,
            scheduling=scheduling,
            on_error="collect",
            on_event=lambda _: None,
        ) as runtime:
            runs = [runtime.start(several.bind([f"{n}" * 80] * 2)) for n in range(4)]
            for _ in range(2):
                try:
                    await free(runtime)
                except* (AgentRTError, OSError):
                    pass
            await asyncio.sleep(CHANCES.source.uniform(0.0, 40.0))
            runs[CHANCES.source.randrange(4)].cancel()
            for run in runs:
                await run.wait()

    to_the_end(clock, main())
    return log


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    policy=st.sampled_from(POLICIES),
    at_once=st.none() | st.integers(1, 4),
    kv_tokens=st.none() | st.integers(100, 3_000),
)
@example(seed=18, policy="occupancy", at_once=None, kv_tokens=100)
@example(seed=0, policy="occupancy", at_once=2, kv_tokens=600)
def test_a_fresh_scheduler_answers_all_that_a_runtime_told_its_own_in_the_same_way(
    seed: int, policy: str, at_once: int | None, kv_tokens: int | None
) -> None:
    log = recorded(seed, policy, at_once=at_once, kv_tokens=kv_tokens)
    assert {entry.pool for entry in log} >= {"large"}
    for scheduler in replayed(log, lambda: named(policy)).values():
        assert scheduler.programs == ()
        for replica in scheduler.replicas:
            assert (replica.occupied_blocks, dict(replica.running)) == (0, {})


# -- the same work through both drivers ------------------------------------------------------

STEP_S = 2.0**-8
"""What a step of the engine takes, whatever is in it: exact in binary, so that all times are."""

KV_BLOCKS = 60


@dataclass(frozen=True)
class Turn:
    """A question, an answer of so many steps, and a tool that takes so many before the next question."""

    question: int
    answer_steps: int
    tool_steps: int


Made = list[tuple[int, list[Turn]]]
"""Programs: when each arrives, in steps, and its turns."""


def made_up(source: random.Random) -> Made:
    def turn() -> Turn:
        # An engine makes a token a step, and no answer is of fewer tokens than its text has.
        return Turn(source.randint(1, 1_000), source.randint(64, 2_000), source.randint(1, 9_000))

    return [
        (source.randint(0, 5_000), [turn() for _ in range(source.randint(1, 5))])
        for _ in range(source.randint(1, 7))
    ]


@tool(effects="read")
async def nap(steps: int, question: int, answer_steps: int) -> str:
    """Take a while, then ask on."""
    await asyncio.sleep(steps * STEP_S)
    return asked(Turn(question, answer_steps, 0))


@agent(tools=[nap])
def talk(text: str) -> Prompt[str]:
    # Some blocks, so that a prompt is never too short to tell whether others go on from it.
    return Prompt(text, system="s" * 200)


@workflow
def talked(text: str) -> str:
    return talk(text)


def asked(turn: Turn) -> str:
    return "q" * turn.question + f"#{turn.answer_steps}"


def run_for_real(made: Made, policy: str, max_running: int) -> list[Scheduled]:
    log: list[Scheduled] = []
    clock = VirtualClock()

    def steps_of(request: Request) -> int:
        return int(request.messages[-1].content.rpartition("#")[2])

    def answered(request: Request) -> Completion:
        # No count of the prompt's tokens: so nothing is learned, and a token stays four characters.
        usage = Usage(0, 0, steps_of(request))
        turns = made[int(request.program_id[1:])][1]
        turn = sum(message.role == "assistant" for message in request.messages)
        if turn + 1 == len(turns):
            return Completion(text="a" * 100, usage=usage)
        then = turns[turn + 1]
        arguments = {
            "steps": turns[turn].tool_steps,
            "question": then.question,
            "answer_steps": then.answer_steps,
        }
        call = ToolCall(f"t{turn}", "nap", json.dumps(arguments))
        return Completion(text="a" * 100, tool_calls=(call,), usage=usage)

    backend = ScriptedBackend(
        answered,
        latency_s=lambda request: steps_of(request) * STEP_S,
        max_concurrency=max_running,
    )

    async def one(runtime: Runtime, number: int, arrives: int, made: list[Turn]) -> None:
        await asyncio.sleep(arrives * STEP_S)
        await runtime.start(talked.bind(asked(made[0])), run_id=f"p{number}").result()

    async def main() -> None:
        scheduling = Scheduling(
            policy=lambda: named(policy), kv_tokens=KV_BLOCKS * 16, on_scheduled=log.append
        )
        async with (
            # Streamed answers tell of first tokens, which the simulated server does at other times.
            Runtime(
                backend, clock=clock, scheduling=scheduling, without=["early-dispatch"]
            ) as runtime,
            asyncio.TaskGroup() as tasks,
        ):
            for number, (arrives, of_one) in enumerate(made):
                tasks.create_task(one(runtime, number, arrives, of_one))

    to_the_end(clock, main())
    return log


def name_of(program_id: str) -> str:
    """What both drivers call a program, in ids of their own."""
    return program_id.rpartition(":")[2].partition("#")[0]


def workload_of(made: Made, log: list[Scheduled]) -> Workload:
    """The same programs, with the blocks that the runtime found in their prompts."""
    ready: dict[str, list[CallReady]] = {}
    contexts: dict[str, Chain] = {}
    for entry in log:
        match entry.event:
            case CallReady():
                ready.setdefault(name_of(entry.event.program_id), []).append(entry.event)
            case CallFinished():
                contexts[entry.event.call_id] = entry.event.context
            case _:
                pass
    programs: list[ProgramTrace] = []
    for number, (arrives, of_one) in enumerate(made):
        steps: list[Step] = []
        for turn, call in zip(of_one, ready[f"p{number}"], strict=True):
            after = (len(steps) - 1,) if steps else ()
            steps.append(
                CallStep(
                    after=after,
                    prompt=call.chain,
                    prompt_tokens=call.prompt_tokens,
                    completion_tokens=turn.answer_steps,
                    context=contexts[call.call_id],
                )
            )
            if turn is not of_one[-1]:
                duration_s = turn.tool_steps * STEP_S
                steps.append(ToolStep(after=(len(steps) - 1,), tool="nap", duration_s=duration_s))
        programs.append(
            ProgramTrace(
                program_id=f"p{number}",
                workflow="talked",
                steps=tuple(steps),
                arrival_s=arrives * STEP_S,
            )
        )
    return Workload(name="made", block_tokens=16, programs=tuple(programs))


class AsTheRuntimeHears:
    """The scheduler, told by the simulator no more than the runtime knows, and heard no better."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.log: list[Scheduled] = []

    def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        match event:
            case CallStarted() | FirstToken():
                return []  # nobody streams
            case ReplicaUp():
                # The engine has room for all: what waits, waits because the scheduler says so.
                event = replace(event, kv_blocks=KV_BLOCKS)
            case _:
                pass
        actions = self._scheduler.handle(event, now)
        self.log.append(Scheduled("large", event, now, actions))
        # Advice that the runtime does not take at a scripted backend.
        return [action for action in actions if not isinstance(action, Prewarm)]


def simulated(workload: Workload, policy: str, max_running: int) -> list[Scheduled]:
    model = EngineModel(
        name="steps",
        step_s=STEP_S,
        prefill_token_s=0.0,
        decode_sequence_s=0.0,
        context_token_s=0.0,
        kv_tokens=16_000_000,
        max_batch_tokens=1_000_000,
        max_running=max_running,
    )
    scheduler = AsTheRuntimeHears(Scheduler(named(policy)))
    simulate_with(scheduler, workload, FleetSettings(model=model, kv_blocks=1_000_000))
    return scheduler.log


def turns(log: list[Scheduled]) -> dict[str, tuple[str, int]]:
    """Which turn of which program each call is."""
    made: dict[str, int] = {}
    calls: dict[str, tuple[str, int]] = {}
    for entry in log:
        if isinstance(entry.event, CallReady):
            name = name_of(entry.event.program_id)
            made[name] = made.get(name, -1) + 1
            calls[entry.event.call_id] = (name, made[name])
    return calls


def decisions(log: list[Scheduled]) -> list[tuple[float, str, int]]:
    """When which turn of which program was sent."""
    calls = turns(log)
    return sorted((entry.at, *calls[send.call_id]) for entry in log for send in sends(entry))


def told(log: list[Scheduled]) -> list[object]:
    """What the scheduler was told of the programs, in names that both drivers have."""
    calls = turns(log)
    found: list[tuple[float, str, object]] = []
    for entry in log:
        event = entry.event
        match event:
            case CallReady():
                what = (event.chain, event.prompt_tokens, event.is_last)
                found.append((entry.at, "ready", (*calls[event.call_id], *what)))
            case CallFinished():
                ended = (event.usage, event.context, event.is_last)
                found.append((entry.at, "finished", (*calls[event.call_id], *ended)))
            case ToolStarted():
                assert event.call_id is not None
                asked_by = calls[event.call_id]
                found.append((entry.at, "tool", (*asked_by, event.tool, event.argument_class)))
            case ToolFinished():
                found.append((entry.at, "tool done", name_of(event.program_id)))
            case ProgramArrived():
                found.append((entry.at, event.workflow, name_of(event.program_id)))
            case ProgramFinished():
                found.append((entry.at, "over", name_of(event.program_id)))
            case _:
                pass  # replicas and timers are the drivers' own
    return sorted(found, key=repr)


def has_ties(log: list[Scheduled]) -> bool:
    """Whether two programs did something at one time: which is first is then for the driver to say."""
    owners: dict[str, str] = {}
    at_once: dict[float, set[str]] = {}
    for entry in log:
        event = entry.event
        match event:
            case ReplicaUp():
                continue
            case TimerFired(timer_id):
                owner = timer_id
            case CallReady():
                owner = owners[event.call_id] = event.program_id
            case CallFinished(call_id) | FirstToken(call_id):
                owner = owners[call_id]
            case ProgramFinished(program_id):
                owner = program_id
            case ProgramArrived() | ToolStarted() | ToolFinished():
                owner = event.program_id
            case _:
                raise AssertionError(f"{event} has no part in this")
        at_once.setdefault(entry.at, set()).add(owner)
    return any(len(names) > 1 for names in at_once.values())


def sends(entry: Scheduled) -> list[SendCall]:
    return [action for action in entry.actions if isinstance(action, SendCall)]


def is_within_a_step(log: list[Scheduled]) -> bool:
    """Whether a call was sent, by a timer, where no step of the engine ends: it begins later there."""
    return any(sends(entry) and entry.at % STEP_S for entry in log)


@pytest.mark.parametrize("policy", POLICIES)
def test_one_workload_leads_both_drivers_to_the_same_decisions(policy: str) -> None:
    compared = waited = 0
    for seed in range(100):
        source = random.Random(seed)
        made, max_running = made_up(source), source.randint(1, 4)
        for_real = run_for_real(made, policy, max_running)
        if has_ties(for_real) or is_within_a_step(for_real):
            continue
        again = simulated(workload_of(made, for_real), policy, max_running)
        assert decisions(again) == decisions(for_real), seed
        assert told(again) == told(for_real), seed
        compared += 1
        waited += any(isinstance(e.event, CallReady) and not sends(e) for e in for_real)
    assert compared >= 20
    assert waited >= 10
