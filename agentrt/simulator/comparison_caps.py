"""The best fixed cap, found by trying: what to beat, and more than anybody knows who serves."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial

from agentrt.errors import InvariantError
from agentrt.ir.workload import Workload
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.simulator.comparison_work import (
    CapTrial,
    FindCaps,
    Job,
    Outcome,
    Plan,
    Result,
    Simulation,
    TryCap,
    best_of,
)
from agentrt.simulator.loads import Load
from agentrt.simulator.workloads.pressure import programs_at_once

# From a quarter of what fills the caches to four times that, in steps of half.
_SWEEP_FROM, _SWEEP_TO, _SWEEP_STEP = 0.25, 4.0, 1.5
_SWEEP_CLOSE = 0.2


def best_cap_plan(load: Load, seed: int, label: str) -> Plan:
    """A grid of caps, then ever closer around its best, until steps are under a tenth of it."""
    (caps,) = yield [FindCaps(load, seed)]
    if not isinstance(caps, tuple):
        raise InvariantError(f"these are no caps: {caps!r}")
    tried = {trial.cap: trial for trial in (yield from _try(load, seed, caps))}
    while True:
        best = best_of(tuple(tried.values())).cap
        low = max((cap for cap in tried if cap < best), default=best)
        high = min((cap for cap in tried if cap > best), default=best)
        closer = {(low + best) // 2, (best + high) // 2} - tried.keys()
        if not closer or high - low < best * _SWEEP_CLOSE:
            break
        tried |= {trial.cap: trial for trial in (yield from _try(load, seed, sorted(closer)))}
    (found,) = yield [Simulation(load, seed, label, partial(FixedCap, best))]
    if not isinstance(found, Outcome):
        raise InvariantError(f"this is no outcome: {found!r}")
    return replace(found, trials=tuple(tried[cap] for cap in sorted(tried)))


def _try(
    load: Load, seed: int, caps: Sequence[int]
) -> Generator[Sequence[Job], Sequence[Result], list[CapTrial]]:
    results = yield [TryCap(load, seed, cap) for cap in caps]
    return [result for result in results if isinstance(result, CapTrial)]


def caps_worth_trying(
    workload: Workload, *, capacity_blocks: int, replicas: int, unlimited: int
) -> tuple[int, ...]:
    """From a quarter of what fills a cache to four times that, and no cap at all.

    No cap is one that all programs have room under on one replica (`unlimited`): not all replicas
    get as many.
    """

    def filling(times: float) -> int:
        return programs_at_once(workload, capacity_blocks=capacity_blocks, oversubscription=times)

    last = min(math.ceil(unlimited / replicas), -(-filling(_SWEEP_TO) // replicas))
    cap = min(last, max(1, filling(_SWEEP_FROM) // replicas))
    caps: list[int] = []
    while cap < last:
        caps.append(cap)
        cap = max(cap + 1, round(cap * _SWEEP_STEP))
    return tuple(dict.fromkeys((*caps, last, unlimited)))
