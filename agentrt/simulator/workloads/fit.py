"""Parameters that a recorded workload could have been made from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agentrt.ir.prefix import Chain
from agentrt.ir.workload import CallStep, ProgramTrace, StepId, ToolStep, Workload
from agentrt.simulator.workloads.parameters import (
    Parameters,
    SubAgents,
    ToolUse,
    WorkflowShape,
)
from agentrt.simulator.workloads.pressure import common_start
from agentrt.simulator.workloads.quantiles import constant, quantiles_of


def fitted(workload: Workload, *, programs: int | None = None) -> Parameters:
    """One shape per kind of program in `workload`, and its tenants by their counts.

    Distributions are the recorded quantiles; what depends on what (long answers on long turns, say)
    is not kept. `programs` is how many to make; None: as many as there are.
    """
    kinds: dict[str, list[ProgramTrace]] = defaultdict(list)
    for program in workload.programs:
        if any(isinstance(step, CallStep) for step in program.steps):
            kinds[program.workflow].append(program)
    tenants = Counter(program.tenant for program in workload.programs)
    return Parameters(
        name=f"fitted to {workload.name}",
        programs=len(workload.programs) if programs is None else programs,
        shapes=tuple(_shape(name, of, workload.block_tokens) for name, of in kinds.items()),
        block_tokens=workload.block_tokens,
        tenants=tuple((name, float(count)) for name, count in tenants.items()),
    )


@dataclass(slots=True)
class _Line:
    """The calls of one agent, in order, and where in its program each stands."""

    calls: list[CallStep] = field(default_factory=list[CallStep])
    ids: list[StepId] = field(default_factory=list[StepId])


@dataclass(slots=True)
class _Agents:
    """A program taken apart: the agent itself, and its sub-agents by the call that started them."""

    main: _Line = field(default_factory=_Line)
    subs: dict[StepId, list[_Line]] = field(default_factory=dict[StepId, list[_Line]])


def _taken_apart(program: ProgramTrace) -> _Agents:
    on_main = _main_calls(program)
    agents = _Agents()
    lines: dict[StepId, _Line] = {}
    for at, step in enumerate(program.steps):
        if isinstance(step, ToolStep):
            continue
        before = _call_before(program, at)
        if at in on_main:
            line = agents.main
        elif before is None or before in on_main:
            line = _Line()
            agents.subs.setdefault(-1 if before is None else before, []).append(line)
        else:
            line = lines[before]
        lines[at] = line
        line.calls.append(step)
        line.ids.append(at)
    return agents


def _main_calls(program: ProgramTrace) -> set[StepId]:
    """The calls on the way back from the last; a call names its own agent's last step first."""
    last = max(at for at, step in enumerate(program.steps) if isinstance(step, CallStep))
    found: set[StepId] = set()
    at: StepId | None = last
    while at is not None:
        found.add(at)
        at = _call_before(program, at)
    return found


def _call_before(program: ProgramTrace, at: StepId) -> StepId | None:
    after = program.steps[at].after
    while after:
        if isinstance(program.steps[after[0]], CallStep):
            return after[0]
        after = program.steps[after[0]].after
    return None


def _shape(name: str, programs: Sequence[ProgramTrace], block_tokens: int) -> WorkflowShape:
    agents = [_taken_apart(program) for program in programs]
    mains = [agent.main for agent in agents]
    subs = [line for agent in agents for lines in agent.subs.values() for line in lines]
    system_tokens = _common_tokens([main.calls[0].prompt for main in mains], block_tokens)
    calls = [call for line in (*mains, *subs) for call in line.calls]
    widths = _tool_widths(programs)
    turns_with_next = sum(len(line.calls) - 1 for line in (*mains, *subs))
    forks = sum(len(agent.subs) for agent in agents)
    parallel = [width for width in widths if width > 1]
    new_tokens, restarts = _turns(mains)
    return WorkflowShape(
        workflow=name,
        share=float(len(programs)),
        system_tokens=system_tokens,
        task_tokens=quantiles_of(max(0, m.calls[0].prompt_tokens - system_tokens) for m in mains),
        turns=quantiles_of(len(main.calls) for main in mains),
        new_tokens=quantiles_of(new_tokens),
        completion_tokens=quantiles_of(call.completion_tokens for call in calls),
        tools=_tools(programs),
        tool_share=min(1.0, len(widths) / max(1, turns_with_next - forks)),
        parallel_share=len(parallel) / max(1, len(widths)),
        parallel_tools=quantiles_of(parallel) if parallel else constant(2),
        restart_share=len(restarts) / max(1, len(restarts) + len(new_tokens)),
        restart_tokens=quantiles_of(max(0, tokens - system_tokens) for tokens in restarts),
        gap_s=quantiles_of(call.gap_s for call in calls if call.after),
        sub_agents=_sub_agents(agents, block_tokens),
    )


def _turns(lines: Iterable[_Line]) -> tuple[list[int], list[int]]:
    """New tokens of the turns that go on from the one before; prompt tokens of those that do not.

    A prompt shorter than the one before did not go on from it.
    """
    new_tokens: list[int] = []
    restarts: list[int] = []
    for line in lines:
        for before, call in zip(line.calls, line.calls[1:], strict=False):
            if call.prompt_tokens < before.prompt_tokens:
                restarts.append(call.prompt_tokens)
            else:
                held = before.prompt_tokens + before.completion_tokens
                new_tokens.append(max(0, call.prompt_tokens - held))
    return new_tokens, restarts


def _tool_widths(programs: Iterable[ProgramTrace]) -> list[int]:
    """Of each call that led to tools: how many at once."""
    widths: list[int] = []
    for program in programs:
        asked = Counter(step.after for step in program.steps if isinstance(step, ToolStep))
        widths.extend(asked.values())
    return widths


def _tools(programs: Iterable[ProgramTrace]) -> tuple[ToolUse, ...]:
    durations: dict[tuple[str, str], list[float]] = defaultdict(list)
    for program in programs:
        for step in program.steps:
            if isinstance(step, ToolStep):
                durations[step.tool, step.argument_class].append(step.duration_s)
    return tuple(
        ToolUse(
            tool=tool,
            argument_class=argument_class,
            share=float(len(values)),
            duration_s=quantiles_of(values),
        )
        for (tool, argument_class), values in sorted(durations.items())
    )


def _sub_agents(agents: Sequence[_Agents], block_tokens: int) -> SubAgents | None:
    groups = [lines for agent in agents for lines in agent.subs.values()]
    lines = [line for group in groups for line in group]
    if not lines:
        return None
    firsts = [line.calls[0] for line in lines]
    turns = sum(max(0, len(agent.main.calls) - 1) for agent in agents)
    inherits = _inherit(agents)
    system_tokens = _common_tokens([first.prompt for first in firsts], block_tokens)
    known = inherits or [system_tokens] * len(firsts)
    return SubAgents(
        share=min(1.0, len(groups) / max(1, turns)),
        width=quantiles_of(len(group) for group in groups),
        turns=quantiles_of(len(line.calls) for line in lines),
        system_tokens=None if inherits else system_tokens,
        task_tokens=quantiles_of(
            max(0, first.prompt_tokens - tokens)
            for first, tokens in zip(firsts, known, strict=True)
        ),
    )


def _inherit(agents: Sequence[_Agents]) -> list[int]:
    """The context each sub-agent begins with, if it is its parent's for all of them; else none."""
    found: list[int] = []
    for agent in agents:
        by_id = dict(zip(agent.main.ids, agent.main.calls, strict=True))
        for before, lines in agent.subs.items():
            parent = by_id.get(before)
            for line in lines:
                if parent is None or common_start([parent.context, line.calls[0].prompt]) == 0:
                    return []
                found.append(parent.prompt_tokens + parent.completion_tokens)
    return found


def _common_tokens(prompts: Sequence[Chain], block_tokens: int) -> int:
    """Tokens that all of the prompts begin with; 0 of fewer than two."""
    return common_start(prompts) * block_tokens if len(prompts) > 1 else 0
