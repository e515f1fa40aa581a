"""`Entering`: which program without a place gets one next, and on which replica."""

from __future__ import annotations

from collections.abc import Iterator

from agentrt.scheduler.batch_limit import BatchLimit
from agentrt.scheduler.fleet import Fleet
from agentrt.scheduler.guards import Guards
from agentrt.scheduler.lines import Lines
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import Policy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.room import Room
from agentrt.scheduler.state import Call

LOOKAHEAD = 4
"""How many of the first waiting calls are tried when room comes up; bounds the cost of an event."""


class Entering:
    """Tries the first of those that wait without a place, on the replicas that may have room."""

    def __init__(
        self,
        policy: Policy,
        outlook: Outlook,
        fleet: Fleet,
        lines: Lines,
        room: Room,
        guards: Guards,
    ) -> None:
        self._policy = policy
        self._fleet = fleet
        self._lines = lines
        self._room = room
        self._guards = guards
        self._batches = BatchLimit(policy, outlook, fleet, lines.entering)

    def first(self, now: float, *, is_due: bool) -> tuple[Call, Replica] | None:
        """The first that may go, and where to; None: none may.

        With `is_due` time has changed something, also for those that were tried in vain before.
        """
        is_blocked = False
        for call in self._lines.entering.firsts(LOOKAHEAD):
            if is_blocked and not call.program.is_urgent(now):
                continue
            if is_due or call.tried_at < self._fleet.changes:
                for replica in self._candidates(call, now, is_due=is_due):
                    if self._has_room(replica, call, now):
                        return call, replica
                call.tried_at = self._fleet.changes
            # It has waited long enough: nothing goes before it any more that has time.
            is_blocked = is_blocked or now - call.ready_at > self._policy.patience_s
        return None

    def _candidates(self, call: Call, now: float, *, is_due: bool) -> Iterator[Replica]:
        """Replicas that may have room for `call` now, and had none when it was tried last."""
        home, avoided = self._fleet.home(call.program), self._fleet.avoided(call.program)
        if home is not None and home.replica_id not in avoided:
            if is_due or self._fleet.has_news(home, call.tried_at):
                yield home
            if now < call.move_at:
                return
        replicas = self._fleet.replicas
        if avoided:
            replicas = {id_: replica for id_, replica in replicas.items() if id_ not in avoided}
        preferred = self._guards.preferred(call.program, replicas)
        if preferred is not None:
            yield preferred
        emptiest = self._fleet.emptiest(home, avoided)
        if (
            emptiest is not None
            and emptiest is not preferred
            and (is_due or self._fleet.has_news(emptiest, call.tried_at))
        ):
            yield emptiest
        if avoided and now - call.ready_at > self._policy.patience_s:
            # The others have had no room for too long; it may be better there by now.
            yield from (self._fleet.replicas[id_] for id_ in avoided if id_ in self._fleet.replicas)

    def _has_room(self, replica: Replica, call: Call, now: float) -> bool:
        if not replica.has_free_slot or self._guards.refuse(call.program, replica, now):
            return False
        if self._batches.is_enough(replica, call, now) and not call.program.is_urgent(now):
            return False
        return self._room.to_enter(replica, call, now)
