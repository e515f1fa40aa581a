"""When programs arrive, and how many at once fill a cache."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace

import pytest

from agentrt.errors import InputError
from agentrt.ir.prefix import Run
from agentrt.ir.workload import CallStep, ProgramTrace, ToolStep, Workload
from agentrt.simulator import workloads

MANY = Workload(
    name="many",
    block_tokens=16,
    programs=tuple(ProgramTrace(program_id=str(at), steps=()) for at in range(4000)),
)


def _gaps(workload: Workload) -> list[float]:
    times = [program.arrival_s for program in workload.programs]
    assert None not in times
    return [b - a for a, b in itertools.pairwise(time for time in times if time is not None)]


@pytest.mark.parametrize(
    ("arrivals", "cv"),
    [
        (workloads.Poisson(2.0), 1.0),
        (workloads.Bursty(2.0, 0.5), 0.5),
        (workloads.Bursty(2.0, 3.0), 3.0),
    ],
)
def test_arrivals_have_the_rate_and_the_variation_asked_for(
    arrivals: workloads.Poisson | workloads.Bursty, cv: float
) -> None:
    timed = workloads.with_arrivals(MANY, arrivals, seed=1)
    gaps = _gaps(timed)

    assert statistics.fmean(gaps) == pytest.approx(0.5, rel=0.15)
    assert statistics.stdev(gaps) / statistics.fmean(gaps) == pytest.approx(cv, rel=0.15)
    assert min(gaps) >= 0
    assert timed == workloads.with_arrivals(MANY, arrivals, seed=1)
    assert timed != workloads.with_arrivals(MANY, arrivals, seed=2)
    assert workloads.without_arrivals(timed) == MANY


@pytest.mark.parametrize(
    "arrivals",
    [
        workloads.Poisson(0.0),
        workloads.Poisson(float("nan")),
        workloads.Bursty(-1.0, 1.0),
        workloads.Poisson(float("inf")),
        workloads.Poisson(5e-324),
        workloads.Poisson(1e-9),
        workloads.Bursty(1e-9, 1.0),
        workloads.Bursty(1e-320, 1.0),
        workloads.Bursty(1.0, 0.0),
        workloads.Bursty(1.0, 1e200),
        workloads.Bursty(1.0, float("nan")),
    ],
)
def test_rates_and_variations_out_of_range_are_refused(
    arrivals: workloads.Poisson | workloads.Bursty,
) -> None:
    with pytest.raises(InputError):
        workloads.with_arrivals(MANY, arrivals, seed=0)


def _call(after: tuple[int, ...], context: tuple[Run, ...]) -> CallStep:
    return CallStep(
        after=after, prompt=context, prompt_tokens=10_000, completion_tokens=0, context=context
    )


def _program(first: int) -> ProgramTrace:
    """Two turns of 10 and 20 blocks, of which 4 are everybody's."""
    return ProgramTrace(
        program_id=str(first),
        steps=(
            _call((), (Run(0, 4), Run(first, 6))),
            ToolStep(after=(0,), tool="bash", duration_s=1.0),
            _call((1,), (Run(0, 4), Run(first, 16))),
        ),
    )


def test_an_agents_contexts_follow_one_another() -> None:
    assert workloads.live_blocks(_program(100)) == [10, 20]


def test_a_parent_and_its_sub_agents_are_live_together_with_shared_blocks_once() -> None:
    program = ProgramTrace(
        program_id="p",
        steps=(
            _call((), (Run(0, 10),)),
            _call((0,), (Run(0, 10), Run(100, 5))),  # goes on from its parent
            _call((0,), (Run(200, 7),)),  # on its own
            _call((0, 1, 2), (Run(0, 10), Run(300, 2))),
        ),
    )

    assert workloads.live_blocks(program) == [10, 15, 22, 12]


def test_programs_at_once_fill_the_capacity_so_many_times_over() -> None:
    programs = tuple(_program(1000 * at) for at in range(1, 4))
    workload = Workload(name="w", block_tokens=16, programs=programs)

    # 4 blocks of all, and 11 more a program on average: 9 programs have 103, 18 have 202. 108 is
    # nearer to 9 than to 10.
    for oversubscription, expected in ((1.08, 9), (2.02, 18), (0.01, 1)):
        assert (
            workloads.programs_at_once(
                workload, capacity_blocks=100, oversubscription=oversubscription
            )
            == expected
        )


def test_pressure_needs_calls_and_a_capacity() -> None:
    workload = Workload(name="w", block_tokens=16, programs=(_program(100),))
    with pytest.raises(InputError, match="must be positive"):
        workloads.programs_at_once(workload, capacity_blocks=0, oversubscription=1)
    with pytest.raises(InputError, match="must be positive"):
        workloads.programs_at_once(workload, capacity_blocks=1, oversubscription=float("inf"))
    with pytest.raises(InputError, match="'w' has no calls"):
        workloads.programs_at_once(
            replace(workload, programs=()), capacity_blocks=1, oversubscription=1
        )


def test_long_waits_can_be_cut_and_the_workload_says_so() -> None:
    waiting = ProgramTrace(
        program_id="p",
        steps=(
            ToolStep(after=(), tool="bash", duration_s=70.0),
            replace(_call((0,), ()), gap_s=900.0),
            replace(_call((1,), ()), gap_s=5.0),
        ),
    )

    cut = workloads.with_waits_cut(
        Workload(name="w", block_tokens=16, programs=(waiting,)), most_s=60
    )

    assert [getattr(step, "gap_s", None) for step in cut.programs[0].steps] == [None, 60, 5.0]
    assert cut.programs[0].steps[0] == ToolStep(after=(), tool="bash", duration_s=60)
    assert cut.modelled == ("Tools and gaps longer than 60 s are cut to that.",)


def test_the_rate_that_fills_a_cache_is_how_many_fit_over_the_time_each_takes() -> None:
    call = CallStep(
        after=(),
        prompt=(Run(0, 9),),
        prompt_tokens=144,
        completion_tokens=16,
        context=(Run(0, 10),),
    )
    programs = tuple(
        ProgramTrace(
            program_id=str(at),
            steps=(replace(call, prompt=(Run(at * 50, 9),), context=(Run(at * 50, 10),)),),
        )
        for at in range(8)
    )
    made = Workload(name="tens", block_tokens=16, programs=programs)

    def rate(capacity: int, times: float, alone_s: float) -> float:
        return workloads.arrival_rate_per_s(
            made, capacity_blocks=capacity, oversubscription=times, mean_alone_s=alone_s
        )

    # Ten blocks each: 100 blocks are full with 10 programs, which leave at 10 in 4 s.
    assert rate(100, 1.0, 4.0) == pytest.approx(2.5)
    assert rate(100, 3.0, 4.0) == pytest.approx(7.5)
    assert rate(1, 0.001, 4.0) == pytest.approx(0.1 / 4.0)  # never none at all
    for broken in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="take no time"):
            rate(100, 1.0, broken)
