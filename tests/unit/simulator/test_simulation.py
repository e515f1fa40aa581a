"""The loop of scheduler, engines and clients, on small programs whose course can be told by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from agentrt.errors import InputError
from agentrt.ir.prefix import Run
from agentrt.ir.workload import CallStep, ProgramTrace, Step, ToolStep, Workload
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.scheduler.policy import Policy
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.replay import Replay, call_step
from agentrt.simulator.report import report
from agentrt.simulator.simulation import simulate
from agentrt.simulator.workloads.generator import generate
from agentrt.simulator.workloads.presets import preset

# A step takes 1 s, a prompt token 0.01 s, and nothing else any time.
PLAIN = EngineModel(
    name="plain",
    step_s=1.0,
    prefill_token_s=0.01,
    decode_sequence_s=0.0,
    context_token_s=0.0,
    kv_tokens=16_000,
)
BLOCK = 10


def call(first: int, blocks: int, *, after: tuple[int, ...] = (), answer: int = 10) -> CallStep:
    """A prompt of `blocks` blocks from the id `first` on, and an answer of one block."""
    return CallStep(
        after=after,
        prompt=(Run(first, blocks),),
        prompt_tokens=blocks * BLOCK,
        completion_tokens=answer,
        context=(Run(first, blocks + 1),),
    )


def workload(*programs: tuple[Step, ...], arrivals: tuple[float, ...] = ()) -> Workload:
    traces = tuple(
        ProgramTrace(
            program_id=f"p{i}", steps=steps, arrival_s=arrivals[i] if i < len(arrivals) else None
        )
        for i, steps in enumerate(programs)
    )
    return Workload(name="made", block_tokens=BLOCK, programs=traces)


def agent(first: int) -> tuple[Step, ...]:
    """A call of ten blocks, a tool of 5 s, and a call that goes on from the first."""
    return (
        call(first, 10),
        ToolStep(after=(0,), tool="t", duration_s=5.0),
        call(first, 12, after=(1,)),
    )


def run(made: Workload, policy: Policy | None = None, *, kv_blocks: int = 1_000) -> Replay:
    return simulate(made, policy or Unmanaged(), model=PLAIN, kv_blocks=kv_blocks)


def test_a_program_alone_takes_its_prefills_its_answers_and_its_tools() -> None:
    replay = run(workload(agent(0)))
    first, second = replay.calls
    # 100 tokens computed in one step of 1 + 1 s, then nine steps of 1 s for the other nine tokens.
    assert (first.first_token_s, first.finished_s) == (2.0, 11.0)
    assert second.ready_s == 16.0
    # The answer's last token was never computed, so its block is not full: 100 of 120 are there.
    assert second.cached_tokens == 100
    assert second.finished_s == pytest.approx(16.0 + 1.0 + 0.2 + 9.0)
    figures = report(replay)
    assert figures.mean_completion_s == second.finished_s
    assert figures.hit_ratio == 100 / 220
    assert figures.belady_hit_ratio == 110 / 220  # it has whole contexts, the last token included
    assert (figures.prompt_tokens, figures.computed_tokens) == (220, 120)
    assert figures.jain_index == 1.0


def test_programs_come_when_they_are_due_or_when_another_has_ended() -> None:
    timed = run(workload(agent(0), agent(1_000), arrivals=(3.0, 1.0)))
    assert [program.arrived_s for program in timed.programs] == [3.0, 1.0]
    looped = simulate(
        workload(agent(0), agent(1_000), agent(2_000)),
        Unmanaged(),
        model=PLAIN,
        kv_blocks=1_000,
        programs_at_once=1,
    )
    for before, after in pairwise(looped.programs):
        assert after.arrived_s == before.finished_s


def test_siblings_run_at_once_and_a_join_waits_for_the_last() -> None:
    steps: tuple[Step, ...] = (
        call(0, 10),
        call(1_000, 1, after=(0,)),
        call(2_000, 1, after=(0,), answer=20),
        ToolStep(after=(1, 2), tool="join", duration_s=1.0),
        call(3_000, 1, after=(3,)),
    )
    replay = run(workload(steps))
    ready = [c.ready_s for c in replay.calls]
    ends = [c.finished_s for c in replay.calls]
    assert ready[1] == ready[2] == ends[0]
    assert ends[2] is not None
    assert ready[3] == ends[2] + 1.0


def test_a_call_that_fits_no_engine_ends_its_program_and_no_other() -> None:
    replay = run(workload((call(0, 200),), agent(1_000)), kv_blocks=100)
    assert replay.programs[0].finished_s is None
    assert replay.programs[1].finished_s is not None
    assert report(replay).unfinished == 1


POLICIES: list[Policy] = [Unmanaged(), FixedCap(3), ByOccupancy(), ByOccupancy(attained_weight=1.0)]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("kind", ["swe", "browser", "fanout"])
def test_every_program_of_a_made_workload_ends_and_the_books_balance(
    kind: str, policy: Policy
) -> None:
    made = generate(preset(kind, programs=12), seed=3)
    replay = simulate(made, policy, model=PLAIN, kv_blocks=4_000, replicas=2, programs_at_once=8)
    assert all(program.finished_s is not None for program in replay.programs)
    steps = sum(isinstance(step, CallStep) for trace in made.programs for step in trace.steps)
    assert len(replay.calls) == steps
    for record in replay.calls:
        assert record.started_s is not None
        assert record.finished_s is not None
        assert record.ready_s <= record.started_s <= record.finished_s
        assert record.cached_tokens < call_step(replay, record).prompt_tokens
    figures = report(replay)
    computed_once = figures.prompt_tokens * (1.0 - figures.hit_ratio)
    assert figures.computed_tokens >= round(computed_once)
    assert 0.0 < figures.jain_index <= 1.0


def test_without_pressure_scheduling_changes_nothing() -> None:
    made = generate(preset("swe", programs=8), seed=1)
    roomy = {"model": PLAIN, "kv_blocks": 200_000}
    alone = simulate(made, Unmanaged(), **roomy)  # type: ignore[arg-type]
    scheduled = simulate(made, ByOccupancy(), **roomy)  # type: ignore[arg-type]
    assert scheduled.calls == alone.calls
    assert scheduled.programs == alone.programs


def test_the_same_arguments_give_the_same_replay() -> None:
    made = generate(preset("mixed", programs=10), seed=5)
    both = [
        simulate(made, ByOccupancy(), model=PLAIN, kv_blocks=3_000, replicas=2) for _ in range(2)
    ]
    assert both[0] == both[1]
    assert report(both[0]).to_json() == report(both[1]).to_json()


@pytest.mark.parametrize(("kv_blocks", "replicas"), [(0, 1), (10, 0)])
def test_a_simulation_of_nothing_is_refused(kv_blocks: int, replicas: int) -> None:
    with pytest.raises(InputError):
        simulate(
            workload(agent(0)), Unmanaged(), model=PLAIN, kv_blocks=kv_blocks, replicas=replicas
        )
    with pytest.raises(InputError):
        run(replace(workload(), programs=()))
