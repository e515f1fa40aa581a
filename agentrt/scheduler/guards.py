"""`Guards`: replicas where a light tenant's programs are not slowed down by another's flood."""

from __future__ import annotations

from collections.abc import Mapping

from agentrt.scheduler.events import ReplicaId
from agentrt.scheduler.policy import UNGUARDED, Policy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program
from agentrt.scheduler.tenants import TenantQueues

AFTERWARDS_S = 60.0
"""How long a replica stays guarded when its last light program has left: its next is soon there."""


class Guards:
    """A batch of many slows each of its calls down, whosever they are.

    So a replica that has a program of a light tenant takes only so many programs in all; it is the
    others that wait, before they have a place there, never in the middle of a program. A light
    tenant's programs go where others of their kind are, so that few replicas are guarded.
    """

    def __init__(self, policy: Policy, tenants: TenantQueues) -> None:
        self._policy = policy
        self._tenants = tenants
        self._until: dict[ReplicaId, float] = {}

    def entered(self, program: Program, replica: Replica, now: float) -> None:
        """`program` has a place on `replica`."""
        if self._policy.guarded_places >= UNGUARDED or self._tenants.is_single:
            return
        if self._tenants.is_light(program):
            self._until[replica.replica_id] = now + AFTERWARDS_S

    def refuse(self, program: Program, replica: Replica, now: float) -> bool:
        """Whether `replica` takes no further program of the tenant of `program`."""
        until = self._until.get(replica.replica_id)
        if until is None or program.deadline_at is not None:
            return False
        if self._tenants.is_single or self._tenants.is_light(program):
            return False
        if any(self._tenants.is_light(placed) for placed in replica.placed.values()):
            self._until[replica.replica_id] = until = now + AFTERWARDS_S
        elif now >= until:
            del self._until[replica.replica_id]
            return False
        # Who is not expected back any more slows nobody down.
        return replica.active.count(now) >= self._policy.guarded_places

    def holds_back(self, call: Call, replica: Replica, now: float) -> bool:
        """Whether `call` waits with its place for programs with deadlines on `replica`.

        It does while they are in time and the batch is as large as they can bear, for no longer than
        the policy's patience.
        """
        if not replica.with_deadlines or call.program.deadline_at is not None:
            return False
        if now - call.ready_at > self._policy.patience_s:
            return False
        is_full = len(replica.running) >= self._policy.guarded_places
        return is_full and any(at > now for at in replica.with_deadlines.values())

    def preferred(self, program: Program, replicas: Mapping[ReplicaId, Replica]) -> Replica | None:
        """Where a program with a deadline, or of a light tenant, is slowed down least.

        With a deadline: where others of its kind are, as long as they are fewer than the policy says,
        else where they are fewest. Of a light tenant: on a guarded replica that has room. None: anywhere,
        as under a policy that guards nothing.
        """
        if self._policy.guarded_places >= UNGUARDED:
            return None
        if program.deadline_at is not None:
            return min(replicas.values(), key=self._crowding, default=None)
        if not self._until or self._tenants.is_single or not self._tenants.is_light(program):
            return None
        rooms = [
            (len(replica.placed), replica_id)
            for replica_id in self._until
            if (replica := replicas.get(replica_id)) is not None
            and len(replica.placed) < self._policy.guarded_places
        ]
        return replicas[min(rooms)[1]] if rooms else None

    def _crowding(self, replica: Replica) -> tuple[bool, int, int]:
        of_its_kind = len(replica.with_deadlines)
        is_crowded = of_its_kind >= self._policy.guarded_places
        return is_crowded, of_its_kind if is_crowded else -of_its_kind, len(replica.placed)

    def next_end_at(self, now: float) -> float | None:
        """When the first guard ends, if any does after `now`."""
        return min((until for until in self._until.values() if until > now), default=None)
