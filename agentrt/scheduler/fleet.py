"""`Fleet`: the replicas that are up, and which of them have changed since they were last looked at."""

from __future__ import annotations

from collections.abc import Collection

from agentrt.errors import InvariantError
from agentrt.scheduler.events import ReplicaId
from agentrt.scheduler.occupancies import Occupancies
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program


class Fleet:
    """All replicas.

    Attributes:
        replicas: Those that are up.
        changes: How many changes of replicas there have been.
        has_lost_one: A replica has gone: who waited for its blocks there may go anywhere now.
    """

    def __init__(self) -> None:
        self.replicas: dict[ReplicaId, Replica] = {}
        self.changes = 0
        self.has_lost_one = False
        self._occupancies = Occupancies(self.replicas)
        self._changed: dict[ReplicaId, None] = {}
        self._changed_at: dict[ReplicaId, int] = {}
        self._seen: dict[ReplicaId, Replica] = {}

    def add(self, replica: Replica) -> None:
        if replica.replica_id in self.replicas:
            raise InvariantError(f"replica {replica.replica_id!r} came up twice")
        self.replicas[replica.replica_id] = replica
        self.mark(replica)

    def known(self, replica_id: ReplicaId) -> Replica:
        if replica_id not in self.replicas:
            raise InvariantError(f"there is no replica {replica_id!r}")
        return self.replicas[replica_id]

    def remove(self, replica_id: ReplicaId) -> Replica:
        replica = self.known(replica_id)
        del self.replicas[replica_id]
        self._changed.pop(replica_id, None)
        self._changed_at.pop(replica_id, None)
        self._occupancies.remove(replica_id)
        self.has_lost_one = True
        return replica

    def home(self, program: Program) -> Replica | None:
        """Where the place of `program` is, or was last."""
        return None if program.replica_id is None else self.replicas.get(program.replica_id)

    def replica_of(self, call: Call) -> Replica | None:
        """Where `call` was sent."""
        return None if call.replica_id is None else self.replicas.get(call.replica_id)

    def avoided(self, program: Program) -> Collection[ReplicaId]:
        """Where calls of `program` have failed and it should not go; nowhere, if that is everywhere."""
        failed_at = program.failed_at
        if not failed_at or all(replica_id in failed_at for replica_id in self.replicas):
            return ()
        return failed_at

    def mark(self, replica: Replica) -> None:
        """Something has changed on `replica` that may let others go on or in there."""
        self._changed[replica.replica_id] = None
        self.changes += 1
        self._changed_at[replica.replica_id] = self.changes
        self.offer(replica)

    def offer(self, replica: Replica) -> None:
        """How full `replica` is has changed, which lets nobody in."""
        self._seen[replica.replica_id] = replica
        self._occupancies.offer(replica)

    def take_seen(self) -> list[Replica]:
        """Those of which anything has changed since this was last asked."""
        seen, self._seen = self._seen, {}
        return list(seen.values())

    @property
    def has_changed(self) -> bool:
        return bool(self._changed)

    def take_changed(self) -> list[Replica]:
        """Those that were marked since this was last asked, in order."""
        changed, self._changed = self._changed, {}
        return [self.replicas[replica_id] for replica_id in changed]

    def has_news(self, replica: Replica, since: int) -> bool:
        """Whether `replica` has changed since there were `since` changes."""
        return self._changed_at[replica.replica_id] > since

    def emptiest(
        self, besides: Replica | None, avoided: Collection[ReplicaId] = ()
    ) -> Replica | None:
        """The least occupied replica with a free slot, of all but one and those to be avoided."""
        return self._occupancies.emptiest(besides, avoided)

    def check(self) -> None:
        """Raises `InvariantError` if a count is off."""
        for replica in self.replicas.values():
            if not replica.active.is_right():
                raise InvariantError(
                    f"{replica.replica_id!r} has lost count of its active programs"
                )
            contexts = sum(len(program.contexts) for program in replica.placed.values())
            if contexts != replica.contexts:
                raise InvariantError(f"{replica.replica_id!r} has lost count of its contexts")
            if contexts == 0 and replica.occupied_blocks:
                raise InvariantError(f"{replica.replica_id!r} counts blocks that nobody needs")
            if replica.max_running is not None and len(replica.running) > replica.max_running:
                raise InvariantError(f"{replica.replica_id!r} was sent too many calls")
            for program in replica.placed.values():
                if not program.has_place or program.replica_id != replica.replica_id:
                    raise InvariantError(f"{program.program_id!r} has no place where it is placed")
