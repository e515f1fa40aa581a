"""What `/programs` shows: where each program is and why, and what there is at each replica. Looks only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from agentrt.gateway.live_program import EndedProgram, LiveProgram
from agentrt.gateway.program_story import PlacedProgram
from agentrt.gateway.replicas import Replicas, ReplicaState
from agentrt.runtime.pool import Pool
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Program, ProgramPhase

State: TypeAlias = Literal["queued", "reasoning", "acting", "held", "resting"]
STATES: tuple[State, ...] = ("queued", "reasoning", "acting", "held", "resting")

_KNOWN_BLOCKS = 1 << 50
_ENDED_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramView:
    """One program.

    Attributes:
        name: What its client calls it; empty: nothing.
        recognised_by: How its latest request was.
        state: `held` is acting, with its context kept where it is; `resting`: it has called tools from
            which it is not expected back.
        why: The same for people, with what it waits for.
        since_s: For how long it has been so.
        context_blocks: That count as its own at its replica now.
        replica: Where its place is, or was last; empty: it never had one.
        agents: Those that it consists of: itself, and sub-agents that say so.
    """

    program_id: str
    tenant: str
    name: str
    recognised_by: str
    model: str
    state: State
    why: str
    since_s: float
    age_s: float
    turns: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    context_blocks: int
    replica: str
    agents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    """One replica.

    Attributes:
        why: Why it is not up; empty: it is.
        capacity_blocks: That there are for programs; None: not known.
        used_blocks: Of programs with a place, shared ones once.
        waiting: Calls of programs with a place there that wait for room.
        share: The part of its cache that programs found their blocks in, as learned.
    """

    replica: str
    models: tuple[str, ...]
    is_up: bool
    why: str
    since_s: float
    capacity_blocks: int | None = None
    used_blocks: int = 0
    running: int = 0
    waiting: int = 0
    programs: int = 0
    share: float = 1.0


class Schedulers:
    """All pools at one moment, with their programs by name."""

    def __init__(self, replicas: Replicas, now: float, *, is_private: bool = False) -> None:
        """With `is_private` replicas have numbers: where they are is their operator's business."""
        self.now = now
        self._names = {
            state.replica_id: f"replica {number}" if is_private else state.replica_id
            for number, state in enumerate(replicas.states, start=1)
        }
        self._pools = [
            (pool, {program.program_id: program for program in pool.scheduler.programs})
            for pool in replicas.models.pools.values()
        ]
        # Not by their names: those of pools with many models are cut, and may be alike.
        self._waiting = {
            pool: sum(_waits_outside(program) for program in programs.values())
            for pool, programs in self._pools
        }

    def state(self, live: LiveProgram) -> State:
        """Where a program is: less than `view`, for who counts thousands."""
        if live.is_resting:
            return "resting"
        placed = self._placed(live)
        if placed is None or _is_between(live, placed.program):
            return "queued" if live.calls else "acting"
        match placed.program.phase:
            case ProgramPhase.REASONING:
                return "reasoning"
            case ProgramPhase.QUEUED:
                return "queued"
            case ProgramPhase.ACTING:
                return "held" if placed.program.has_place else "acting"

    def view(self, live: LiveProgram) -> ProgramView:
        """One program, as it is in the pool where most is going on."""
        placed = self._placed(live)
        state = self.state(live)
        if placed is None or _is_between(live, placed.program):
            why, since = "waits for a replica of the model", live.last_at
        else:
            why, since = placed.story(live, self.now, self._names)
        program = None if placed is None else placed.program
        return ProgramView(
            program_id=live.program_id,
            tenant=live.tenant,
            name=live.name,
            recognised_by=live.reason,
            model=live.model,
            state=state,
            why=why,
            since_s=round(max(self.now - since, 0.0), 3),
            age_s=round(self.now - live.began_at, 3),
            turns=live.turns,
            prompt_tokens=live.usage.prompt_tokens,
            cached_tokens=live.usage.cached_tokens,
            completion_tokens=live.usage.completion_tokens,
            context_blocks=0
            if program is None
            else sum(context.reference.blocks for context in program.contexts),
            replica="" if program is None else self._names.get(program.replica_id or "", ""),
            agents=len(live.agents),
        )

    def _placed(self, live: LiveProgram) -> PlacedProgram | None:
        program_id = live.scheduled.program_id
        found = [
            PlacedProgram(pool, programs[program_id], self._waiting[pool])
            for pool, programs in self._pools
            if program_id in programs
        ]
        return min(found, key=lambda one: one.urgency, default=None)

    def replica(self, state: ReplicaState) -> ReplicaView:
        """One replica, with what its scheduler counts there."""
        models = () if state.capabilities is None else state.capabilities.models
        known = _scheduled(self._pools, state.replica_id) if state.is_up else None
        view = ReplicaView(
            replica=self._names[state.replica_id],
            models=models,
            is_up=state.is_up,
            why=state.reason if self._names[state.replica_id] == state.replica_id else "",
            since_s=round(self.now - state.since, 3),
        )
        if known is None:
            return view
        capacity = known.capacity_blocks
        return ReplicaView(
            replica=view.replica,
            models=models,
            is_up=True,
            why="",
            since_s=view.since_s,
            capacity_blocks=None if capacity > _KNOWN_BLOCKS else int(capacity),
            used_blocks=known.occupied_blocks,
            running=len(known.running),
            waiting=len(known.returning) + len(known.followers),
            programs=len(known.placed),
            share=round(known.share, 3),
        )


def programs_view(
    live: tuple[LiveProgram, ...],
    ended: tuple[EndedProgram, ...],
    replicas: Replicas,
    *,
    now: float,
    tenant: str = "",
) -> dict[str, Any]:
    """As JSON. `tenant` sees its own programs alone; nobody in particular sees all of them."""
    schedulers = Schedulers(replicas, now, is_private=bool(tenant))
    shown = [one for one in live if not tenant or one.tenant == tenant]
    views = [schedulers.view(one) for one in shown]
    gone = [one for one in ended if not tenant or one.tenant == tenant]
    counts: Mapping[str, int] = {
        state: sum(view.state == state for view in views) for state in STATES
    }
    return {
        "states": dict(counts),
        "programs": [asdict(view) for view in views],
        "replicas": [asdict(schedulers.replica(state)) for state in replicas.states],
        "ended": [
            {
                "program_id": one.program_id,
                "tenant": one.tenant,
                "name": one.name,
                "model": one.model,
                "how": one.how.value,
                "ago_s": round(now - one.at, 3),
                "turns": one.turns,
                "prompt_tokens": one.usage.prompt_tokens,
                "cached_tokens": one.usage.cached_tokens,
                "completion_tokens": one.usage.completion_tokens,
            }
            for one in gone[-_ENDED_SHOWN:]
        ],
    }


def _is_between(live: LiveProgram, program: Program) -> bool:
    """Whether a request of it is under way that is at no pool just now: it failed, or is about to come."""
    return bool(live.calls) and program.phase is ProgramPhase.ACTING


def _waits_outside(program: Program) -> int:
    return 0 if program.has_place else sum(not call.is_sent for call in program.calls.values())


def _scheduled(pools: list[tuple[Pool, dict[str, Program]]], replica_id: str) -> Replica | None:
    for pool, _ in pools:
        for replica in pool.scheduler.replicas:
            if replica.replica_id == replica_id:
                return replica
    return None
