"""Made-up workloads: sound, repeatable, and with the quantiles that were asked for."""

from __future__ import annotations

import itertools
from dataclasses import replace
from itertools import pairwise
from math import inf, log, nan
from statistics import fmean

import pytest

from agentrt.errors import InputError
from agentrt.ir.prefix import Run, block_count, shared_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, ToolStep
from agentrt.simulator import workloads
from agentrt.simulator.workloads.presets import PRESETS
from agentrt.simulator.workloads.quantiles import constant, exponential

SHAPE = workloads.WorkflowShape(
    workflow="w",
    system_tokens=32,
    task_tokens=constant(16),
    turns=constant(2),
    new_tokens=constant(10),
    completion_tokens=constant(6),
    tools=(workloads.ToolUse(tool="bash", share=1, duration_s=constant(2.0), argument_class="ls"),),
    gap_s=constant(0.25),
)


def _only(shape: workloads.WorkflowShape, programs: int = 1) -> workloads.Parameters:
    return workloads.Parameters(name="p", programs=programs, shapes=(shape,))


def test_a_program_of_constants_is_known_beforehand() -> None:
    (program,) = workloads.generate(_only(SHAPE), seed=0).programs

    assert program == ProgramTrace(
        program_id="w-0",
        workflow="w",
        steps=(
            CallStep(
                after=(),
                prompt=(Run(0, 3),),
                prompt_tokens=48,
                completion_tokens=6,
                context=(Run(0, 3),),
            ),
            ToolStep(after=(0,), tool="bash", duration_s=2.0, argument_class="ls"),
            CallStep(
                after=(1,),
                prompt=(Run(0, 4),),
                prompt_tokens=64,
                completion_tokens=6,
                context=(Run(0, 4),),
                gap_s=0.25,
            ),
        ),
    )


def test_programs_of_a_shape_share_its_system_prompt_and_nothing_else() -> None:
    first, second = workloads.generate(_only(SHAPE, 2), seed=0).programs

    assert isinstance(first.steps[2], CallStep)
    assert isinstance(second.steps[2], CallStep)
    assert shared_blocks(first.steps[2].context, second.steps[2].context) == 2


def test_sub_agents_run_beside_one_another_and_their_parent_waits_for_all() -> None:
    subs = workloads.SubAgents(
        share=1.0,
        width=constant(2),
        turns=constant(2),
        system_tokens=16,
        task_tokens=constant(16),
    )

    (program,) = workloads.generate(_only(replace(SHAPE, sub_agents=subs)), seed=0).programs

    assert [step.after for step in program.steps] == [
        (),
        (0,),
        (1,),
        (2,),
        (0,),
        (4,),
        (5,),
        (0, 3, 6),
    ]


def test_sub_agents_may_begin_with_their_parents_context() -> None:
    subs = workloads.SubAgents(
        share=1.0,
        width=constant(3),
        turns=constant(1),
        system_tokens=None,
        task_tokens=constant(40),
    )
    shape = replace(SHAPE, completion_tokens=constant(16), sub_agents=subs)

    (program,) = workloads.generate(_only(shape), seed=0).programs
    calls = [step for step in program.steps if isinstance(step, CallStep)]

    assert [shared_blocks(calls[0].context, call.prompt) for call in calls[1:]] == [4, 4, 4, 4]
    assert shared_blocks(calls[1].prompt, calls[2].prompt) == 4


def test_tools_at_once_are_waited_for_together() -> None:
    shape = replace(SHAPE, parallel_share=1.0, parallel_tools=constant(3))

    (program,) = workloads.generate(_only(shape), seed=0).programs

    assert [step.after for step in program.steps] == [(), (0,), (0,), (0,), (1, 2, 3)]


def test_a_restart_goes_back_to_the_system_prompt() -> None:
    shape = replace(SHAPE, restart_share=1.0, restart_tokens=constant(8))

    (program,) = workloads.generate(_only(shape), seed=0).programs

    assert isinstance(program.steps[2], CallStep)
    assert (program.steps[2].prompt, program.steps[2].prompt_tokens) == ((Run(0, 2),), 40)


def test_tenants_get_their_shares() -> None:
    parameters = replace(_only(SHAPE, 1000), tenants=(("big", 3.0), ("small", 1.0)))
    tenants = [program.tenant for program in workloads.generate(parameters, seed=1).programs]

    assert set(tenants) == {"big", "small"}
    assert 700 <= tenants.count("big") <= 800


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_sound_and_the_same_for_the_same_seed(name: str) -> None:
    parameters = workloads.preset(name, programs=30)
    first, again, other = (workloads.generate(parameters, seed=seed) for seed in (7, 7, 8))

    assert first == again
    assert first.programs != other.programs
    assert workloads.read(workloads.write(first)) == first
    owners: dict[int, str] = {}
    for program in first.programs:
        for call in program.steps:
            if isinstance(call, CallStep):
                assert block_count(call.prompt) == call.prompt_tokens // 16
                tokens = call.prompt_tokens + call.completion_tokens
                assert block_count(call.context) == tokens // 16
                # Beyond the system prompt, no block is in two programs.
                for run in call.context[1:]:
                    assert owners.setdefault(run.first, program.program_id) == program.program_id


@pytest.mark.parametrize(
    "parameters",
    [
        workloads.Parameters(name="p", programs=1, shapes=()),
        _only(SHAPE, -1),
        _only(replace(SHAPE, share=0.0)),
        replace(_only(SHAPE), block_tokens=0),
        replace(_only(SHAPE), tenants=(("a", -1.0), ("b", 2.0))),
        _only(replace(SHAPE, tools=(replace(SHAPE.tools[0], share=0.0),))),
    ],
)
def test_parameters_nothing_can_be_made_from_are_refused(parameters: workloads.Parameters) -> None:
    with pytest.raises(InputError):
        workloads.generate(parameters, seed=0)


def test_tiny_agents_are_of_six_turns_and_tools_that_take_a_second_on_average() -> None:
    workload = workloads.generate(workloads.preset("tiny-agents", programs=300), seed=1)
    calls = [step for p in workload.programs for step in p.steps if isinstance(step, CallStep)]
    tools = [step for p in workload.programs for step in p.steps if not isinstance(step, CallStep)]
    assert len(calls) == 6 * 300
    assert {call.completion_tokens for call in calls} == {16}
    new = [
        call.prompt_tokens - before.prompt_tokens - 16
        for program in workload.programs
        for before, call in pairwise(s for s in program.steps if isinstance(s, CallStep))
    ]
    assert (min(new), max(new)) == (150, 400)
    assert fmean(new) == pytest.approx(275, rel=0.02)
    durations = sorted(tool.duration_s for tool in tools)
    assert fmean(durations) == pytest.approx(1.0, rel=0.05)
    assert durations[len(durations) // 2] == pytest.approx(log(2), rel=0.1)


@pytest.mark.parametrize("mean", [0.0, -1.0, inf, nan])
def test_an_exponential_distribution_has_a_positive_mean(mean: float) -> None:
    with pytest.raises(InputError):
        exponential(mean)


def test_an_unknown_preset_is_refused_by_name() -> None:
    with pytest.raises(
        InputError, match="no preset 'none'; there are: swe, browser, fanout, mixed"
    ):
        workloads.preset("none", programs=1)


@pytest.mark.parametrize(
    ("levels", "values"),
    [
        ((0.0, 1.0), (2.0, 1.0)),
        ((0.0, 0.5), (1.0, 2.0)),
        ((0.0, 0.0, 1.0), (1.0, 1.0, 1.0)),
        ((0.0, 1.0), (-1.0, 1.0)),
        ((0.0, 1.0), (1.0,)),
        ((0.0, 1.0), (1.0, float("inf"))),
        ((0.0, 0.5, 1.0), (1.0, float("nan"), 0.5)),
        ((), ()),
    ],
)
def test_quantiles_must_rise(levels: tuple[float, ...], values: tuple[float, ...]) -> None:
    with pytest.raises(InputError):
        workloads.Quantiles(levels, values)


def test_a_log_normal_has_the_quantiles_it_was_given() -> None:
    spread = workloads.log_normal(1.25, 10.2, 308.0)

    assert [round(spread.at(level), 6) for level in (0.5, 0.9, 1.0)] == [1.25, 10.2, 308.0]
    rising = [spread.at(step / 1000) for step in range(1001)]
    assert all(a <= b for a, b in itertools.pairwise(rising))


@pytest.mark.parametrize(
    ("median", "p90"),
    [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (1.0, float("inf"))],
)
def test_a_log_normal_needs_a_median_below_its_p90(median: float, p90: float) -> None:
    with pytest.raises(InputError, match="a log-normal has 0 < median <= p90"):
        workloads.log_normal(median, p90)
