"""How much is asked of the replicas: when programs come, and how many at once."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from agentrt.ir.workload import Workload
from agentrt.simulator.engine_model import EngineModel
from agentrt.simulator.unloaded import unloaded_s
from agentrt.simulator.workloads.arrivals import (
    Bursty,
    ClosedLoop,
    Poisson,
    with_arrivals,
    without_arrivals,
)
from agentrt.simulator.workloads.pressure import arrival_rate_per_s, programs_at_once

Arriving: TypeAlias = Literal["closed", "poisson", "bursty"]

BURSTY_CV = 4.0
"""What `bursty` means where nothing else is said."""


@dataclass(frozen=True, slots=True)
class AsRecorded:
    """Programs arrive when the workload says; those of which it does not, at the start."""


@dataclass(frozen=True, slots=True)
class Oversubscription:
    """As many programs as need `times` the KV cache of all replicas.

    Attributes:
        arrivals: So many at any time, the next when one ends; or at random, at the rate at which
            so many would be there if each took the time it takes alone.
    """

    times: float
    arrivals: Arriving = "closed"


Load: TypeAlias = AsRecorded | Poisson | Bursty | ClosedLoop | Oversubscription


@dataclass(frozen=True, slots=True)
class Loaded:
    """A workload under a load.

    Attributes:
        programs_at_once: The closed loop's places; None: programs come at times of their own.
        wanted_at_once: What the load asked for: more than that if there are fewer programs.
        rate_per_s: Of random arrivals; None: they are not.
    """

    workload: Workload
    programs_at_once: int | None = None
    wanted_at_once: int | None = None
    rate_per_s: float | None = None


def loaded(
    workload: Workload, load: Load, *, model: EngineModel, capacity_blocks: int, seed: int
) -> Loaded:
    """`workload` under `load`, on replicas with so many blocks in all.

    Raises:
        InputError: a load that cannot be.
    """
    match load:
        case AsRecorded():
            return Loaded(workload)
        case Poisson(rate) | Bursty(rate, _):
            timed = with_arrivals(workload, load, seed=seed)
            return Loaded(timed, rate_per_s=rate)
        case ClosedLoop(count):
            return _closed(workload, count)
        case Oversubscription(times, "closed"):
            wanted = programs_at_once(
                workload, capacity_blocks=capacity_blocks, oversubscription=times
            )
            return _closed(workload, wanted)
        case Oversubscription(times, arrivals):
            rate = arrival_rate_per_s(
                workload,
                capacity_blocks=capacity_blocks,
                oversubscription=times,
                mean_alone_s=_mean_alone_s(workload, model),
            )
            open_loop = Poisson(rate) if arrivals == "poisson" else Bursty(rate, BURSTY_CV)
            timed = with_arrivals(workload, open_loop, seed=seed)
            return Loaded(timed, rate_per_s=rate)
        case _:
            assert_never(load)


def load_text(load: Load) -> str:
    """A load in words."""
    match load:
        case AsRecorded():
            return "arrivals as recorded"
        case Poisson(rate):
            return f"{rate:g} programs/s"
        case Bursty(rate, _):
            return f"{rate:g} programs/s in bursts"
        case ClosedLoop(count):
            return f"{count} at once"
        case Oversubscription(times, "closed"):
            return f"oversubscription {times:g}"
        case Oversubscription(times, arrivals):
            return f"oversubscription {times:g}, {arrivals}"
        case _:
            assert_never(load)


def _closed(workload: Workload, wanted: int) -> Loaded:
    # More places than programs change nothing.
    at_once = min(wanted, len(workload.programs))
    return Loaded(without_arrivals(workload), at_once, wanted)


def _mean_alone_s(workload: Workload, model: EngineModel) -> float:
    return statistics.fmean(
        unloaded_s(program, model, workload.block_tokens) for program in workload.programs
    )
