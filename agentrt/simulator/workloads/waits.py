"""Recorded waits cut short: people go home, and a replay need not wait for them."""

from __future__ import annotations

from dataclasses import replace

from agentrt.ir.workload import CallStep, Step, Workload


def with_waits_cut(workload: Workload, *, most_s: float) -> Workload:
    """The same workload, in which no tool and no gap takes longer than `most_s`."""
    return replace(
        workload,
        programs=tuple(
            replace(program, steps=tuple(_cut(step, most_s) for step in program.steps))
            for program in workload.programs
        ),
        modelled=(*workload.modelled, f"Tools and gaps longer than {most_s:g} s are cut to that."),
    )


def _cut(step: Step, most_s: float) -> Step:
    if isinstance(step, CallStep):
        return step if step.gap_s <= most_s else replace(step, gap_s=most_s)
    return step if step.duration_s <= most_s else replace(step, duration_s=most_s)
