"""Where comparisons run: the workload of a seed, and the replicas."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from agentrt.errors import InputError
from agentrt.ir.workload import Workload
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.scheduler.policy import Policy
from agentrt.simulator.comparison_caps import caps_worth_trying
from agentrt.simulator.comparison_work import (
    CapTrial,
    FindCaps,
    Job,
    Outcome,
    Result,
    Simulation,
    TryCap,
)
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.fleet import FleetSettings
from agentrt.simulator.loads import Load, Loaded, loaded
from agentrt.simulator.occupancy import in_use_curve, live_curve
from agentrt.simulator.replay import Replay
from agentrt.simulator.report import report
from agentrt.simulator.simulation import scheduler_of, simulate_with
from agentrt.simulator.unloaded import unloaded_s
from agentrt.simulator.workloads.tenants import with_deadlines, with_tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What programs run on, and whose they are.

    Attributes:
        kv_blocks: Of each replica; None: as many as the model says.
        held_blocks: Of those, how many are kept when asked for.
        tenants: Shares of the programs, by name; none: as the workload says.
        deadlines: Times what a program takes alone, by tenant, `"*"` for all others.
    """

    model: EngineModel
    kv_blocks: int | None = None
    replicas: int = 1
    held_blocks: int = 0
    tenants: dict[str, float] = field(default_factory=dict[str, float])
    deadlines: dict[str, float] = field(default_factory=dict[str, float])

    def fleet(self, workload: Workload) -> FleetSettings:
        """Blocks are of this workload's size. Raises `InputError` for what cannot be."""
        blocks = self.kv_blocks
        if blocks is None:
            blocks = self.model.kv_tokens // workload.block_tokens
        return FleetSettings(
            model=self.model,
            kv_blocks=blocks,
            replicas=self.replicas,
            held_blocks=self.held_blocks,
        )

    def dealt_out(self, workload: Workload, *, seed: int) -> Workload:
        """The workload with the tenants and deadlines asked for."""
        if self.tenants:
            workload = with_tenants(workload, self.tenants, seed=seed)
        if self.deadlines:
            workload = with_deadlines(
                workload,
                self.deadlines,
                alone_s=lambda program: unloaded_s(program, self.model, workload.block_tokens),
            )
        return workload


@dataclass(frozen=True, slots=True)
class Bench:
    """What a job needs besides itself. It can be sent to another process.

    Attributes:
        workload_of: The workload of a seed.
        has_curves: Outcomes have the occupancy over time.
    """

    workload_of: Callable[[int], Workload]
    setup: Setup
    has_curves: bool = False


class Worker:
    """Does jobs. It keeps the workload of the last one: they may be large, and jobs come by seed."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._workload: tuple[int, Workload] | None = None
        self._loaded: tuple[int, Load, Loaded] | None = None

    def do(self, job: Job) -> Result:
        """Raises `InputError` for a workload without programs, or a load or setup that cannot be."""
        under = self._under(job.load, job.seed)
        match job:
            case FindCaps():
                return caps_worth_trying(
                    under.workload,
                    capacity_blocks=self._capacity(under.workload),
                    replicas=self._bench.setup.replicas,
                    unlimited=under.programs_at_once or len(under.workload.programs),
                )
            case TryCap():
                times = _completions(self._replay(under, FixedCap(job.cap)))
                return CapTrial(job.cap, math.fsum(times) / len(times) if times else 0.0)
            case Simulation():
                return self._outcome(job, under)

    def workload(self, seed: int) -> Workload:
        """Of that seed, with the tenants and deadlines asked for."""
        if self._workload is None or self._workload[0] != seed:
            self._workload = None  # not two at a time
            made = self._bench.workload_of(seed)
            if not made.programs:
                raise InputError(f"workload {made.name!r} has no programs")
            self._workload = (seed, self._bench.setup.dealt_out(made, seed=seed))
        return self._workload[1]

    def _under(self, load: Load, seed: int) -> Loaded:
        if self._loaded is None or self._loaded[:2] != (seed, load):
            self._loaded = None
            workload = self.workload(seed)
            found = loaded(
                workload,
                load,
                model=self._bench.setup.model,
                capacity_blocks=self._capacity(workload),
                seed=seed,
            )
            self._loaded = (seed, load, found)
        return self._loaded[2]

    def _capacity(self, workload: Workload) -> int:
        fleet = self._bench.setup.fleet(workload)
        return fleet.kv_blocks * fleet.replicas

    def _replay(self, under: Loaded, policy: Policy) -> Replay:
        return simulate_with(
            scheduler_of(policy, under.workload),
            under.workload,
            self._bench.setup.fleet(under.workload),
            programs_at_once=under.programs_at_once,
        )

    def _outcome(self, job: Simulation, under: Loaded) -> Outcome:
        replay = self._replay(under, job.make())
        has_curves = self._bench.has_curves
        return Outcome(
            label=job.label,
            load=job.load,
            seed=job.seed,
            kv_blocks=replay.kv_blocks,
            programs_at_once=under.programs_at_once,
            wanted_at_once=under.wanted_at_once,
            rate_per_s=under.rate_per_s,
            report=report(replay),
            completions_s=tuple(sorted(_completions(replay))),
            in_use=in_use_curve(replay) if has_curves else None,
            live=live_curve(replay) if has_curves else None,
        )


def _completions(replay: Replay) -> list[float]:
    return [
        program.finished_s - program.arrived_s
        for program in replay.programs
        if program.finished_s is not None
    ]
