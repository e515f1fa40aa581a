"""`Places`: which calls go now, and where to: who has a place goes on, who has none may get one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from agentrt.ir.prefix import Chain
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import SchedulerAction
from agentrt.scheduler.entering import Entering
from agentrt.scheduler.entry_pace import EntryPace
from agentrt.scheduler.events import ReplicaId
from agentrt.scheduler.fleet import Fleet
from agentrt.scheduler.guards import Guards
from agentrt.scheduler.lines import Lines
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import Policy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.room import Room
from agentrt.scheduler.state import Call, Program

_LOOKAHEAD_HERE = 16  # of those that wait on a replica where some are held back
_NOTABLE_BLOCKS = 16  # of what was kept for a call, for it to tell something
_NOTABLE_LOSS = 0.25


class Places:
    """The places of all replicas, and the calls that wait.

    Attributes:
        room: What programs between calls keep of it.
    """

    def __init__(
        self, policy: Policy, outlook: Outlook, *, tenant_weights: Mapping[str, float]
    ) -> None:
        self.fleet = Fleet()
        self.lines = Lines(policy, outlook, self.fleet, tenant_weights=tenant_weights)
        self.room = Room(policy, outlook, self.fleet, self.lines)
        self._policy = policy
        self._outlook = outlook
        self._guards = Guards(policy, self.lines.entering)
        self._entering = Entering(policy, outlook, self.fleet, self.lines, self.room, self._guards)
        self._yielded: set[ReplicaId] = set()
        self._wake_at: float | None = None
        self._pace = EntryPace()

    # -- calls and programs ------------------------------------------------------------------

    def wait(self, call: Call, now: float) -> None:
        """`call` wants to go. The branch that it goes on with is kept for it."""
        self._leave_failing(call.program)
        home = self.fleet.home(call.program)
        if call.program.has_place and home is not None:
            home.active.touch(call.program)
            call.context = home.branch_of(call.program, call.chain)
            if call.context is not None:
                call.was_pinned = call.context.is_pinned
                call.context.resume()
        self.lines.join(call, self._policy.rank(call, self._outlook, now))

    def leave(self, call: Call, now: float, context: Chain | None = None) -> None:
        """`call` does not want to go any more, or has gone and come back with `context`."""
        home = self.fleet.home(call.program)
        if home is not None:
            home.active.touch(call.program)
        replica = self.fleet.replica_of(call)
        if replica is not None and call.call_id in replica.running:
            replica.end(call, now, context)
            self.lines.release_followers(call, replica)
            self.fleet.mark(replica)
        self.lines.leave(call)
        if home is not None:
            self.room.unpin(call, home)
        if call.program.failed_at:
            self._leave_failing(call.program)

    def failed(self, program: Program, replica_id: ReplicaId, now: float) -> None:
        """A call of `program` has failed there, and the replica may be to blame."""
        program.failed_at[replica_id] = now
        self._leave_failing(program)

    def _leave_failing(self, program: Program) -> None:
        """Give up a place where calls fail. Not under calls that are at work there: those may succeed."""
        home = self.fleet.home(program)
        if home is None or home.replica_id not in self.fleet.avoided(program):
            return
        if program.has_place and not any(call.is_sent for call in program.calls.values()):
            self.room.take_back(program, home)
            self.lines.send_outside(program, home)

    def first_token(self, call: Call, now: float) -> None:
        """The prompt of `call` is computed: those that were to find it there may go."""
        replica = self.fleet.replica_of(call)
        if replica is not None:
            replica.first_token(call, now)
            self.lines.release_followers(call, replica)
            self.room.unpin(call, replica)

    def learn(self, call: Call, usage: Usage, now: float) -> None:
        """The answer to `call` says how much of its prompt was found in the cache."""
        replica = self.fleet.replica_of(call)
        if replica is None:
            return
        cached_blocks = usage.cached_tokens / self._outlook.block_tokens
        if call.kept_blocks < _NOTABLE_BLOCKS or call.sent_at is None:
            return
        lost = call.kept_blocks - cached_blocks
        if lost < call.kept_blocks * _NOTABLE_LOSS:
            replica.learn(0.0)
            return
        again_s = self._outlook.rebuild_s(replica.replica_id, lost, call.kept_blocks)
        replica.learn(again_s / max(now - call.sent_at, 1e-6))

    def reported(self, replica_id: ReplicaId, used_blocks: int, running: int) -> None:
        """A server says how many blocks calls are at work on there, and how many calls."""
        replica = self.fleet.known(replica_id)
        replica.reported(used_blocks, running)
        self.fleet.mark(replica)

    def resized(self, replica_id: ReplicaId, kv_blocks: int) -> None:
        """It is known better what a server's cache has room for."""
        replica = self.fleet.known(replica_id)
        replica.resize(kv_blocks)
        self.fleet.mark(replica)

    def retry_after_s(self, program: Program) -> float:
        """When it is likely that those of its tenant that wait before `program` have their places."""
        return self._pace.retry_after_s(self.lines.entering.waiting(program))

    def take_back(self, program: Program) -> None:
        """`program` needs no place any more."""
        replica = self.fleet.home(program)
        if program.has_place and replica is not None:
            self.room.take_back(program, replica)

    # -- what to do --------------------------------------------------------------------------

    def is_quiet(self, now: float) -> bool:
        """Whether nothing has changed since it was last asked what to do, and no time has come."""
        has_news = self.fleet.has_changed or self.fleet.has_lost_one or self.lines.has_newcomers
        return not (has_news or self.room.has_news or self._is_due(now))

    def fill(self, now: float) -> list[tuple[Call, Replica]]:
        """Calls to send now, and where to."""
        sent: list[tuple[Call, Replica]] = []
        is_due = self.fleet.has_lost_one or self._is_due(now)
        self.fleet.has_lost_one = False
        self._yielded.clear()
        while self.fleet.has_changed or self.lines.has_newcomers or is_due:
            self.lines.has_newcomers = False
            for replica in self.fleet.take_changed():
                sent.extend(self._return(replica, now))
            # A call that was tried before can have found room only where something has changed,
            # unless it is time that has.
            sent.extend(self._enter(now, is_due=is_due))
            is_due = False
        return sent

    def keep(self, now: float) -> list[SchedulerAction]:
        """What is to be done to replicas' caches. To be done before calls come that evict there."""
        return self.room.keep(now)

    def wake_at(self, now: float) -> float | None:
        """When something changes by itself; None if nothing does, or as was said before."""
        head = self.lines.entering.first()
        hold_end_at = self.room.next_hold_end_at(now)
        if head is None:
            times = [self.room.next_return_at()]
        else:
            home = self.fleet.home(head.program)
            times = [hold_end_at, self._guards.next_end_at(now)]
            times += [head.move_at] if home is not None and head.move_at > now else []
        at = min((time for time in times if time is not None), default=math.inf)
        wake_at = at if now < at < math.inf else None
        is_news = wake_at is not None and wake_at != self._wake_at
        self._wake_at = wake_at
        return wake_at if is_news else None

    def _is_due(self, now: float) -> bool:
        return self._wake_at is not None and now >= self._wake_at

    # -- with a place ------------------------------------------------------------------------

    def _return(self, replica: Replica, now: float) -> Iterator[tuple[Call, Replica]]:
        """Calls of programs with a place that may go on, first ones first."""
        while replica.has_free_slot:
            call = self._first_to_return(replica, now)
            if call is None:
                return
            leader = self._leader(call, replica)
            if leader is not None:
                self.lines.follow(call, leader, replica)
                continue
            if self._is_overtaken(call, replica, now):
                return
            target: Replica | None = replica
            if not self.room.to_grow(replica, call, now):
                target = self._elsewhere(call, replica, now)
            if target is None:
                return
            replica.returning.remove(call.call_id)
            if target is not replica:
                self.room.take_back(call.program, replica)
            yield self._send(call, target, now)

    @staticmethod
    def _leader(call: Call, replica: Replica) -> Call | None:
        """A call that computes now what `call` begins with. Not known where the cache is not."""
        if replica.shadow is None:
            return None
        return replica.followers.leader(call, replica.running.values())

    def _first_to_return(self, replica: Replica, now: float) -> Call | None:
        first = replica.returning.first()
        if first is None or not (replica.with_deadlines or first.program.failed_at):
            return first
        for call in replica.returning.firsts(_LOOKAHEAD_HERE):
            if self._is_leaving(call.program, replica):
                self._leave_failing(call.program)
            elif not self._guards.holds_back(call, replica, now):
                return call
        return None

    def _is_leaving(self, program: Program, replica: Replica) -> bool:
        """Whether its calls have failed there: no more of them are sent there."""
        return bool(program.failed_at) and replica.replica_id in self.fleet.avoided(program)

    def _is_overtaken(self, call: Call, replica: Replica, now: float) -> bool:
        """Whether a call without a place goes before `call`, because slots are what is short.

        Where it is the cache that is short, who has a place goes on first: its blocks are there.
        """
        if replica.max_running is None or len(replica.running) + 1 < replica.max_running:
            return False
        head = self.lines.entering.first()
        if head is None or self.lines.entering.rank(head) >= replica.returning.rank(call.call_id):
            return False
        if replica.replica_id in self.fleet.avoided(head.program):
            return False
        home = self.fleet.home(head.program)
        may_come = home is None or home is replica or now >= head.move_at
        if not may_come or self._guards.refuse(head.program, replica, now):
            return False
        short = self._policy.short_to_enter(replica, head, replica.needed_blocks(head.chain))
        if short > 0 or replica.replica_id in self._yielded:
            return False
        # It is tried right after this, with the replica's last slot still free; then this is, again.
        self._yielded.add(replica.replica_id)
        self.fleet.mark(replica)
        return True

    def _elsewhere(self, call: Call, home: Replica, now: float) -> Replica | None:
        """Another replica with room for a program that cannot go on where it has its place.

        Only for one that is whole in this call: the others of a fan-out share what they have.
        """
        is_whole = len(call.program.calls) == 1 and len(call.program.contexts) <= 1
        if not is_whole or now < self._policy.move_at(call, home, self._outlook):
            return None
        found = self.fleet.emptiest(home, self.fleet.avoided(call.program))
        if found is None:
            return None
        short = self._policy.short_to_enter(found, call, found.needed_blocks(call.chain))
        return found if short <= 0 else None

    # -- without a place ---------------------------------------------------------------------

    def _enter(self, now: float, *, is_due: bool) -> Iterator[tuple[Call, Replica]]:
        """Calls of programs without a place that get one, first ones first."""
        while True:
            found = self._entering.first(now, is_due=is_due)
            if found is None:
                return
            call, replica = found
            self.lines.entering.remove(call)
            self._guards.entered(call.program, replica, now)
            yield self._send(call, replica, now)

    def _send(self, call: Call, replica: Replica, now: float) -> tuple[Call, Replica]:
        is_new = not call.program.has_place
        if is_new and not call.program.turns:
            self._pace.entered(call.ready_at, now)
        self._outlook.call_leaves(call, now)
        replica.send(call, now)
        self.fleet.offer(replica)
        if is_new:
            self.lines.bring_in(call.program, replica)
        return call, replica
