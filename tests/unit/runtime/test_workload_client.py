"""Programs replayed as clients ask one endpoint, in their own order and time, and fail alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agentrt.backends.base import Backend
from agentrt.backends.made_text import TextSizes
from agentrt.clock import VirtualClock
from agentrt.errors import (
    BackendError,
    BackendUnavailable,
    InputError,
    RateLimited,
    RequestRejected,
)
from agentrt.ir.prefix import Run
from agentrt.ir.request import Completion, Usage
from agentrt.ir.workload import CallStep, ProgramTrace, ToolStep, Workload
from agentrt.runtime.workload_client import ClientOptions, replay_as_client
from agentrt.runtime.workload_least import least_prefill_tokens
from agentrt.runtime.workload_served import Served
from agentrt.runtime.workload_text import WorkloadText
from agentrt.scheduler.policies import named
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.report import report
from agentrt.simulator.simulation import simulate
from agentrt.simulator.workloads import generate
from agentrt.simulator.workloads.parameters import Parameters, ToolUse, WorkflowShape
from agentrt.simulator.workloads.quantiles import constant, exponential, uniform
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


@dataclass
class Site:
    """An endpoint that is one engine for all programs."""

    engine: Backend
    url: str = "stub"
    released: list[str] = field(default_factory=list)

    def backend(self, program_id: str) -> Backend:
        return self.engine

    def fields(self, program_id: str) -> Mapping[str, Any]:
        return {"program_id": program_id}

    async def release(self, program_id: str) -> None:
        self.released.append(program_id)


@dataclass
class Refusing:
    """Fails so many calls first, each with `error`, and then asks `engine`."""

    engine: SteppingEngine
    error: BackendError
    failures: int
    name: str = "refusing"

    async def capabilities(self) -> Any:
        return await self.engine.capabilities()

    async def complete(self, request: Any, *, on_chunk: Any = None) -> Any:
        if self.failures:
            self.failures -= 1
            raise self.error
        return await self.engine.complete(request, on_chunk=on_chunk)

    async def aclose(self) -> None:
        await self.engine.aclose()


SHAPE = WorkflowShape(
    workflow="small",
    system_tokens=64,
    task_tokens=uniform(30, 60),
    turns=uniform(2, 4),
    new_tokens=uniform(30, 60),
    completion_tokens=constant(8),
    tools=(ToolUse(tool="tool", share=1.0, duration_s=exponential(0.5)),),
)


def small(programs: int) -> Workload:
    parameters = Parameters(name="small", programs=programs, shapes=(SHAPE,), block_tokens=4)
    return generate(parameters, seed=3)


def played(
    workload: Workload, backend: Backend, options: ClientOptions | None = None
) -> tuple[Served, Site]:
    clock, site = VirtualClock(), Site(backend)

    async def play() -> Served:
        try:
            return await replay_as_client(
                workload, site, SIZES, clock=clock, options=options or ClientOptions()
            )
        finally:
            await backend.aclose()

    return clock.run(play()), site


@pytest.mark.parametrize("at_once", [None, 2])
def test_a_client_sees_what_a_simulation_of_no_scheduling_sees(at_once: int | None) -> None:
    workload = small(5)
    served, _ = played(workload, SteppingEngine(MODEL), ClientOptions(programs_at_once=at_once))
    simulated = report(
        simulate(workload, named("fcfs"), model=MODEL, kv_blocks=250_000, programs_at_once=at_once)
    )
    mean_s = sum(served.completions_s) / len(workload.programs)
    assert mean_s == pytest.approx(simulated.mean_completion_s, rel=0.05)
    assert served.usage.prompt_tokens == simulated.prompt_tokens


def test_every_call_has_the_length_of_the_workload_and_says_what_its_endpoint_wants() -> None:
    workload, engine = small(3), SteppingEngine(MODEL)
    served, _ = played(workload, engine, ClientOptions(salt="s"))
    for call in served.calls:
        step = workload.programs[call.program].steps[call.step]
        assert isinstance(step, CallStep)
        assert call.usage.prompt_tokens == step.prompt_tokens
        assert call.usage.completion_tokens == step.completion_tokens
    assert {request.extra["program_id"] for request in engine.requests} == {"s-0", "s-1", "s-2"}


def test_with_a_cap_programs_wait_their_turn_and_that_is_their_time() -> None:
    workload = small(4)
    served, site = played(workload, SteppingEngine(MODEL), ClientOptions(cap=1))
    assert [program.arrived_s for program in served.programs] == [0.0] * 4
    ends = [program.finished_s for program in served.programs if program.finished_s is not None]
    assert ends == sorted(ends)
    first_ready = [
        min(call.ready_s for call in served.calls if call.program == index) for index in range(4)
    ]
    assert first_ready == pytest.approx([0.0, *ends[:3]])
    assert site.released == ["0", "1", "2", "3"]


def test_under_a_closed_loop_waiting_for_a_place_is_nobodys_time() -> None:
    served, _ = played(small(3), SteppingEngine(MODEL), ClientOptions(programs_at_once=1))
    begins = [program.arrived_s for program in served.programs]
    ends = [program.finished_s or 0.0 for program in served.programs]
    assert begins == pytest.approx([0.0, *ends[:2]])


def test_steps_run_at_once_where_they_may_and_tools_take_their_time() -> None:
    call = CallStep(
        after=(), prompt=(Run(0, 10),), prompt_tokens=40, completion_tokens=4, context=(Run(0, 11),)
    )
    tools = [ToolStep(after=(0,), tool="t", duration_s=float(s)) for s in (2, 5)]
    last = CallStep(
        after=(1, 2),
        prompt=(Run(0, 20),),
        prompt_tokens=80,
        completion_tokens=4,
        context=(Run(0, 21),),
        gap_s=1.0,
    )
    trace = ProgramTrace(program_id="p", steps=(call, *tools, last), arrival_s=3.0)
    workload = Workload(name="w", block_tokens=4, programs=(trace,))
    served, _ = played(workload, SteppingEngine(MODEL))
    first, second = served.calls
    assert served.programs[0].arrived_s == pytest.approx(3.0)
    assert first.finished_s is not None
    assert second.ready_s == pytest.approx(first.finished_s + 5.0 + 1.0)
    assert second.sent_s == second.ready_s


def test_what_may_pass_is_tried_again_and_waits_as_long_as_it_was_told() -> None:
    error = RateLimited("full", retry_after_s=7.0)
    backend = Refusing(SteppingEngine(MODEL), error, failures=2)
    served, _ = played(small(1), backend)
    first = served.calls[0]
    assert first.attempts == 3
    assert first.sent_s is not None
    assert first.sent_s >= 14.0
    assert first.ready_s == 0.0
    assert served.programs[0].finished_s is not None


@pytest.mark.parametrize(
    ("error", "failures"),
    [(BackendUnavailable("gone"), 3), (RequestRejected("no"), 1)],
    ids=["again and again", "for good"],
)
def test_a_program_that_fails_is_given_up_alone(error: BackendError, failures: int) -> None:
    backend = Refusing(SteppingEngine(MODEL), error, failures=failures)
    served, site = played(small(2), backend, ClientOptions(programs_at_once=1))
    lost, other = served.programs
    assert (lost.error, lost.finished_s) == (error, None)
    assert other.finished_s is not None
    assert site.released == ["0", "1"]
    assert sum(call.finished_s is None for call in served.calls) == 1


def test_an_answer_that_does_not_count_its_tokens_ends_its_program() -> None:
    class Uncounting(SteppingEngine):
        async def complete(self, request: Any, *, on_chunk: Any = None) -> Any:
            found = await super().complete(request, on_chunk=on_chunk)
            return replace(found, usage=Usage())

    served, _ = played(small(1), Uncounting(MODEL))
    assert "does not say how many tokens a call had" in str(served.programs[0].error)
    assert served.calls[0].attempts == 1


def test_after_its_limit_a_replay_is_cut_and_what_was_done_is_kept() -> None:
    workload = small(3)
    whole, _ = played(workload, SteppingEngine(MODEL), ClientOptions(programs_at_once=1))
    ends = [program.finished_s or 0.0 for program in whole.programs]
    limit_s = (ends[0] + ends[1]) / 2
    options = ClientOptions(programs_at_once=1, limit_s=limit_s)
    cut, site = played(workload, SteppingEngine(MODEL), options)
    assert (whole.is_cut, cut.is_cut) == (False, True)
    assert [program.finished_s for program in cut.programs] == [pytest.approx(ends[0]), None, None]
    assert site.released == ["0", "1"]


def test_nothing_to_replay_is_refused() -> None:
    with pytest.raises(InputError, match="'none' has no programs"):
        played(Workload(name="none", block_tokens=4, programs=()), SteppingEngine(MODEL))


def test_the_least_is_what_a_server_that_forgets_nothing_computes() -> None:
    workload = small(5)
    served, _ = played(workload, SteppingEngine(MODEL), ClientOptions(programs_at_once=1))
    computed = served.usage.prompt_tokens - served.usage.cached_tokens
    # That caches single words, and what is around messages; the workload only whole blocks.
    assert computed == pytest.approx(least_prefill_tokens(workload), rel=0.05)


def test_the_least_of_a_prompt_that_begins_anew_is_all_that_nobody_had_before() -> None:
    def call(at: int, *runs: Run, tokens: int) -> CallStep:
        return CallStep(
            after=tuple(range(at)),
            prompt=runs,
            prompt_tokens=tokens,
            completion_tokens=4,
            context=runs,
        )

    first = call(0, Run(0, 2), Run(10, 3), tokens=22)
    restarted = call(1, Run(0, 2), Run(20, 2), tokens=17)
    programs = [ProgramTrace(program_id=str(at), steps=(first, restarted)) for at in range(2)]
    workload = Workload(name="w", block_tokens=4, programs=programs)
    # 22 tokens, then 17 less the 8 it shares; the second program has blocks of all but the last words.
    assert least_prefill_tokens(workload) == 22 + 9 + (22 - 20) + (17 - 16)


def test_the_text_of_programs_that_ended_is_not_kept() -> None:
    workload = small(3)
    text = WorkloadText(workload, SIZES)
    for program in range(3):
        text.messages(program, 0)
        text.answered(program, 0, Completion(text="a", usage=Usage(10, 0, 2)))
        text.messages(program, 2)
        text.ended(program)
    assert (text._asked, text._conversations) == ({}, {})
