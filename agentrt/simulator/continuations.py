"""Which calls of a program others go on from."""

from __future__ import annotations

from agentrt.ir.prefix import BlockId
from agentrt.ir.workload import CallStep, ProgramTrace, StepId


def last_calls(trace: ProgramTrace) -> frozenset[StepId]:
    """The calls that no later prompt of the program goes on from: none begins with their prompt.

    An agent knows it of a call when it has the answer: one that asks for no tool ends it.
    """
    # A block's id names all before it, and chains are joined from their start: a prompt that begins
    # with another has, in place of its last run, one with the same first block, as long or longer.
    longest: dict[BlockId, int] = {}
    found: set[StepId] = set()
    for step in range(len(trace.steps) - 1, -1, -1):
        made = trace.steps[step]
        if not isinstance(made, CallStep):
            continue
        if not made.prompt or longest.get(made.prompt[-1].first, 0) < made.prompt[-1].count:
            found.add(step)
        for run in made.prompt:
            longest[run.first] = max(longest.get(run.first, 0), run.count)
    return frozenset(found)
