"""How long a program takes when it is alone: what its completion time is held against."""

from __future__ import annotations

from typing import assert_never

from agentrt.ir.workload import CallStep, ProgramTrace, ToolStep
from agentrt.scheduler.radix import RadixCache
from agentrt.simulator.engine_model import EngineModel

_UNBOUNDED = 1 << 62


def unloaded_s(trace: ProgramTrace, model: EngineModel, block_tokens: int) -> float:
    """Seconds the program takes alone on an engine whose cache loses nothing."""
    ends: list[float] = []
    cache = RadixCache(_UNBOUNDED)
    for step in trace.steps:
        start = max((ends[before] for before in step.after), default=0.0)
        match step:
            case ToolStep():
                ends.append(start + step.duration_s)
            case CallStep():
                cached = min(cache.match(step.prompt) * block_tokens, step.prompt_tokens - 1)
                cache.insert(step.context)
                ends.append(start + step.gap_s + _alone_s(step, model, cached))
            case _:
                assert_never(step)
    return max(ends, default=0.0)


def _alone_s(step: CallStep, model: EngineModel, cached_tokens: int) -> float:
    prefill_s = model.prefill_s(step.prompt_tokens - cached_tokens, cached_tokens)
    decode_s = model.decode_s(1, step.prompt_tokens, max(step.completion_tokens - 1, 0))
    return model.step_s + prefill_s + decode_s
