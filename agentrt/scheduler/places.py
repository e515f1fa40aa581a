"""`Places`: who has a place on which replica, who waits for one, and who must give one up."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from agentrt.errors import InvariantError
from agentrt.scheduler.events import ReplicaId
from agentrt.scheduler.policy import Policy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, CallPhase, PlacedContext, Program
from agentrt.scheduler.waiting import WaitingCalls

LOOKAHEAD = 4
"""How many of the first waiting calls are tried when room comes up; bounds the cost of an event."""

_Holds: TypeAlias = list[tuple[float, int, Program, PlacedContext]]


class Places:
    """The places of all replicas, and the calls that wait.

    Attributes:
        replicas: Those that are up.
    """

    def __init__(self, policy: Policy) -> None:
        self.replicas: dict[ReplicaId, Replica] = {}
        self._policy = policy
        self._entering = WaitingCalls()
        self._holds: _Holds = []
        self._holds_of: dict[ReplicaId, _Holds] = {}
        self._by_occupancy: list[tuple[float, ReplicaId]] = []
        self._offered: dict[ReplicaId, float] = {}
        self._changed: dict[ReplicaId, None] = {}
        self._changes = 0
        self._changed_at: dict[ReplicaId, int] = {}
        self._has_newcomers = False
        self._must_retry = False
        self._held = 0
        self._wake_at: float | None = None

    # -- replicas ----------------------------------------------------------------------------

    def add(self, replica: Replica) -> None:
        if replica.replica_id in self.replicas:
            raise InvariantError(f"replica {replica.replica_id!r} came up twice")
        self.replicas[replica.replica_id] = replica
        self._holds_of[replica.replica_id] = []
        self._mark(replica)

    def known(self, replica_id: ReplicaId) -> Replica:
        if replica_id not in self.replicas:
            raise InvariantError(f"there is no replica {replica_id!r}")
        return self.replicas[replica_id]

    def remove(self, replica_id: ReplicaId) -> Replica:
        replica = self.known(replica_id)
        del self.replicas[replica_id], self._holds_of[replica_id]
        self._changed.pop(replica_id, None)
        self._changed_at.pop(replica_id, None)
        self._offered.pop(replica_id, None)
        self._must_retry = True  # who waited for its blocks there may go anywhere now
        return replica

    def replica_of(self, call: Call) -> Replica | None:
        return None if call.replica_id is None else self.replicas.get(call.replica_id)

    # -- calls and programs ------------------------------------------------------------------

    def wait(self, call: Call, now: float) -> None:
        """`call` wants to go. The branch that it goes on with is kept for it."""
        home = self._home(call.program)
        if call.program.has_place and home is not None:
            call.context = home.branch_of(call.program, call.chain)
            if call.context is not None:
                call.context.held_until = None
        self._join(call, self._policy.rank(call, now))

    def leave(self, call: Call) -> None:
        """`call` does not want to go any more, or has gone and come back."""
        replica = self.replica_of(call)
        if call.phase is CallPhase.SENT and replica is not None:
            del replica.running[call.call_id]
            self._mark(replica)
        if call.call_id in self._entering:
            self._entering.remove(call.call_id)
            self._has_newcomers = True  # whom it kept back may go now
        home = self._home(call.program)
        if home is not None:
            home.returning.remove(call.call_id)

    def hold(self, program: Program, context: PlacedContext, now: float) -> None:
        """The call on `context` has ended: from now on it is kept only for so long."""
        replica = self._home(program)
        if replica is None or not context.is_counted:
            return
        context.held_until = now + self._policy.hold_s(program, replica, now)
        self._held += 1
        entry = (context.held_until, self._held, program, context)
        heapq.heappush(self._holds, entry)
        heapq.heappush(self._holds_of[replica.replica_id], entry)
        self._mark(replica)

    def give_up_holds(self, program: Program) -> None:
        """Count the branches of `program` no more that no call is under way on."""
        replica = self._home(program)
        idle = [context for context in program.contexts if context.held_until is not None]
        if replica is None or not idle:
            return
        for context in idle:
            replica.drop(program, context)
        if not program.has_place:
            self._send_outside(program, replica)
        self._mark(replica)

    def take_back(self, program: Program) -> None:
        """`program` needs no place any more."""
        replica = self._home(program)
        if program.has_place and replica is not None:
            replica.unplace(program)
            self._mark(replica)

    def is_waiting(self, call: Call) -> bool:
        home = self._home(call.program)
        is_returning = home is not None and call.call_id in home.returning
        return is_returning != (call.call_id in self._entering)

    # -- filling -----------------------------------------------------------------------------

    def fill(self, now: float) -> list[tuple[Call, Replica]]:
        """Calls to send now, and where to."""
        sent: list[tuple[Call, Replica]] = []
        is_due = self._must_retry or (self._wake_at is not None and now >= self._wake_at)
        self._must_retry = False
        while self._changed or self._has_newcomers or is_due:
            self._has_newcomers = False
            changed, self._changed = self._changed, {}
            for replica_id in changed:
                sent.extend(self._return(self.replicas[replica_id], now))
            # A call that was tried before can have found room only where something has changed,
            # unless it is time that has.
            sent.extend(self._enter(now, is_due=is_due))
            is_due = False
        return sent

    def wake_at(self, now: float) -> float | None:
        """When something changes by itself; None if nothing does, or as was said before."""
        head = self._entering.first()
        at = math.inf
        if head is not None:
            # Holds that are over need no waking: whoever needs the room finds them.
            while self._holds and (self._holds[0][0] <= now or not _is_held(self._holds[0])):
                heapq.heappop(self._holds)
            if self._holds:
                at = self._holds[0][0]
            home = self._home(head.program)
            if home is not None:
                move_at = self._policy.move_at(head, home)
                at = min(at, move_at) if move_at > now else at
        wake_at = at if now < at < math.inf else None
        is_news = wake_at is not None and wake_at != self._wake_at
        self._wake_at = wake_at
        return wake_at if is_news else None

    def check(self) -> None:
        """Raises `InvariantError` if a count is off."""
        for replica in self.replicas.values():
            contexts = sum(len(program.contexts) for program in replica.placed.values())
            if contexts == 0 and replica.occupied_blocks:
                raise InvariantError(f"{replica.replica_id!r} counts blocks that nobody needs")
            if replica.max_running is not None and len(replica.running) > replica.max_running:
                raise InvariantError(f"{replica.replica_id!r} was sent too many calls")
            for program in replica.placed.values():
                if not program.has_place or program.replica_id != replica.replica_id:
                    raise InvariantError(f"{program.program_id!r} has no place where it is placed")

    def _return(self, replica: Replica, now: float) -> Iterator[tuple[Call, Replica]]:
        """Calls of programs with a place that may go on, first ones first."""
        while replica.has_free_slot:
            call = replica.returning.first()
            if call is None or not self._make_room_to_grow(replica, call):
                return
            replica.returning.remove(call.call_id)
            yield self._send(call, replica, now)

    def _enter(self, now: float, *, is_due: bool) -> Iterator[tuple[Call, Replica]]:
        """Calls of programs without a place that get one, first ones first."""
        while True:
            found = self._first_with_room(now, is_due=is_due)
            if found is None:
                return
            call, replica = found
            self._entering.remove(call.call_id)
            yield self._send(call, replica, now)

    def _first_with_room(self, now: float, *, is_due: bool) -> tuple[Call, Replica] | None:
        for call in self._entering.firsts(LOOKAHEAD):
            for replica in self._candidates(call, now):
                is_news = self._changed_at[replica.replica_id] > call.tried_at
                is_worth_it = is_due or is_news
                if is_worth_it and self._make_room_to_enter(replica, call, now):
                    return call, replica
            call.tried_at = self._changes
            if now - call.ready_at > self._policy.patience_s:
                return None  # it has waited long enough: nothing goes before it any more
        return None

    def _candidates(self, call: Call, now: float) -> Iterable[Replica]:
        home = self._home(call.program)
        if home is not None:
            yield home
            if now < self._policy.move_at(call, home):
                return
        emptiest = self._emptiest(home)
        if emptiest is not None:
            yield emptiest

    def _make_room_to_enter(self, replica: Replica, call: Call, now: float) -> bool:
        if not replica.has_free_slot:
            return False
        policy, chain = self._policy, call.chain
        while not policy.has_room(replica, replica.needed_blocks(chain)):
            if not self._end_hold(replica, now):
                return False
        return True

    def _make_room_to_grow(self, replica: Replica, call: Call) -> bool:
        """A program with a place comes before all that are between calls, and before later ones."""
        policy, chain = self._policy, call.chain
        while not policy.may_grow(replica, replica.needed_blocks(chain)):
            if self._end_hold(replica, math.inf, call.program):
                continue
            if replica.running or not self._send_back_last(replica, call):
                # What runs will end; and a call that is alone goes, whatever it needs.
                return not replica.running
        return True

    def _end_hold(self, replica: Replica, until: float, besides: Program | None = None) -> bool:
        """Count one branch no more whose hold ends by `until`, the earliest first.

        Branches of `besides` are spared.
        """
        holds = self._holds_of[replica.replica_id]
        spared: _Holds = []
        found: tuple[float, int, Program, PlacedContext] | None = None
        while holds and holds[0][0] <= until and found is None:
            hold = heapq.heappop(holds)
            if _is_held(hold) and hold[2] is besides:
                spared.append(hold)
            elif _is_held(hold):
                found = hold
        for hold in spared:
            heapq.heappush(holds, hold)
        if found is None:
            return False
        _, _, program, context = found
        replica.drop(program, context)
        if not program.has_place:
            self._send_outside(program, replica)
        self._mark(replica)
        return True

    def _send_back_last(self, replica: Replica, first: Call) -> bool:
        """Of the programs that wait to go on, take the place of the one that would go last.

        Only asked where nothing is running.
        """
        others = [
            call
            for program in replica.placed.values()
            if program is not first.program
            for call in program.calls.values()
            if call.call_id in replica.returning
        ]
        if not others:
            return False
        last = max(others, key=lambda c: (replica.returning.rank(c.call_id), c.program.sequence))
        replica.unplace(last.program)
        self._offer(replica)
        self._send_outside(last.program, replica)
        return True

    def _send_outside(self, program: Program, replica: Replica) -> None:
        """A program without a place has its calls wait with the others."""
        for call in program.calls.values():
            if call.call_id in replica.returning:
                rank = replica.returning.rank(call.call_id)
                replica.returning.remove(call.call_id)
                self._join(call, rank)

    def _send(self, call: Call, replica: Replica, now: float) -> tuple[Call, Replica]:
        call.context = replica.place(call.program, call.chain)
        replica.running[call.call_id] = call
        call.phase, call.replica_id, call.sent_at = CallPhase.SENT, replica.replica_id, now
        self._offer(replica)
        self._bring_in(call.program, replica)
        return call, replica

    def _bring_in(self, program: Program, replica: Replica) -> None:
        """A program with a place has all its calls wait there."""
        for call in program.calls.values():
            if call.call_id in self._entering:
                rank = self._entering.rank(call.call_id)
                self._entering.remove(call.call_id)
                replica.returning.add(call, rank)
                self._mark(replica)

    def _join(self, call: Call, rank: float) -> None:
        replica = self._home(call.program)
        if call.program.has_place and replica is not None:
            replica.returning.add(call, rank)
            self._mark(replica)
        else:
            self._entering.add(call, rank)
            self._has_newcomers = True

    def _home(self, program: Program) -> Replica | None:
        return None if program.replica_id is None else self.replicas.get(program.replica_id)

    def _mark(self, replica: Replica) -> None:
        self._changed[replica.replica_id] = None
        self._changes += 1
        self._changed_at[replica.replica_id] = self._changes
        self._offer(replica)

    def _offer(self, replica: Replica) -> None:
        """Have `replica` found by how full it is; to be called whenever that has changed."""
        replica_id = replica.replica_id
        if not replica.has_free_slot:
            self._offered.pop(replica_id, None)
            return
        occupancy = replica.occupied_blocks / max(replica.kv_blocks, 1)
        if self._offered.get(replica_id) != occupancy:
            self._offered[replica_id] = occupancy
            heapq.heappush(self._by_occupancy, (occupancy, replica_id))

    def _emptiest(self, besides: Replica | None) -> Replica | None:
        """The least occupied replica with a free slot, of all but one."""
        heap = self._by_occupancy
        aside: tuple[float, ReplicaId] | None = None
        while heap:
            occupancy, replica_id = heap[0]
            if self._offered.get(replica_id) != occupancy:
                heapq.heappop(heap)  # it has changed since
            elif besides is not None and replica_id == besides.replica_id:
                aside = heapq.heappop(heap)
            else:
                break
        found = self.replicas[heap[0][1]] if heap else None
        if aside is not None:
            heapq.heappush(heap, aside)
        return found


def _is_held(hold: tuple[float, int, Program, PlacedContext]) -> bool:
    """Whether a hold still stands: no call has come for its branch, and it is still counted."""
    until, _, _, context = hold
    return context.is_counted and context.held_until == until
