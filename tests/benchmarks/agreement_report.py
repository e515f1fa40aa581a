"""What `tests.benchmarks.agreement` found, as lines and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NOT_SHOWN = """What this does not show: other models or hardware; loads of hundreds of programs; caches under
pressure for long; servers with other users. The load average is the machine's before each round: with
other work on it, the server is slower than it was when it was calibrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One round of one policy, on the server and simulated."""

    engine: str
    policy: str
    round: int
    real_mean_completion_s: float
    simulated_mean_completion_s: float
    real_hit_ratio: float
    simulated_hit_ratio: float
    real_prompt_tokens: int
    simulated_prompt_tokens: int
    real_mean_ttft_s: float
    simulated_mean_ttft_s: float
    real_makespan_s: float
    simulated_makespan_s: float
    load_average: float
    drift: float

    @property
    def time_error(self) -> float:
        return self.simulated_mean_completion_s / self.real_mean_completion_s - 1.0

    @property
    def drift_error(self) -> float:
        """The same, had the server been as fast as when it was calibrated."""
        return (1.0 + self.time_error) * self.drift - 1.0

    @property
    def hit_error(self) -> float:
        return self.simulated_hit_ratio - self.real_hit_ratio


def line_of(row: Row) -> str:
    return (
        f"{row.engine:18} {row.policy:10} {row.round:3}  completion {row.real_mean_completion_s:7.2f} s,"
        f" simulated {row.simulated_mean_completion_s:7.2f} ({row.time_error:+6.1%}, drift {row.drift:.2f}: {row.drift_error:+6.1%})  hits"
        f" {row.real_hit_ratio:.3f}, simulated {row.simulated_hit_ratio:.3f} ({row.hit_error * 100:+5.1f})"
        f"  ttft {row.real_mean_ttft_s:5.2f}, {row.simulated_mean_ttft_s:5.2f}  tokens"
        f" {row.real_prompt_tokens}, {row.simulated_prompt_tokens}  load {row.load_average:.1f}"
    )


def summary_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The errors of each engine and policy, over all rounds."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.engine, row.policy), []).append(row)
    return [
        {
            "engine": engine,
            "policy": policy,
            "time_error": statistics.fmean(row.simulated_mean_completion_s for row in group)
            / statistics.fmean(row.real_mean_completion_s for row in group)
            - 1.0,
            "hit_error": statistics.fmean(row.hit_error for row in group),
        }
        for (engine, policy), group in groups.items()
    ]


def summary_lines(rows: Sequence[Row]) -> list[str]:
    """The same for people."""
    return [
        f"{found['engine']:18} {found['policy']:10} all  completion {found['time_error']:+.1%}"
        f"  hits {found['hit_error'] * 100:+.1f} points"
        for found in summary_of(rows)
    ]
