"""Several policies on the same workloads: each load, each seed, each policy, one report each."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from agentrt.errors import InputError
from agentrt.ir.workload import Workload
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.scheduler.policy import Policy
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.replay import Replay
from agentrt.simulator.report import Report, report
from agentrt.simulator.simulation import simulate
from agentrt.simulator.workloads.arrivals import (
    ClosedLoop,
    Poisson,
    with_arrivals,
    without_arrivals,
)
from agentrt.simulator.workloads.pressure import programs_at_once

FIGURES = (
    "mean_completion_s",
    "p50_s",
    "p95_s",
    "p99_s",
    "max_wait_s",
    "hit_ratio",
    "belady_hit_ratio",
    "prompt_tokens",
    "computed_tokens",
    "programs_per_min",
    "jain_index",
)
"""The figures of a report that a comparison shows, in this order."""

# The sweep of caps: from a quarter of what fills the caches to four times that, in steps of half.
_SWEEP_FROM, _SWEEP_TO, _SWEEP_STEP = 0.25, 4.0, 1.5
_SWEEP_CLOSE = 0.2


@dataclass(frozen=True, slots=True)
class AsRecorded:
    """Programs arrive when the workload says; those of which it does not, at the start."""


@dataclass(frozen=True, slots=True)
class Oversubscription:
    """As many programs at once as need `times` the KV cache of all replicas."""

    times: float


Load: TypeAlias = AsRecorded | Poisson | ClosedLoop | Oversubscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What programs run on.

    Attributes:
        kv_blocks: Of each replica; None: as many as the model says.
    """

    model: EngineModel
    kv_blocks: int | None = None
    replicas: int = 1

    def blocks(self, workload: Workload) -> int:
        """Blocks of this workload's size that each replica has."""
        if self.kv_blocks is not None:
            return self.kv_blocks
        return self.model.kv_tokens // workload.block_tokens


@dataclass(frozen=True, slots=True)
class Contender:
    """A policy in a comparison.

    Attributes:
        make: A new policy for each run; None: the best of all caps, found by trying them.
    """

    label: str
    make: Callable[[], Policy] | None


@dataclass(frozen=True, slots=True)
class CapTrial:
    """What one cap of a sweep came to."""

    cap: int
    mean_completion_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One policy on one workload.

    Attributes:
        programs_at_once: The closed loop's places; None: programs came at times of their own.
        wanted_at_once: What the load asked for: more than that if there are fewer programs.
        completions_s: Of the programs that finished, ascending.
        trials: The caps that were tried, in ascending order; the first best of them is reported.
    """

    label: str
    load: Load
    seed: int
    kv_blocks: int
    programs_at_once: int | None
    wanted_at_once: int | None
    report: Report
    completions_s: tuple[float, ...]
    trials: tuple[CapTrial, ...] = ()

    @property
    def cap(self) -> int | None:
        """The best of the caps tried."""
        return _best(self.trials).cap if self.trials else None


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over several seeds."""

    median: float
    least: float
    most: float


def compare(
    workload_of: Callable[[int], Workload],
    contenders: Sequence[Contender],
    *,
    setup: Setup,
    loads: Sequence[Load],
    seeds: Sequence[int],
    on_run: Callable[[str], None] = lambda _: None,
) -> tuple[Outcome, ...]:
    """Every contender on every load with every seed, by load, then by contender, then by seed.

    Args:
        workload_of: The workload of a seed.
        on_run: Told before each run what it is.

    Raises:
        InputError: a workload without programs, or a load or setup that cannot be.
    """
    found: list[tuple[tuple[int, int, int], Outcome]] = []
    for turn, seed in enumerate(seeds):
        workload = workload_of(seed)
        if not workload.programs:
            raise InputError(f"workload {workload.name!r} has no programs")
        for rank, load in enumerate(loads):
            trial = _Trial(workload, setup, load, seed, on_run)
            for place, contender in enumerate(contenders):
                found.append(((rank, place, turn), trial.outcome(contender)))
    found.sort(key=lambda item: item[0])
    return tuple(outcome for _, outcome in found)


def grouped(outcomes: Sequence[Outcome]) -> Iterator[tuple[Load, dict[str, list[Outcome]]]]:
    """The outcomes of each load, by label, as `compare` has them in order."""
    loads: dict[Load, dict[str, list[Outcome]]] = {}
    for outcome in outcomes:
        loads.setdefault(outcome.load, {}).setdefault(outcome.label, []).append(outcome)
    yield from loads.items()


def spread(outcomes: Sequence[Outcome], figure: str) -> Spread:
    """A figure of the reports: the median over the seeds, and from where to where it goes."""
    values: list[float] = [getattr(outcome.report, figure) for outcome in outcomes]
    return Spread(statistics.median(values), min(values), max(values))


def load_text(load: Load) -> str:
    """A load in words."""
    match load:
        case AsRecorded():
            return "arrivals as recorded"
        case Poisson(rate):
            return f"{rate:g} programs/s"
        case ClosedLoop(count):
            return f"{count} at once"
        case Oversubscription(times):
            return f"oversubscription {times:g}"
        case _:
            assert_never(load)


class _Trial:
    """One workload under one load."""

    def __init__(
        self,
        workload: Workload,
        setup: Setup,
        load: Load,
        seed: int,
        on_run: Callable[[str], None],
    ) -> None:
        self._on_run = on_run
        self._setup = setup
        self._load = load
        self._seed = seed
        self._kv_blocks = setup.blocks(workload)
        if setup.replicas < 1 or self._kv_blocks < 1:
            raise InputError("a simulation needs a replica, and a block of cache")
        self._capacity = self._kv_blocks * setup.replicas
        self._wanted: int | None = None
        match load:
            case AsRecorded():
                self._workload = workload
            case Poisson():
                self._workload = with_arrivals(workload, load, seed=seed)
            case ClosedLoop(count):
                self._workload, self._wanted = without_arrivals(workload), count
            case Oversubscription(times):
                self._workload = without_arrivals(workload)
                self._wanted = self._filling(times)
            case _:
                assert_never(load)
        # More places than programs change nothing.
        count = len(workload.programs)
        self._at_once = None if self._wanted is None else min(self._wanted, count)

    def outcome(self, contender: Contender) -> Outcome:
        trials: tuple[CapTrial, ...] = ()
        if contender.make is None:
            trials = tuple(self._sweep())
            policy: Policy = FixedCap(_best(trials).cap)
        else:
            policy = contender.make()
        replay = self._replay(policy, contender.label)
        return Outcome(
            label=contender.label,
            load=self._load,
            seed=self._seed,
            kv_blocks=self._kv_blocks,
            programs_at_once=self._at_once,
            wanted_at_once=self._wanted,
            report=report(replay),
            completions_s=tuple(sorted(_completions(replay))),
            trials=trials,
        )

    def _replay(self, policy: Policy, what: str) -> Replay:
        self._on_run(f"{what}, {load_text(self._load)}, seed {self._seed}")
        return simulate(
            self._workload,
            policy,
            model=self._setup.model,
            kv_blocks=self._kv_blocks,
            replicas=self._setup.replicas,
            programs_at_once=self._at_once,
        )

    def _filling(self, times: float) -> int:
        return programs_at_once(
            self._workload, capacity_blocks=self._capacity, oversubscription=times
        )

    def _sweep(self) -> Iterator[CapTrial]:
        """A grid of caps, then ever closer around its best, until steps are under a tenth of it."""
        tried = {cap: self._tried(cap) for cap in self._caps()}
        while True:
            best = _best(tuple(tried.values())).cap
            low = max((cap for cap in tried if cap < best), default=best)
            high = min((cap for cap in tried if cap > best), default=best)
            closer = {(low + best) // 2, (best + high) // 2} - tried.keys()
            if not closer or high - low < best * _SWEEP_CLOSE:
                break
            tried |= {cap: self._tried(cap) for cap in sorted(closer)}
        yield from (tried[cap] for cap in sorted(tried))

    def _caps(self) -> list[int]:
        """From a quarter of what fills a cache to four times that, and no cap at all.

        No cap is one that all programs have room under on one replica: not all replicas get as many.
        """
        replicas = self._setup.replicas
        unlimited = self._at_once or len(self._workload.programs)
        last = min(math.ceil(unlimited / replicas), -(-self._filling(_SWEEP_TO) // replicas))
        cap = min(last, max(1, self._filling(_SWEEP_FROM) // replicas))
        caps: list[int] = []
        while cap < last:
            caps.append(cap)
            cap = max(cap + 1, round(cap * _SWEEP_STEP))
        return list(dict.fromkeys((*caps, last, unlimited)))

    def _tried(self, cap: int) -> CapTrial:
        times = _completions(self._replay(FixedCap(cap), f"cap-{cap}"))
        return CapTrial(cap, math.fsum(times) / len(times) if times else 0.0)


def _best(trials: Sequence[CapTrial]) -> CapTrial:
    """The lowest mean; of several the lowest cap."""
    return min(trials, key=lambda trial: (trial.mean_completion_s, trial.cap))


def _completions(replay: Replay) -> list[float]:
    return [
        program.finished_s - program.arrived_s
        for program in replay.programs
        if program.finished_s is not None
    ]
