"""What a simulation leaves: how each program and each call fared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentrt.errors import InvariantError
from agentrt.ir.prefix import Chain
from agentrt.ir.workload import CallStep, StepId, Workload
from agentrt.scheduler.events import ReplicaId
from agentrt.simulator.engine_model import EngineModel


@dataclass(slots=True)
class CallRecord:
    """How one call fared; times are seconds of the simulation, None: it did not come to that.

    Attributes:
        ready_s: When its program could first make it.
        shed: How many times it was refused, and made again.
    """

    program: int
    step: StepId
    ready_s: float
    replica_id: ReplicaId = ""
    started_s: float | None = None
    first_token_s: float | None = None
    finished_s: float | None = None
    cached_tokens: int = 0
    shed: int = 0


@dataclass(slots=True)
class ProgramRecord:
    """How one program fared; `finished_s` is None if a call of it did not fit any engine."""

    arrived_s: float
    finished_s: float | None = None


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Blocks of all replicas that running calls and holds need at one time."""

    at: float
    used_blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What happened: programs in the workload's order, calls in the order they became ready.

    Attributes:
        kv_blocks: Of each replica.
        computed_tokens: Prompt tokens that engines computed, those of prewarming included.
        prewarmed_tokens: Those that were computed for no call.
        occupancy: Over time, a few hundred moments of it.
        events: What the scheduler was told.
    """

    workload: Workload
    model: EngineModel
    kv_blocks: int
    replicas: int
    programs: tuple[ProgramRecord, ...]
    calls: tuple[CallRecord, ...]
    computed_tokens: int
    prewarmed_tokens: int
    occupancy: tuple[Occupancy, ...]
    events: int


def replica_calls(replay: Replay) -> Iterator[tuple[ReplicaId, list[CallRecord]]]:
    """Each replica's calls, in the order it began with them."""
    by_replica: dict[ReplicaId, list[CallRecord]] = {}
    for call in replay.calls:
        if call.started_s is not None:
            by_replica.setdefault(call.replica_id, []).append(call)
    for replica_id in sorted(by_replica):
        yield replica_id, sorted(by_replica[replica_id], key=_began)


def call_step(replay: Replay, call: CallRecord) -> CallStep:
    """What a call was."""
    step = replay.workload.programs[call.program].steps[call.step]
    if not isinstance(step, CallStep):
        raise InvariantError(f"step {call.step} of program {call.program} is no call")
    return step


def cacheable(chain: Chain, prompt_tokens: int, block_tokens: int) -> int:
    """Blocks of a prompt that can be hits: an engine computes the last token in any case."""
    blocks = sum(run.count for run in chain)
    return min(blocks, (prompt_tokens - 1) // block_tokens)


def _began(call: CallRecord) -> tuple[float, int, int]:
    return (call.started_s or 0.0, call.program, call.step)
