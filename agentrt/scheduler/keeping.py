"""`Keeping`: how contexts between calls are kept in a replica's cache, which knows nothing of programs."""

from __future__ import annotations

from collections.abc import Iterable

from agentrt.scheduler.actions import HoldKV, Prewarm, ReleaseKV, SchedulerAction
from agentrt.scheduler.events import ProgramId, ReplicaId
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import PlacedContext, Program


class Keeping:
    """By the engine's own promise where it takes holds; by using them once more everywhere else.

    An engine evicts what was used least recently: a context whose tool runs long goes before that
    of a program that has just ended. A call of one token that begins with it makes it the youngest.
    """

    def __init__(self) -> None:
        self._actions: list[SchedulerAction] = []
        self._pinned: set[tuple[ProgramId, ReplicaId]] = set()

    def keep(self, context: PlacedContext, replica: Replica) -> None:
        """Have `context` kept until its hold ends, or until it is let go."""
        until = context.held_until
        if until is None:
            return
        if replica.takes_holds:
            program_id = context.program.program_id
            self._pinned.add((program_id, replica.replica_id))
            self._actions.append(HoldKV(program_id, replica.replica_id, context.chain, until))
            context.is_pinned = True
        elif replica.shadow is not None and context.claim is None:
            context.claim = replica.shadow.hold(context)

    def let_go(self, program: Program, replica: Replica) -> None:
        """End the engine's promises for `program` there, but for contexts that are still held."""
        key = program.program_id, replica.replica_id
        if key not in self._pinned:
            return
        self._pinned.remove(key)
        self._actions.append(ReleaseKV(*key))
        for context in program.contexts:
            if context.is_pinned and context.held_until is not None:
                self.keep(context, replica)

    def forget(self, replica: Replica) -> None:
        """`replica` is gone, and what it promised with it."""
        self._pinned = {key for key in self._pinned if key[1] != replica.replica_id}

    def prewarm(self, context: PlacedContext, replica: Replica) -> None:
        """Have `context` computed again before it is called for."""
        program_id = context.program.program_id
        self._actions.append(Prewarm(program_id, replica.replica_id, context.chain))

    @property
    def has_news(self) -> bool:
        return bool(self._actions)

    def actions(self, seen: Iterable[Replica]) -> list[SchedulerAction]:
        """What is to be done for all that was said since this was last asked.

        `seen`: where calls were sent or have ended since: the order of eviction has changed there.
        """
        for replica in seen:
            if replica.shadow is not None:
                for context in replica.shadow.to_touch():
                    self.prewarm(context, replica)
        actions, self._actions = self._actions, []
        return actions
