"""Parameters of typical agents. `docs/workloads.md` says where each number is from."""

from __future__ import annotations

from dataclasses import replace

from agentrt.errors import InputError
from agentrt.simulator.workloads.parameters import (
    Parameters,
    SubAgents,
    ToolUse,
    WorkflowShape,
)
from agentrt.simulator.workloads.quantiles import (
    Quantiles,
    constant,
    exponential,
    log_normal,
    uniform,
)

_EXTREMES = (0.0, 0.5, 0.9, 1.0)

SWE = WorkflowShape(
    workflow="swe",
    system_tokens=3000,
    task_tokens=log_normal(1200, 3000, 8000),
    turns=Quantiles(_EXTREMES, (10, 20, 34, 40)),
    new_tokens=log_normal(300, 1500, 8000),
    completion_tokens=log_normal(120, 400, 2000),
    tools=(
        ToolUse(tool="Bash", argument_class="pytest", share=0.2, duration_s=log_normal(5, 25, 308)),
        ToolUse(tool="Bash", share=0.4, duration_s=log_normal(0.8, 5, 120)),
        ToolUse(tool="Read", share=0.2, duration_s=log_normal(0.015, 0.053, 10.9)),
        ToolUse(tool="Edit", share=0.12, duration_s=log_normal(0.027, 0.059, 1)),
        ToolUse(tool="Grep", share=0.08, duration_s=log_normal(0.028, 0.058, 1)),
    ),
    parallel_share=0.11,
    parallel_tools=Quantiles(_EXTREMES, (2, 2, 3, 5)),
    gap_s=log_normal(0.05, 0.2, 2),
)

BROWSER = WorkflowShape(
    workflow="browser",
    system_tokens=2500,
    task_tokens=log_normal(900, 2500, 8000),
    turns=Quantiles(_EXTREMES, (4, 11, 20, 30)),
    new_tokens=log_normal(800, 2500, 8000),
    completion_tokens=log_normal(70, 150, 500),
    tools=(
        ToolUse(tool="click", share=0.5, duration_s=log_normal(0.45, 1.5, 10)),
        ToolUse(tool="type", share=0.2, duration_s=log_normal(0.3, 0.9, 5)),
        ToolUse(tool="goto", share=0.2, duration_s=log_normal(0.85, 3, 45)),
        ToolUse(tool="scroll", share=0.1, duration_s=log_normal(0.1, 0.3, 2)),
    ),
    gap_s=log_normal(0.05, 0.2, 2),
)

FANOUT = WorkflowShape(
    workflow="fanout",
    system_tokens=3000,
    task_tokens=log_normal(1000, 3000, 8000),
    turns=Quantiles(_EXTREMES, (2, 5, 9, 14)),
    new_tokens=log_normal(600, 2500, 10000),
    completion_tokens=log_normal(200, 600, 2000),
    tools=(
        ToolUse(tool="WebSearch", share=0.3, duration_s=log_normal(12, 16, 30)),
        ToolUse(tool="WebFetch", share=0.3, duration_s=log_normal(8.6, 18.6, 60)),
        ToolUse(tool="Read", share=0.4, duration_s=log_normal(0.015, 0.053, 10.9)),
    ),
    parallel_share=0.3,
    parallel_tools=Quantiles(_EXTREMES, (2, 3, 4, 6)),
    gap_s=log_normal(0.05, 0.2, 2),
    sub_agents=SubAgents(
        share=0.35,
        width=Quantiles(_EXTREMES, (2, 3, 6, 8)),
        turns=Quantiles(_EXTREMES, (1, 4, 8, 12)),
        system_tokens=2000,
        task_tokens=log_normal(300, 900, 3000),
    ),
)

MAP_REDUCE = WorkflowShape(
    workflow="map_reduce",
    system_tokens=1000,
    task_tokens=log_normal(4000, 12000, 30000),
    turns=constant(2),
    new_tokens=log_normal(300, 900, 3000),
    completion_tokens=log_normal(250, 600, 2000),
    tools=(),
    sub_agents=SubAgents(
        share=1.0,
        width=Quantiles(_EXTREMES, (4, 8, 16, 32)),
        turns=constant(1),
        system_tokens=None,
        task_tokens=log_normal(100, 300, 1000),
    ),
)

# For a small model and a small cache: what a server on two cores serves in a minute or two.
TINY = WorkflowShape(
    workflow="tiny",
    system_tokens=128,
    task_tokens=uniform(150, 400),
    turns=constant(6),
    new_tokens=uniform(150, 400),
    completion_tokens=constant(16),
    tools=(ToolUse(tool="tool", share=1.0, duration_s=exponential(1.0)),),
)

_SMALL = 0.1


def _with_tokens(shape: WorkflowShape, times: float) -> WorkflowShape:
    """`shape` with `times` the tokens everywhere; turns and tools are as they were."""
    return replace(
        shape,
        system_tokens=round(shape.system_tokens * times),
        task_tokens=shape.task_tokens.times(times),
        new_tokens=shape.new_tokens.times(times),
        completion_tokens=shape.completion_tokens.times(times),
    )


_PRESETS: dict[str, tuple[WorkflowShape, ...]] = {
    "swe": (SWE,),
    "browser": (BROWSER,),
    "fanout": (replace(FANOUT, share=0.6), replace(MAP_REDUCE, share=0.4)),
    "mixed": (
        replace(SWE, share=0.4),
        replace(BROWSER, share=0.4),
        replace(FANOUT, share=0.1),
        replace(MAP_REDUCE, share=0.1),
    ),
    "tiny-agents": (TINY,),
    "small-browser": (_with_tokens(BROWSER, _SMALL),),
}

PRESETS: tuple[str, ...] = tuple(_PRESETS)


def preset(
    name: str, *, programs: int, block_tokens: int = 16, tenants: tuple[tuple[str, float], ...] = ()
) -> Parameters:
    """The parameters of that name.

    Raises:
        InputError: there are none.
    """
    shapes = _PRESETS.get(name)
    if shapes is None:
        raise InputError(f"no preset {name[:40]!r}; there are: {', '.join(PRESETS)}")
    return Parameters(
        name=name, programs=programs, shapes=shapes, block_tokens=block_tokens, tenants=tenants
    )
