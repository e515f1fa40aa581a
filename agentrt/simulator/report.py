"""What a replay says: the figures of `docs/simulation.md`, in the vocabulary's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agentrt.ir.prefix import first_blocks
from agentrt.ir.workload import ProgramTrace
from agentrt.simulator.belady import Access, optimal_hits
from agentrt.simulator.replay import Replay, cacheable, call_step, replica_calls
from agentrt.simulator.report_waits import call_waits_s, program_waits_s
from agentrt.simulator.unloaded import unloaded_s


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantReport:
    """What a replay says of one tenant's programs; each figure as in `Report`."""

    programs: int
    unfinished: int
    mean_completion_s: float
    p99_s: float
    mean_slowdown: float
    p99_slowdown: float
    slo_attainment: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One replay in figures. Times are seconds, of programs that finished.

    Attributes:
        mean_slowdown: Of completion time over what the program takes alone.
        max_wait_s: The longest that a call waited from being ready to its engine beginning with it;
            `max_call_wait_s` is the same.
        max_program_wait_s: The longest that a program had calls waiting and none under way, in all.
        hit_ratio: Cached tokens over prompt tokens.
        belady_hit_ratio: The same, had every replica's cache known the future of the calls it got:
            `agentrt.simulator.belady`.
        belady_distance: Misses, prewarmed tokens included, over the misses of that; None where
            that has none.
        computed_tokens: Prompt tokens computed, those of preempted calls again included.
        prewarmed_tokens: Those of them that were computed for no call.
        shed: How many times calls were refused, to be made again.
        jain_index: Of the programs' progress (unloaded seconds over completion seconds): 1 if all
            are slowed down alike.
        slo_attainment: Of the programs with a deadline, the share that made it; None without any.
        unfinished: Programs with a call that fits no replica.
        tenants: By name, if there are several.
        modelled: What the workload did not say and was made up.
    """

    programs: int
    unfinished: int
    calls: int
    mean_completion_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    mean_slowdown: float
    p99_slowdown: float
    mean_ttft_s: float
    p99_ttft_s: float
    max_wait_s: float
    max_call_wait_s: float
    max_program_wait_s: float
    hit_ratio: float
    belady_hit_ratio: float
    belady_distance: float | None
    prompt_tokens: int
    computed_tokens: int
    prewarmed_tokens: int
    shed: int
    programs_per_min: float
    makespan_s: float
    jain_index: float
    slo_attainment: float | None
    tenants: dict[str, TenantReport]
    modelled: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"modelled": list(self.modelled)}


@dataclass(frozen=True, slots=True)
class _Fared:
    """One program; `completion_s` is None if it did not finish."""

    trace: ProgramTrace
    completion_s: float | None
    unloaded_s: float


def report(replay: Replay) -> Report:
    """The figures of a replay."""
    fared = [
        _Fared(
            trace,
            None if record.finished_s is None else record.finished_s - record.arrived_s,
            unloaded_s(trace, replay.model, replay.workload.block_tokens),
        )
        for trace, record in zip(replay.workload.programs, replay.programs, strict=True)
    ]
    completions = _completions(fared)
    slowdowns = _slowdowns(fared)
    ttfts = [c.first_token_s - c.ready_s for c in replay.calls if c.first_token_s is not None]
    max_wait_s = max(call_waits_s(replay), default=0.0)
    prompt_tokens, hit_ratio, belady_hit_ratio = _hits(replay)
    prewarmed = replay.prewarmed_tokens / prompt_tokens if prompt_tokens else 0.0
    makespan_s = max(
        (p.finished_s for p in replay.programs if p.finished_s is not None), default=0.0
    )
    return Report(
        programs=len(fared),
        unfinished=len(fared) - len(completions),
        calls=len(replay.calls),
        mean_completion_s=_mean(completions),
        p50_s=_quantile(completions, 0.5),
        p95_s=_quantile(completions, 0.95),
        p99_s=_quantile(completions, 0.99),
        mean_slowdown=_mean(slowdowns),
        p99_slowdown=_quantile(slowdowns, 0.99),
        mean_ttft_s=_mean(ttfts),
        p99_ttft_s=_quantile(ttfts, 0.99),
        max_wait_s=max_wait_s,
        max_call_wait_s=max_wait_s,
        max_program_wait_s=max(program_waits_s(replay), default=0.0),
        hit_ratio=hit_ratio,
        belady_hit_ratio=belady_hit_ratio,
        belady_distance=_distance(1.0 - hit_ratio + prewarmed, 1.0 - belady_hit_ratio),
        prompt_tokens=prompt_tokens,
        computed_tokens=replay.computed_tokens,
        prewarmed_tokens=replay.prewarmed_tokens,
        shed=sum(call.shed for call in replay.calls),
        programs_per_min=60.0 * len(completions) / makespan_s if makespan_s else 0.0,
        makespan_s=makespan_s,
        jain_index=_jain([1.0 / slowdown for slowdown in slowdowns]),
        slo_attainment=_attainment(fared),
        tenants=_tenants(fared),
        modelled=replay.workload.modelled,
    )


def _tenants(fared: Sequence[_Fared]) -> dict[str, TenantReport]:
    by_tenant: dict[str, list[_Fared]] = {}
    for program in fared:
        by_tenant.setdefault(program.trace.tenant, []).append(program)
    if len(by_tenant) < 2:  # noqa: PLR2004  all programs are one tenant's
        return {}
    return {tenant: _tenant(by_tenant[tenant]) for tenant in sorted(by_tenant)}


def _tenant(fared: Sequence[_Fared]) -> TenantReport:
    completions, slowdowns = _completions(fared), _slowdowns(fared)
    return TenantReport(
        programs=len(fared),
        unfinished=len(fared) - len(completions),
        mean_completion_s=_mean(completions),
        p99_s=_quantile(completions, 0.99),
        mean_slowdown=_mean(slowdowns),
        p99_slowdown=_quantile(slowdowns, 0.99),
        slo_attainment=_attainment(fared),
    )


def _completions(fared: Sequence[_Fared]) -> list[float]:
    return [program.completion_s for program in fared if program.completion_s is not None]


def _slowdowns(fared: Sequence[_Fared]) -> list[float]:
    """A program of nothing takes no time at all, and is not slowed down."""
    return [
        program.completion_s / program.unloaded_s if program.unloaded_s else 1.0
        for program in fared
        if program.completion_s is not None
    ]


def _attainment(fared: Sequence[_Fared]) -> float | None:
    """One that did not finish has missed its deadline."""
    met = [
        program.completion_s is not None and program.completion_s <= program.trace.deadline_s
        for program in fared
        if program.trace.deadline_s is not None
    ]
    return sum(met) / len(met) if met else None


def _hits(replay: Replay) -> tuple[int, float, float]:
    """Prompt tokens of calls that finished; which share of them was hit, and could have been."""
    done = [call for call in replay.calls if call.finished_s is not None]
    prompt_tokens = sum(call_step(replay, call).prompt_tokens for call in done)
    if not prompt_tokens:
        return 0, 0.0, 0.0
    cached_tokens = sum(call.cached_tokens for call in done)
    return prompt_tokens, cached_tokens / prompt_tokens, _belady_tokens(replay) / prompt_tokens


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


def _distance(misses: float, fewest: float) -> float | None:
    return misses / fewest if fewest > 0 else None


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
