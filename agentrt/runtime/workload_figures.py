"""A replay in figures, as clients saw it, and what several replays of the same come to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agentrt.runtime.workload_served import Served


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One replay. Times are seconds; None where there is nothing to take them of.

    Attributes:
        unfinished: Programs that were given up because a call failed, or broken off.
        mean_completion_s: From a program's arrival to its end, of those that finished.
        mean_ttft_s: From a call being ready to the first text of its answer.
        makespan_s: From the start to the end of the last program that finished.
        hit_ratio: Cached tokens over prompt tokens, as the answers say.
        computed_tokens: Prompt tokens that were not cached.
        least_tokens: Of those, what every token once would be.
        retried_calls: Calls that were made more than once.
        failed_calls: Calls that had no answer in the end.
    """

    programs: int
    unfinished: int
    calls: int
    mean_completion_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    makespan_s: float | None
    mean_ttft_s: float | None
    p95_ttft_s: float | None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    hit_ratio: float | None
    computed_tokens: int
    least_tokens: int
    retried_calls: int
    failed_calls: int
    is_cut: bool

    @property
    def computed_over_least(self) -> float | None:
        """How many times every token was computed; None unless all programs finished."""
        if self.unfinished or not self.least_tokens:
            return None
        return self.computed_tokens / self.least_tokens

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "computed_over_least": self.computed_over_least}


def figures_of(served: Served, *, least_tokens: int) -> Figures:
    """What `served` comes to."""
    completions_s = sorted(served.completions_s)
    ttfts_s = sorted(
        call.first_token_s - call.ready_s
        for call in served.calls
        if call.finished_s is not None and call.first_token_s is not None
    )
    usage = served.usage
    return Figures(
        programs=len(served.programs),
        unfinished=sum(program.finished_s is None for program in served.programs),
        calls=len(served.calls),
        mean_completion_s=_mean(completions_s),
        p50_s=quantile(completions_s, 0.5),
        p95_s=quantile(completions_s, 0.95),
        p99_s=quantile(completions_s, 0.99),
        makespan_s=max(
            (p.finished_s for p in served.programs if p.finished_s is not None), default=None
        ),
        mean_ttft_s=_mean(ttfts_s),
        p95_ttft_s=quantile(ttfts_s, 0.95),
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        hit_ratio=usage.cached_tokens / usage.prompt_tokens if usage.prompt_tokens else None,
        computed_tokens=usage.prompt_tokens - usage.cached_tokens,
        least_tokens=least_tokens,
        retried_calls=sum(call.attempts > 1 for call in served.calls),
        failed_calls=sum(call.finished_s is None for call in served.calls),
        is_cut=served.is_cut,
    )


def median(values: Sequence[float | None]) -> float | None:
    """Of what there is."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def quantile(ordered: Sequence[float], level: float) -> float | None:
    """The value at `level` of sorted values, between two of them linearly; None of none."""
    if not ordered:
        return None
    at = level * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
