"""How full the caches were, over time, as shares of all their blocks."""

from __future__ import annotations

from typing import TypeAlias

from agentrt.ir.workload import CallStep
from agentrt.simulator.replay import Replay
from agentrt.simulator.workloads.pressure import common_blocks, live_blocks

_POINTS, _MEANS = 256, 64

Curve: TypeAlias = tuple[tuple[float, float], ...]
"""A share of all KV blocks, over time: (seconds, share)."""


def in_use_curve(replay: Replay) -> Curve:
    """What running calls and holds needed, as engines counted it: means of neighbouring moments.

    From one moment to the next it goes up and down with every prompt.
    """
    blocks = replay.kv_blocks * replay.replicas
    moments = replay.occupancy
    every = -(-len(moments) // _MEANS) or 1
    parts = [moments[at : at + every] for at in range(0, len(moments), every)]
    return tuple(
        (
            sum(moment.at for moment in part) / len(part),
            sum(moment.used_blocks for moment in part) / len(part) / blocks,
        )
        for part in parts
    )


def live_curve(replay: Replay) -> Curve:
    """What the programs needed that had begun, and not ended.

    A program's contexts count from their first call being begun, those that are still to be used
    (`pressure.live_blocks`); what all programs begin with counts once.
    """
    shared, of_each = common_blocks(replay.workload)
    changes = sorted(_changes(replay))
    blocks = replay.kv_blocks * replay.replicas
    points: list[tuple[float, float]] = []
    live, programs = 0, 0
    for at, more, begun in changes:
        live += more
        programs += begun
        counted_twice = max(0.0, programs * of_each - shared)
        points.append((at, max(0.0, live - counted_twice) / blocks))
    every = max(1, len(points) // _POINTS)
    return tuple(points[::every])


def _changes(replay: Replay) -> list[tuple[float, int, int]]:
    """When blocks are needed or not any more, and by how many programs: (time, more, begun)."""
    needed: list[dict[int, int]] = []
    for trace in replay.workload.programs:
        calls = [at for at, step in enumerate(trace.steps) if isinstance(step, CallStep)]
        needed.append(dict(zip(calls, live_blocks(trace), strict=True)))
    now: dict[int, int] = {}
    changes: list[tuple[float, int, int]] = []
    begun = sorted(
        (call for call in replay.calls if call.started_s is not None),
        key=lambda call: (call.started_s or 0.0, call.program, call.step),
    )
    for call in begun:
        blocks = needed[call.program][call.step]
        more = blocks - now.get(call.program, 0)
        changes.append((call.started_s or 0.0, more, int(call.program not in now)))
        now[call.program] = blocks
    for program, blocks in now.items():
        finished_s = replay.programs[program].finished_s
        if finished_s is not None:
            changes.append((finished_s, -blocks, -1))
    return changes
