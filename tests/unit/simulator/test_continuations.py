"""Which calls end a branch, against a comparison of every context with every later prompt."""

from __future__ import annotations

import pytest

from agentrt.ir.prefix import block_count, shared_blocks
from agentrt.ir.workload import CallStep, ProgramTrace
from agentrt.simulator.continuations import last_calls
from agentrt.simulator.workloads.generator import generate
from agentrt.simulator.workloads.presets import PRESETS, preset


def _compared(trace: ProgramTrace) -> set[int]:
    calls = [(i, step) for i, step in enumerate(trace.steps) if isinstance(step, CallStep)]
    return {
        at
        for at, call in calls
        if not any(
            later > at and shared_blocks(call.prompt, other.prompt) == block_count(call.prompt)
            for later, other in calls
        )
    }


@pytest.mark.parametrize("kind", PRESETS)
def test_a_call_is_last_if_no_later_prompt_begins_with_its_own(kind: str) -> None:
    workload = generate(preset(kind, programs=6), seed=3)
    found = [last_calls(trace) for trace in workload.programs]
    assert found == [_compared(trace) for trace in workload.programs]
    assert any(found), "each program has at least one"
