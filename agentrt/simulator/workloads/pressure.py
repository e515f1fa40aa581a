"""KV pressure: how many programs at once fill a cache so many times over."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from agentrt.errors import InputError
from agentrt.ir.prefix import Chain, Run, block_count, shared_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, StepId, Workload

# What all programs share may alone be more than is asked for.
_FEWEST_IN_USE = 0.1


def live_blocks(program: ProgramTrace) -> list[int]:
    """At each call, in order: the blocks of all contexts the program still needs, shared ones once.

    A context is needed from its call until the last call that waits for it, straight or through
    tools, has been made.
    """
    until = _needed_until(program)
    counts: list[int] = []
    live: dict[StepId, Chain] = {}
    for at, step in enumerate(program.steps):
        if isinstance(step, CallStep):
            live = {call: chain for call, chain in live.items() if until[call] > at}
            live[at] = step.context
            counts.append(_union_blocks(live.values()))
    return counts


def programs_at_once(workload: Workload, *, capacity_blocks: int, oversubscription: float) -> int:
    """How many programs at a time need `oversubscription` times the capacity, at least one.

    Live contexts are averaged over all calls of the workload, and blocks that several programs
    have are counted once: `X = (shared + n * (mean live blocks - shared)) / capacity`.

    Raises:
        InputError: an empty workload, or numbers that are not positive.
    """
    return max(1, round(_programs_in_use(workload, capacity_blocks, oversubscription)))


def arrival_rate_per_s(
    workload: Workload, *, capacity_blocks: int, oversubscription: float, mean_alone_s: float
) -> float:
    """At what rate programs arrive if, each taking its time alone, so many blocks are in use.

    Little's law: programs in the system = rate * time in it. As programs take longer than alone
    where they are in one another's way, there will be more of them than that.

    Raises:
        InputError: as `programs_at_once`; or programs that take no time.
    """
    if not mean_alone_s > 0:
        raise InputError(f"workload {workload.name!r}: programs take no time, so no rate fills any")
    in_use = _programs_in_use(workload, capacity_blocks, oversubscription)
    return max(in_use, _FEWEST_IN_USE) / mean_alone_s


def _programs_in_use(workload: Workload, capacity_blocks: int, oversubscription: float) -> float:
    if capacity_blocks <= 0 or not 0 < oversubscription < math.inf:
        raise InputError("capacity and oversubscription must be positive")
    counts = [count for program in workload.programs for count in live_blocks(program)]
    if not counts:
        raise InputError(f"workload {workload.name!r} has no calls")
    mean = sum(counts) / len(counts)
    shared, per_program = common_blocks(workload)
    own = max(mean - per_program, 1.0)
    return (oversubscription * capacity_blocks - shared) / own


def _needed_until(program: ProgramTrace) -> list[StepId]:
    """Of each step, the last call that waits for it; itself if there is none."""
    until = list(range(len(program.steps)))
    for at in range(len(program.steps) - 1, -1, -1):
        step = program.steps[at]
        reader = at if isinstance(step, CallStep) else until[at]
        for before in step.after:
            until[before] = max(until[before], reader)
    return until


def _union_blocks(chains: Iterable[Chain]) -> int:
    """How many different blocks the chains have together."""
    runs = sorted((run for chain in chains for run in chain), key=lambda run: run.first)
    return sum(run.count for run in _merged(runs))


def _merged(runs: Sequence[Run]) -> Iterable[Run]:
    """`runs`, in order of their first ids, without what earlier ones have."""
    end = -1
    for run in runs:
        first = max(run.first, end)
        if run.first + run.count > first:
            yield Run(first, run.first + run.count - first)
            end = run.first + run.count


def common_blocks(workload: Workload) -> tuple[int, float]:
    """Blocks that more than one program begins with: all of them, and of those how many each has."""
    firsts = [_first_prompt(program) for program in workload.programs]
    seen: dict[int, list[int]] = {}
    for at, chain in enumerate(firsts):
        if chain:
            seen.setdefault(chain[0].first, []).append(at)
    total, of_programs = 0, 0
    for members in seen.values():
        if len(members) > 1:
            common = common_start([firsts[member] for member in members])
            total += common
            of_programs += common * len(members)
    return total, of_programs / max(1, len(firsts))


def _first_prompt(program: ProgramTrace) -> Chain:
    return next((step.prompt for step in program.steps if isinstance(step, CallStep)), ())


def common_start(chains: Sequence[Chain]) -> int:
    """How many blocks all of the chains begin with."""
    count = block_count(chains[0])
    for chain in chains[1:]:
        count = min(count, shared_blocks(chains[0], chain))
    return count
