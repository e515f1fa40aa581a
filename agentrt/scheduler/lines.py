"""`Lines`: where calls wait: for a place, for room on the replica they have one on, for a leader."""

from __future__ import annotations

import math
from collections.abc import Mapping

from agentrt.scheduler.fleet import Fleet
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import Policy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program
from agentrt.scheduler.tenants import TenantQueues
from agentrt.scheduler.waiting import Rank


class Lines:
    """All calls that wait. Those of programs with a place do so on its replica, the rest here.

    Attributes:
        entering: Calls of programs without a place.
        has_newcomers: The first in line may be another since that was last looked at.
    """

    def __init__(
        self,
        policy: Policy,
        outlook: Outlook,
        fleet: Fleet,
        *,
        tenant_weights: Mapping[str, float],
    ) -> None:
        self.entering = TenantQueues(tenant_weights)
        self.has_newcomers = False
        self._policy = policy
        self._outlook = outlook
        self._fleet = fleet

    def join(self, call: Call, rank: Rank) -> None:
        home = self._fleet.home(call.program)
        if call.program.has_place and home is not None:
            home.returning.add(call, rank)
            self._fleet.mark(home)
            return
        if home is not None:
            call.move_at = self._policy.move_at(call, home, self._outlook)
            if home.replica_id in self._fleet.avoided(call.program):
                call.move_at = -math.inf
        self.entering.add(call, rank)
        self.has_newcomers = True

    def leave(self, call: Call) -> None:
        """Does nothing for a call that does not wait."""
        if call in self.entering:
            self.entering.remove(call)
            self.has_newcomers = True  # whom it kept back may go now
        home = self._fleet.home(call.program)
        if home is not None:
            home.returning.remove(call.call_id)
            home.followers.remove(call.call_id)

    def is_in_one(self, call: Call) -> bool:
        """Whether `call` waits, and only once."""
        waits = [call in self.entering]
        home = self._fleet.home(call.program)
        if home is not None:
            waits += [call.call_id in home.returning, call.call_id in home.followers]
        return waits.count(True) == 1

    def bring_in(self, program: Program, replica: Replica) -> None:
        """`program` has a place now: all its calls wait there."""
        for call in program.calls.values():
            if call in self.entering:
                rank = self.entering.rank(call)
                self.entering.remove(call)
                replica.returning.add(call, rank)
                self._fleet.mark(replica)

    def send_outside(self, program: Program, replica: Replica) -> None:
        """`program` has no place any more: its calls wait with the others."""
        for call in program.calls.values():
            if call.call_id in replica.returning:
                rank = replica.returning.rank(call.call_id)
                replica.returning.remove(call.call_id)
                self.join(call, rank)

    def follow(self, call: Call, leader: Call, replica: Replica) -> None:
        """`call` waits until `leader` has computed what they share."""
        rank = replica.returning.rank(call.call_id)
        replica.returning.remove(call.call_id)
        replica.followers.follow(call, rank, leader)

    def release_followers(self, leader: Call, replica: Replica) -> None:
        """What `leader` computes is there, or will not come from it."""
        for call, rank in replica.followers.release(leader.call_id):
            self.join(call, rank)
