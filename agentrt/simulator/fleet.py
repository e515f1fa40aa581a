"""The engines of a simulation: one a replica, each looked at again when something happens there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentrt.errors import InputError, InvariantError
from agentrt.ir.prefix import block_count
from agentrt.scheduler.actions import HoldKV, Prewarm, ReleaseKV
from agentrt.scheduler.events import CallId, ProgramId, ReplicaId, ReplicaUp
from agentrt.simulator.engine import Engine
from agentrt.simulator.engine_model import EngineModel, EngineSettings
from agentrt.simulator.engine_request import EngineEvent, EngineRequest, Finished, Refused
from agentrt.simulator.replay import Occupancy

_SAMPLES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """What a workload runs on.

    Attributes:
        kv_blocks: Blocks of the workload's size that each replica's KV cache holds.
        held_blocks: Of those, how many a replica keeps when asked to; 0: it takes no holds.
    """

    model: EngineModel
    kv_blocks: int
    replicas: int = 1
    held_blocks: int = 0

    def __post_init__(self) -> None:
        if self.replicas < 1 or self.kv_blocks < 1:
            raise InputError("a simulation needs a replica, and a block of cache")
        if not 0 <= self.held_blocks <= self.kv_blocks:
            raise InputError(
                f"of {self.kv_blocks} KV blocks, {self.held_blocks} cannot be held: from 0 to all"
            )


class Fleet:
    """The replicas' engines.

    Attributes:
        prewarmed_tokens: Prompt tokens computed for no call.
    """

    def __init__(
        self,
        settings: FleetSettings,
        block_tokens: int,
        *,
        wake: Callable[[ReplicaId, float], int],
        unwake: Callable[[int], bool],
    ) -> None:
        self._settings = settings
        self._block_tokens = block_tokens
        each = EngineSettings(
            block_tokens=block_tokens,
            kv_blocks=settings.kv_blocks,
            held_blocks=settings.held_blocks,
        )
        self._engines = {f"r{n}": Engine(settings.model, each) for n in range(settings.replicas)}
        self._wake_at = wake
        self._unwake = unwake
        self._wakes: dict[ReplicaId, int] = {}
        self._held: dict[tuple[ProgramId, ReplicaId], list[str]] = {}
        self._holds = 0
        self._prewarming: set[CallId] = set()
        self._prewarms = 0
        self._samples = _Samples()
        self.prewarmed_tokens = 0

    @property
    def computed_tokens(self) -> int:
        return sum(engine.computed_tokens for engine in self._engines.values())

    @property
    def occupancy(self) -> tuple[Occupancy, ...]:
        return self._samples.kept

    def ups(self) -> list[ReplicaUp]:
        """What is to be said of the replicas at the beginning."""
        settings = self._settings
        return [
            ReplicaUp(
                replica_id=replica_id,
                kv_blocks=settings.kv_blocks,
                max_running=settings.model.max_running,
                takes_holds=settings.held_blocks > 0,
            )
            for replica_id in self._engines
        ]

    def submit(self, replica_id: ReplicaId, request: EngineRequest, now: float) -> None:
        self._engines[replica_id].submit(request, now)
        self.look_again(replica_id)

    def cancel(self, replica_id: ReplicaId, call_id: CallId, now: float) -> None:
        self._engines[replica_id].cancel(call_id, now)
        self.look_again(replica_id)

    def hold(self, wish: HoldKV, now: float) -> None:
        """Raises `InvariantError` for a replica that takes no holds."""
        if not self._settings.held_blocks:
            raise InvariantError(f"{wish.replica_id!r} takes no holds")
        self._holds += 1
        key = f"{wish.program_id}#{self._holds}"
        self._held.setdefault((wish.program_id, wish.replica_id), []).append(key)
        self._engines[wish.replica_id].hold(key, wish.chain, wish.until, now)
        self.look_again(wish.replica_id)

    def release(self, wish: ReleaseKV, now: float) -> None:
        """End all holds of a program on a replica; none is no error."""
        for key in self._held.pop((wish.program_id, wish.replica_id), ()):
            self._engines[wish.replica_id].release(key, now)
        self.look_again(wish.replica_id)

    def prewarm(self, wish: Prewarm, now: float) -> None:
        """Have a prefix computed by a request that is no program's call."""
        tokens = block_count(wish.chain) * self._block_tokens
        if not tokens:
            return
        self._prewarms += 1
        request = EngineRequest(
            call_id=f"prewarm {self._prewarms}",  # calls' ids are numbers
            prompt=wish.chain,
            prompt_tokens=tokens,
            completion_tokens=1,
            context=wish.chain,
        )
        self._prewarming.add(request.call_id)
        self.submit(wish.replica_id, request, now)

    def advance(self, replica_id: ReplicaId, now: float) -> list[EngineEvent]:
        """What has happened there to calls of programs, in order; to be followed by `look_again`."""
        del self._wakes[replica_id]
        events = self._engines[replica_id].advance(now)
        if self._samples.is_due(now):
            self._samples.add(now, sum(e.load.used_blocks for e in self._engines.values()))
        if self._prewarming:
            events = [event for event in events if not self._is_of_prewarm(event)]
        return events

    def _is_of_prewarm(self, event: EngineEvent) -> bool:
        if event.call_id not in self._prewarming:
            return False
        if isinstance(event, Finished | Refused):
            self._prewarming.remove(event.call_id)
        if isinstance(event, Finished):
            self.prewarmed_tokens += event.usage.prompt_tokens - event.usage.cached_tokens
        return True

    def look_again(self, replica_id: ReplicaId) -> None:
        """Have a replica looked at when something happens there."""
        ticket = self._wakes.pop(replica_id, None)
        if ticket is not None:
            self._unwake(ticket)
        at = self._engines[replica_id].next_event_at()
        if at is not None:
            self._wakes[replica_id] = self._wake_at(replica_id, at)


class _Samples:
    """Evenly spread moments of a time that nobody knows the length of.

    When there are too many, every second goes and they are taken half as often.
    """

    def __init__(self) -> None:
        self._kept: list[Occupancy] = []
        self._every_s = 0.25
        self._next_at = 0.0

    @property
    def kept(self) -> tuple[Occupancy, ...]:
        return tuple(self._kept)

    def is_due(self, now: float) -> bool:
        return now >= self._next_at

    def add(self, now: float, used_blocks: int) -> None:
        self._kept.append(Occupancy(now, used_blocks))
        if len(self._kept) >= _SAMPLES:
            self._kept = self._kept[::2]
            self._every_s *= 2.0
        self._next_at = now + self._every_s
