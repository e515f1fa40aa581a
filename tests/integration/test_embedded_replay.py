"""Probes and replays on the embedded engine: sizes are as planned, and turns find their prefix."""

from __future__ import annotations

import random

import pytest

from agentrt.backends.embedded import EmbeddedBackend, EmbeddedSettings
from agentrt.backends.engine_timing import EngineTimer, Probe
from agentrt.clock import SystemClock
from agentrt.ir.workload import CallStep
from agentrt.runtime.workload_replay import ServingReplica, replay
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.policies import named
from agentrt.simulator.workloads.generator import generate
from agentrt.simulator.workloads.parameters import Parameters, ToolUse, WorkflowShape
from agentrt.simulator.workloads.quantiles import constant

TWO_SLOTS = EmbeddedSettings(slots=2, context_tokens=1024)


async def test_probes_have_the_sizes_that_were_planned() -> None:
    probes = [
        Probe(what="alone", prompt_tokens=(100,)),
        Probe(what="behind", prompt_tokens=(40,), behind_tokens=200),
        Probe(what="two", prompt_tokens=(60, 50), answer_tokens=9),
    ]
    backend = EmbeddedBackend(settings=TWO_SLOTS)
    timer = EngineTimer(backend, SystemClock(), rng=random.Random(5))
    try:
        timings = await timer.measure(probes, repeats=1, on_probe=lambda *_: None)
    finally:
        await backend.aclose()
    assert timings.notes == ()
    alone, behind, two = (batch.calls for batch in timings.batches)
    assert alone[0].prompt_tokens == pytest.approx(100, abs=3)
    assert behind[0].prompt_tokens == pytest.approx(240, abs=4)
    assert behind[0].cached_tokens == pytest.approx(200, abs=8)
    assert [call.prompt_tokens for call in two] == pytest.approx([60, 50], abs=3)
    assert [call.completion_tokens for call in two] == [9, 9]
    for call in two:
        assert 2 <= len(call.piece_s) <= 9
        assert list(call.piece_s) == sorted(call.piece_s)
        assert 0.0 < call.piece_s[0] <= call.piece_s[-1] <= call.ended_s


async def test_a_replay_sends_what_the_workload_says_and_turns_find_their_prefix() -> None:
    shape = WorkflowShape(
        workflow="tiny",
        system_tokens=48,
        task_tokens=constant(30),
        turns=constant(3),
        new_tokens=constant(40),
        completion_tokens=constant(6),
        tools=(ToolUse(tool="tool", share=1.0, duration_s=constant(0.01)),),
    )
    workload = generate(Parameters(name="tiny", programs=2, shapes=(shape,)), seed=1)
    backend = EmbeddedBackend(settings=TWO_SLOTS)
    try:
        served = await replay(
            workload,
            Scheduler(named("fcfs")),
            {"r0": ServingReplica(backend=backend, kv_blocks=128, max_running=2)},
            clock=SystemClock(),
        )
    finally:
        await backend.aclose()
    assert [program.error for program in served.programs] == [None, None]
    assert len(served.completions_s) == 2
    contexts: dict[int, int] = {}
    for call in sorted(served.calls, key=lambda call: call.ready_s):
        step = workload.programs[call.program].steps[call.step]
        assert isinstance(step, CallStep)
        assert call.usage.prompt_tokens == pytest.approx(step.prompt_tokens, abs=4)
        assert call.usage.completion_tokens == step.completion_tokens
        # An answer's text may make other tokens than those it was written in.
        assert call.usage.cached_tokens >= contexts.get(call.program, 0) - 6
        contexts[call.program] = call.usage.total_tokens - 1
