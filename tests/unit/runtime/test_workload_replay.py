"""A workload on servers goes as it does in simulation, and what fails there ends its program alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agentrt.backends.made_text import TextSizes
from agentrt.clock import VirtualClock
from agentrt.errors import BackendUnavailable, InputError, InvalidAnswer, InvariantError
from agentrt.ir.prefix import Chain, Run
from agentrt.ir.request import Completion, Message, Usage
from agentrt.ir.workload import CallStep, ProgramTrace, Step, ToolStep, Workload
from agentrt.runtime.workload_replay import ReplayOptions, ServingReplica, replay
from agentrt.runtime.workload_served import Served
from agentrt.runtime.workload_text import WorkloadText
from agentrt.scheduler.actions import SchedulerAction, SendCall, Shed
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import CallReady, SchedulerEvent
from agentrt.scheduler.policies import named
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.report import report
from agentrt.simulator.simulation import simulate
from agentrt.simulator.workloads.generator import generate
from agentrt.simulator.workloads.parameters import Parameters, ToolUse, WorkflowShape
from agentrt.simulator.workloads.quantiles import Quantiles, log_normal
from tests.unit.backends.stepping_engine import FRAME_WORDS, SteppingEngine

MODEL = EngineModel(
    name="stepping",
    step_s=0.004,
    prefill_token_s=0.002,
    prefill_pair_s=5e-7,
    decode_sequence_s=0.003,
    context_token_s=4e-6,
    kv_tokens=1_000_000,
    max_batch_tokens=512,
    max_running=4,
)
SIZES = TextSizes(
    word_tokens=1.0,
    frame_tokens=2 * FRAME_WORDS,
    system_frame_tokens=3 * FRAME_WORDS,
    turn_tokens=2 * FRAME_WORDS,
)
SHAPE = WorkflowShape(
    workflow="small",
    system_tokens=64,
    task_tokens=log_normal(40, 60, 100),
    turns=Quantiles((0.0, 1.0), (3, 5)),
    new_tokens=log_normal(30, 60, 100),
    completion_tokens=Quantiles((0.0, 1.0), (8, 24)),
    tools=(ToolUse(tool="tool", share=1.0, duration_s=Quantiles((0.0, 1.0), (0.2, 1.0))),),
    parallel_share=0.3,
)


def small(programs: int = 6) -> Workload:
    parameters = Parameters(name="small", programs=programs, shapes=(SHAPE,), block_tokens=4)
    return generate(parameters, seed=3)


def played(
    workload: Workload,
    *engines: SteppingEngine,
    policy: str = "fcfs",
    at_once: int | None = None,
) -> Served:
    clock = VirtualClock()

    async def play() -> Served:
        replicas = {
            f"r{index}": ServingReplica(backend=engine, kv_blocks=250_000, max_running=4)
            for index, engine in enumerate(engines)
        }
        options = ReplayOptions(programs_at_once=at_once)
        try:
            return await replay(
                workload, Scheduler(named(policy)), replicas, clock=clock, options=options
            )
        finally:
            for engine in engines:
                await engine.aclose()

    return clock.run(play())


@pytest.mark.parametrize(("policy", "at_once"), [("fcfs", None), ("occupancy", None), ("cap-2", 4)])
def test_what_is_replayed_takes_as_long_as_what_is_simulated(
    policy: str, at_once: int | None
) -> None:
    workload = small()
    served = played(workload, SteppingEngine(MODEL), policy=policy, at_once=at_once)
    simulated = report(
        simulate(
            workload,
            named(policy),
            model=MODEL,
            kv_blocks=250_000,
            programs_at_once=at_once,
        )
    )
    mean_s = sum(served.completions_s) / len(workload.programs)
    # What is around messages belongs to no block, and is cached on the server all the same.
    assert mean_s == pytest.approx(simulated.mean_completion_s, rel=0.05)
    usage = served.usage
    assert usage.prompt_tokens == simulated.prompt_tokens
    hit_ratio = usage.cached_tokens / usage.prompt_tokens
    assert hit_ratio == pytest.approx(simulated.hit_ratio, abs=0.03)


def test_prompts_and_answers_have_the_lengths_of_the_workload() -> None:
    workload = small()
    served = played(workload, SteppingEngine(MODEL))
    for call in served.calls:
        step = workload.programs[call.program].steps[call.step]
        assert isinstance(step, CallStep)
        assert call.usage.prompt_tokens == step.prompt_tokens
        assert call.usage.completion_tokens == step.completion_tokens
    assert len(served.calls) == sum(
        isinstance(step, CallStep) for program in workload.programs for step in program.steps
    )


def test_two_replays_of_one_salt_send_the_same_and_of_another_nothing_in_common() -> None:
    def sent(salt: str) -> list[str]:
        text = WorkloadText(small(2), SIZES, salt=salt)
        return [m.content for program in (0, 1) for m in text.messages(program, 0)]

    assert sent("a") == sent("a")
    assert not set(sent("a")) & set(sent("b"))


def test_programs_of_a_closed_loop_begin_when_others_end() -> None:
    served = played(small(), SteppingEngine(MODEL), at_once=2)
    arrivals = sorted(program.arrived_s for program in served.programs)
    ends = sorted(program.finished_s or 0.0 for program in served.programs)
    assert arrivals[:2] == [0.0, 0.0]
    assert arrivals[2:] == pytest.approx(ends[:4])


def test_programs_with_a_time_of_arrival_come_then() -> None:
    workload = small(3)
    programs = [
        replace(program, arrival_s=float(5 * index))
        for index, program in enumerate(workload.programs)
    ]
    served = played(replace(workload, programs=programs), SteppingEngine(MODEL))
    assert [program.arrived_s for program in served.programs] == pytest.approx([0.0, 5.0, 10.0])


def test_calls_go_to_all_servers() -> None:
    served = played(small(), SteppingEngine(MODEL), SteppingEngine(MODEL))
    assert {call.replica_id for call in served.calls} == {"r0", "r1"}


def call(prompt: Chain, tokens: int, answer: int, context: Chain, *after: int) -> CallStep:
    return CallStep(
        after=after,
        prompt=prompt,
        prompt_tokens=tokens,
        completion_tokens=answer,
        context=context,
    )


def of(*programs: tuple[Step, ...]) -> Workload:
    traces = [
        ProgramTrace(program_id=f"p{index}", steps=steps) for index, steps in enumerate(programs)
    ]
    return Workload(name="w", block_tokens=4, programs=traces)


def test_a_program_whose_call_fails_is_given_up_and_the_others_go_on() -> None:
    one = call((Run(0, 5),), 21, 4, (Run(0, 6),))
    workload = of((one, replace(one, after=(0,))), (call((Run(90, 5),), 21, 4, (Run(90, 6),)),))
    words = WorkloadText(workload, SIZES).messages(1, 0)[0].content
    error = BackendUnavailable("it fell over")
    engine = SteppingEngine(MODEL, error=(words, error))
    first, second = played(workload, engine).programs
    assert (second.error, second.finished_s) == (error, None)
    assert first.error is None
    assert first.finished_s is not None


def test_siblings_of_a_call_that_fails_are_cancelled_at_the_server() -> None:
    long = call((Run(0, 5),), 21, 5000, (Run(0, 6),))
    short = call((Run(90, 5),), 21, 4, (Run(90, 6),))
    late = replace(short, after=(2,))
    workload = of((long, short, ToolStep(after=(1,), tool="t", duration_s=1.0), late))
    words = WorkloadText(workload, SIZES).messages(0, 1)[0].content
    engine = SteppingEngine(MODEL, error=(words, BackendUnavailable("it fell over")))
    served = played(workload, engine)
    assert served.completions_s == []
    assert engine._running == engine._waiting == []
    assert {call.step for call in served.calls} == {0, 1}


def test_a_call_that_is_shed_is_made_again() -> None:
    class ShedsFirst:
        """The scheduler, but each call is refused once."""

        def __init__(self) -> None:
            self._inner = Scheduler(named("fcfs"))
            self._seen: set[str] = set()

        def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
            if isinstance(event, CallReady) and event.call_id not in self._seen:
                self._seen.add(event.call_id)
                return [Shed(event.call_id, 2.0)]
            return self._inner.handle(event, now)

    engine, clock = SteppingEngine(MODEL), VirtualClock()
    workload = of((call((Run(0, 5),), 21, 4, (Run(0, 6),)),))
    replicas = {"r0": ServingReplica(backend=engine, kv_blocks=100)}
    served = clock.run(replay(workload, ShedsFirst(), replicas, clock=clock))
    (only,) = served.calls
    assert only.ready_s == 0.0
    assert only.sent_s == pytest.approx(2.0)


def test_a_broken_scheduler_ends_the_replay_with_its_error() -> None:
    class Confused:
        def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
            return [SendCall("0.1", "r0")] if isinstance(event, CallReady) else []

    clock = VirtualClock()
    step = call((Run(0, 5),), 21, 4, (Run(0, 6),))
    tool = ToolStep(after=(), tool="t", duration_s=1.0)
    workload = of((step, tool))
    replicas = {"r0": ServingReplica(backend=SteppingEngine(MODEL), kv_blocks=100)}
    with pytest.raises(ExceptionGroup) as raised:
        clock.run(replay(workload, Confused(), replicas, clock=clock))
    assert raised.group_contains((KeyError, InvariantError))


def test_nothing_to_replay_and_nowhere_to_are_refused() -> None:
    clock = VirtualClock()
    server = {"r0": ServingReplica(backend=SteppingEngine(MODEL), kv_blocks=1)}
    for workload, replicas in ((of(), server), (small(1), {})):
        with pytest.raises(InputError):
            clock.run(replay(workload, Scheduler(named("fcfs")), replicas, clock=clock))


def test_a_server_that_counts_no_tokens_is_refused_before_anything_is_sent_to_it() -> None:
    class Silent(SteppingEngine):
        async def complete(self, request, *, on_chunk=None):  # type: ignore[no-untyped-def]
            self.requests.append(request)
            return Completion(text="x")

    clock, engine = VirtualClock(), Silent(MODEL)
    with pytest.raises(InvalidAnswer):
        clock.run(
            replay(
                small(1),
                Scheduler(named("fcfs")),
                {"r0": ServingReplica(backend=engine, kv_blocks=100)},
                clock=clock,
            )
        )
    assert len(engine.requests) == 2


def test_cancelled_it_leaves_no_request_behind() -> None:
    clock, engine = VirtualClock(), SteppingEngine(replace(MODEL, step_s=1.0))

    async def cancel() -> None:
        replicas = {"r0": ServingReplica(backend=engine, kv_blocks=100_000)}
        working = asyncio.create_task(
            replay(small(), Scheduler(named("fcfs")), replicas, clock=clock)
        )
        await asyncio.sleep(30.0)
        assert engine._running
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert engine._running == engine._waiting == []
        await engine.aclose()

    clock.run(cancel())


# -- texts -----------------------------------------------------------------------------------


def words(message: Message) -> list[str]:
    return message.content.split()


def test_prompts_that_share_blocks_share_their_first_words_and_no_more() -> None:
    whole: Chain = (Run(0, 10),)
    forked: Chain = (Run(0, 6), Run(50, 4))
    text = WorkloadText(of((call(whole, 43, 1, whole),), (call(forked, 43, 1, forked),)), SIZES)
    first = [w for m in text.messages(0, 0) for w in words(m)]
    second = [w for m in text.messages(1, 0) for w in words(m)]
    assert first[:24] == second[:24]
    assert first[24:] != second[24:]


@pytest.mark.parametrize("first", [(Run(0, 6), Run(100, 4)), (Run(0, 10),)])
def test_what_several_programs_begin_with_is_the_system_message(first: Chain) -> None:
    chains: list[Chain] = [first, (Run(0, 6), Run(200, 4))]
    text = WorkloadText(of(*((call(chain, 42, 1, chain),) for chain in chains)), SIZES)
    for program in (0, 1):
        system, user = text.messages(program, 0)
        assert (system.role, user.role) == ("system", "user")
        assert len(words(system)) == 24
        assert len(words(system)) + len(words(user)) + 3 * FRAME_WORDS == 42


def test_a_prompt_goes_on_from_the_longest_conversation_it_begins_with() -> None:
    first = call((Run(0, 5),), 21, 8, (Run(0, 7),))
    second = call((Run(0, 12),), 50, 8, (Run(0, 14),), 0)
    third = call((Run(0, 20),), 80, 8, (Run(0, 22),), 1)
    text = WorkloadText(of((first, second, third)), SIZES)
    text.messages(0, 0)
    text.answered(0, 0, Completion(text="one two", usage=Usage(21, 0, 8)))
    asked = text.messages(0, 1)
    assert [message.role for message in asked] == ["user", "assistant", "user"]
    assert asked[1].content == "one two"
    assert len(words(asked[2])) == 50 - 29 - 2 * FRAME_WORDS
    # The server counted two more than planned: the next message is so much shorter.
    text.answered(0, 1, Completion(text="three", usage=Usage(52, 0, 8)))
    later = text.messages(0, 2)
    assert later[:4] == (*asked, Message("assistant", "three"))
    assert len(words(later[4])) == 80 - 60 - 2 * FRAME_WORDS


def test_a_prompt_that_does_not_go_on_from_anything_is_written_anew() -> None:
    first = call((Run(0, 5),), 21, 8, (Run(0, 7),))
    restarted = call((Run(0, 3), Run(70, 5)), 34, 8, (Run(0, 3), Run(70, 7)), 0)
    text = WorkloadText(of((first, restarted)), SIZES)
    begun = text.messages(0, 0)
    text.answered(0, 0, Completion(text="one two", usage=Usage(21, 0, 8)))
    anew = text.messages(0, 1)
    assert [message.role for message in anew] == ["user"]
    assert words(anew[0])[:11] == words(begun[0])[:11]


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_a_prompt_shorter_than_what_is_around_it_is_a_word(tokens: int) -> None:
    text = WorkloadText(of((call((), tokens, 1, ()),)), SIZES)
    (message,) = text.messages(0, 0)
    assert len(words(message)) == 1
