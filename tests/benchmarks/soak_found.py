"""What a soak is told, what it has found, and how that is shown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

_MOST_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Options:
    """Attributes:
    rounds: After each of them everything comes to rest, and is looked at.
    away_s: How long an engine that was killed may be away.
    freeze_s: How long one may be frozen; above 10 the gateway sees it.
    """

    requests: int = 10_000
    at_once: int = 60
    seed: int = 1
    rounds: int = 5
    kv_tokens: int = 12_000
    trouble_every_s: float = 2.5
    away_s: tuple[float, ...] = (0.0, 0.5, 3.0, 6.0)
    freeze_s: tuple[float, ...] = (0.2, 2.0, 22.0)


@dataclass
class Found:
    """Attributes:
    came: What requests came to.
    statuses: That clients saw.
    memory_mb, files: Of the gateway, after rounds: requests so far, and how much.
    troubles: That engines had.
    ended: Programs, by how.
    """

    requests: int = 0
    seconds: float = 0.0
    came: dict[str, int] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    troubles: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    most_queued: int = 0
    memory_mb: list[tuple[int, float]] = field(default_factory=list)
    files: list[tuple[int, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def kb_a_request(self) -> float:
        """How memory grows after the first round."""
        return _slope(self.memory_mb[1:]) * 1024


def _slope(marks: Sequence[tuple[int, float]]) -> float:
    if len(marks) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*marks, strict=True)).slope


def table(found: Found) -> str:
    memory = ", ".join(f"{mb:.0f} ({count:,})" for count, mb in found.memory_mb)
    files = ", ".join(f"{number} ({count:,})" for count, number in found.files)
    lines = [
        f"{found.requests:,} requests in {found.seconds:.0f} s: {found.came}",
        f"statuses {found.statuses}",
        f"engines {found.troubles}; programs ended {found.ended}; {found.most_queued} queued at once",
        f"memory, MB after requests: {memory}; {found.kb_a_request:+.2f} KB a request",
        f"open files after requests: {files}; {_slope(found.files[1:]) * 1000:+.2f} a thousand requests",
        f"{len(found.problems)} problems",
        *found.problems[:_MOST_SHOWN],
    ]
    return "\n".join(lines)
