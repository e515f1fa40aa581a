"""What a replay says: the figures of `docs/simulation.md`, in the vocabulary's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, assert_never

from agentrt.ir.prefix import first_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, ToolStep
from agentrt.scheduler.radix import RadixCache
from agentrt.simulator.belady import Access, optimal_hits
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.simulation import Replay, cacheable, call_step, replica_calls

_UNBOUNDED = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One replay in figures. Times are seconds, of programs that finished.

    Attributes:
        max_wait_s: The longest that a call waited from being ready to its engine beginning with it.
        hit_ratio: Cached tokens over prompt tokens.
        belady_hit_ratio: The same, had every replica's cache known the future of the calls it got:
            `agentrt.simulator.belady`.
        computed_tokens: Prompt tokens computed, those of preempted calls again included.
        jain_index: Of the programs' progress (unloaded seconds over completion seconds): 1 if all
            are slowed down alike.
        unfinished: Programs with a call that fits no replica.
        modelled: What the workload did not say and was made up.
    """

    programs: int
    unfinished: int
    calls: int
    mean_completion_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    mean_ttft_s: float
    p99_ttft_s: float
    max_wait_s: float
    hit_ratio: float
    belady_hit_ratio: float
    prompt_tokens: int
    computed_tokens: int
    programs_per_min: float
    makespan_s: float
    jain_index: float
    modelled: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"modelled": list(self.modelled)}


def report(replay: Replay) -> Report:
    """The figures of a replay."""
    finished = [
        (trace, record, record.finished_s)
        for trace, record in zip(replay.workload.programs, replay.programs, strict=True)
        if record.finished_s is not None
    ]
    completions = [at - record.arrived_s for _, record, at in finished]
    progress = [
        _unloaded_s(trace, replay.model, replay.workload.block_tokens) / max(at - r.arrived_s, 1e-9)
        for trace, r, at in finished
    ]
    ttfts = [c.first_token_s - c.ready_s for c in replay.calls if c.first_token_s is not None]
    waits = [c.started_s - c.ready_s for c in replay.calls if c.started_s is not None]
    done = [call for call in replay.calls if call.finished_s is not None]
    prompt_tokens = sum(call_step(replay, call).prompt_tokens for call in done)
    cached_tokens = sum(call.cached_tokens for call in done)
    makespan_s = max((at for _, _, at in finished), default=0.0)
    return Report(
        programs=len(replay.programs),
        unfinished=len(replay.programs) - len(finished),
        calls=len(replay.calls),
        mean_completion_s=_mean(completions),
        p50_s=_quantile(completions, 0.5),
        p95_s=_quantile(completions, 0.95),
        p99_s=_quantile(completions, 0.99),
        mean_ttft_s=_mean(ttfts),
        p99_ttft_s=_quantile(ttfts, 0.99),
        max_wait_s=max(waits, default=0.0),
        hit_ratio=cached_tokens / prompt_tokens if prompt_tokens else 0.0,
        belady_hit_ratio=_belady_tokens(replay) / prompt_tokens if prompt_tokens else 0.0,
        prompt_tokens=prompt_tokens,
        computed_tokens=replay.computed_tokens,
        programs_per_min=60.0 * len(finished) / makespan_s if makespan_s else 0.0,
        makespan_s=makespan_s,
        jain_index=_jain(progress),
        modelled=replay.workload.modelled,
    )


def _belady_tokens(replay: Replay) -> int:
    """Tokens that could have been hits, replica by replica, in the order calls were begun."""
    tokens = 0
    for _, calls in replica_calls(replay):
        accesses: list[Access] = []
        for call in calls:
            step = call_step(replay, call)
            kept = cacheable(step.prompt, step.prompt_tokens, replay.workload.block_tokens)
            accesses.append(Access(first_blocks(step.prompt, kept), step.context))
        optimum = optimal_hits(accesses, replay.kv_blocks)
        tokens += optimum.hit_blocks * replay.workload.block_tokens
    return tokens


def _unloaded_s(trace: ProgramTrace, model: EngineModel, block_tokens: int) -> float:
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


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _quantile(values: Sequence[float], share: float) -> float:
    """The nearest-rank quantile: a value that was there."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _jain(values: Sequence[float]) -> float:
    """(sum x)^2 / (n sum x^2): Jain, Chiu, Hawe, DEC-TR-301, 1984."""
    squares = math.fsum(value * value for value in values)
    return math.fsum(values) ** 2 / (len(values) * squares) if squares else 1.0
