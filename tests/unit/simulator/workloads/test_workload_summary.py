"""What a workload is said to be."""

from __future__ import annotations

from agentrt.ir.prefix import Chain, Run
from agentrt.ir.workload import CallStep, ProgramTrace, ToolStep, Workload
from agentrt.simulator import workloads
from agentrt.simulator.workloads.summary import Spread


def _call(after: tuple[int, ...], prompt: Chain, context: Chain, gap_s: float = 0.0) -> CallStep:
    return CallStep(
        after=after,
        prompt=prompt,
        prompt_tokens=16 * sum(run.count for run in prompt) + 4,
        completion_tokens=16,
        context=context,
        gap_s=gap_s,
    )


def _program(program_id: str, first: int, arrival_s: float | None = None) -> ProgramTrace:
    """Two turns: 2 blocks of all programs and 1 more, then 4 more, of which 1 is the answer."""
    return ProgramTrace(
        program_id=program_id,
        arrival_s=arrival_s,
        steps=(
            _call((), (Run(0, 2), Run(first, 1)), (Run(0, 2), Run(first, 2))),
            ToolStep(after=(0,), tool="bash", duration_s=3.0),
            _call((1,), (Run(0, 2), Run(first, 5)), (Run(0, 2), Run(first, 6)), 0.5),
        ),
    )


def test_a_workload_is_described_whole() -> None:
    workload = Workload(
        name="w",
        block_tokens=16,
        programs=(_program("a", 100), _program("b", 200)),
        modelled=("Times.",),
    )

    assert workloads.summarise(workload) == workloads.Summary(
        name="w",
        programs=2,
        calls=4,
        tool_calls=2,
        turns=Spread(2.0, 2.0, 2.0, 2.0),
        prompt_tokens=Spread(84.0, 116.0, 116.0, 116.0),
        # 52, then 116 - 4 * 16; of the second program 52 - 2 * 16, then 116 - 4 * 16.
        new_tokens=Spread(52.0, 52.0, 52.0, 52.0),
        completion_tokens=Spread(16.0, 16.0, 16.0, 16.0),
        tool_s=Spread(3.0, 3.0, 3.0, 3.0),
        gap_s=Spread(0.5, 0.5, 0.5, 0.5),
        total_prompt_tokens=336,
        total_completion_tokens=64,
        infinite_hit_ratio=1 - (52 + 52 + 20 + 52) / 336,
        modelled=("Times.",),
    )


def test_reuse_is_counted_in_the_order_of_arrival() -> None:
    """A block counts as known only after the call that brought it."""
    long, short = (Run(0, 10),), (Run(0, 4),)
    late = ProgramTrace(program_id="late", arrival_s=10.0, steps=(_call((), short, short),))
    early = ProgramTrace(
        program_id="early",
        arrival_s=0.0,
        steps=(
            ToolStep(after=(), tool="wait", duration_s=9.0),
            _call((0,), long, long, gap_s=0.5),
        ),
    )

    summary = workloads.summarise(Workload(name="w", block_tokens=16, programs=(late, early)))

    # The early program is ready at 9.5 s and brings all 10 blocks; the late one brings none.
    assert summary.new_tokens == Spread(84.0, 148.0, 162.4, 164.0)


def test_runs_across_pages_of_ids_are_counted_block_by_block() -> None:
    whole = (Run(65_000, 140_000),)
    program = ProgramTrace(
        program_id="p",
        steps=(
            _call((), (Run(65_000, 70_000),), (Run(65_000, 70_000),)),
            _call((0,), whole, whole),
        ),
    )

    summary = workloads.summarise(Workload(name="w", block_tokens=16, programs=(program,)))

    assert summary.total_prompt_tokens * (1 - summary.infinite_hit_ratio) == (
        70_000 * 16 + 4 + 70_000 * 16 + 4
    )


def test_an_empty_workload_is_all_zero() -> None:
    summary = workloads.summarise(Workload(name="w", block_tokens=16, programs=()))

    assert (summary.calls, summary.turns, summary.infinite_hit_ratio) == (
        0,
        Spread(0.0, 0.0, 0.0, 0.0),
        0.0,
    )
