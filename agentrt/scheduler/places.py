"""`Places`: who has a place on which replica, who waits for one, and who must give one up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from agentrt.errors import InvariantError
from agentrt.ir.prefix import Chain
from agentrt.scheduler.absences import Absences
from agentrt.scheduler.actions import SchedulerAction
from agentrt.scheduler.events import ReplicaId
from agentrt.scheduler.guards import Guards
from agentrt.scheduler.holds import Holds
from agentrt.scheduler.keeping import Keeping
from agentrt.scheduler.occupancies import Occupancies
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import Policy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext, Program
from agentrt.scheduler.tenants import TenantQueues
from agentrt.scheduler.waiting import Rank

LOOKAHEAD = 4
"""How many of the first waiting calls are tried when room comes up; bounds the cost of an event."""

_LOOKAHEAD_HERE = 16  # of those that wait on a replica where some are held back
_NOTABLE_BLOCKS = 16  # of what was kept for a call, for it to tell something
_NOTABLE_LOSS = 0.25


class Places:
    """The places of all replicas, and the calls that wait.

    Attributes:
        replicas: Those that are up.
        entering: Calls of programs without a place.
    """

    def __init__(
        self, policy: Policy, outlook: Outlook, *, tenant_weights: Mapping[str, float]
    ) -> None:
        self.replicas: dict[ReplicaId, Replica] = {}
        self.entering = TenantQueues(tenant_weights)
        self._policy = policy
        self._outlook = outlook
        self._holds = Holds()
        self._holds_of: dict[ReplicaId, Holds] = {}
        self._keeping = Keeping()
        self._absences = Absences(outlook)
        self._guards = Guards(policy, self.entering)
        self._occupancies = Occupancies(self.replicas)
        self._changed: dict[ReplicaId, None] = {}
        self._changes = 0
        self._changed_at: dict[ReplicaId, int] = {}
        self._has_newcomers = False
        self._has_new_holds = False
        self._must_retry = False
        self._yielded: set[ReplicaId] = set()
        self._wake_at: float | None = None

    # -- replicas ----------------------------------------------------------------------------

    def add(self, replica: Replica) -> None:
        if replica.replica_id in self.replicas:
            raise InvariantError(f"replica {replica.replica_id!r} came up twice")
        self.replicas[replica.replica_id] = replica
        self._holds_of[replica.replica_id] = Holds()
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
        self._occupancies.remove(replica_id)
        self._must_retry = True  # who waited for its blocks there may go anywhere now
        return replica

    def reported(self, replica_id: ReplicaId, used_blocks: int, running: int) -> None:
        """A server says how many blocks calls are at work on there, and how many calls."""
        replica = self.known(replica_id)
        replica.reported(used_blocks, running)
        self._mark(replica)

    def replica_of(self, call: Call) -> Replica | None:
        return None if call.replica_id is None else self.replicas.get(call.replica_id)

    # -- calls and programs ------------------------------------------------------------------

    def wait(self, call: Call, now: float) -> None:
        """`call` wants to go. The branch that it goes on with is kept for it."""
        home = self._home(call.program)
        if call.program.has_place and home is not None:
            call.context = home.branch_of(call.program, call.chain)
            if call.context is not None:
                call.was_pinned = call.context.is_pinned
                call.context.resume()
        self._join(call, self._policy.rank(call, self._outlook, now))

    def leave(self, call: Call, context: Chain | None = None) -> None:
        """`call` does not want to go any more, or has gone and come back with `context`."""
        replica = self.replica_of(call)
        if replica is not None and call.call_id in replica.running:
            replica.end(call, context)
            self._release_followers(call, replica)
            self._mark(replica)
        if call in self.entering:
            self.entering.remove(call)
            self._has_newcomers = True  # whom it kept back may go now
        home = self._home(call.program)
        if home is not None:
            home.returning.remove(call.call_id)
            home.followers.remove(call.call_id)
            self._unpin(call, home)

    def first_token(self, call: Call) -> None:
        """The prompt of `call` is computed: those that were to find it there may go."""
        replica = self.replica_of(call)
        if replica is not None:
            replica.followers.tells_first_tokens = True
            self._release_followers(call, replica)
            self._unpin(call, replica)

    def learn(self, call: Call, cached_blocks: float, now: float) -> None:
        """The answer to `call` says how many blocks of its prompt were found in the cache."""
        replica = self.replica_of(call)
        if replica is None or call.kept_blocks < _NOTABLE_BLOCKS or call.sent_at is None:
            return
        lost = call.kept_blocks - cached_blocks
        if lost < call.kept_blocks * _NOTABLE_LOSS:
            replica.learn(0.0)
            return
        again_s = self._outlook.rebuild_s(replica.replica_id, lost, call.kept_blocks)
        replica.learn(again_s / max(now - call.sent_at, 1e-6))

    def pause(self, context: PlacedContext, pause: Pause, now: float) -> None:
        """The call on `context` has ended: from now on it is kept only for so long."""
        context.pause = pause
        pause.placed = context
        replica = self._home(context.program)
        if replica is not None and context.is_counted:
            self._hold(context, pause, replica, now)
            self._mark(replica)

    def pause_changed(self, pause: Pause, now: float) -> None:
        """What is known of a pause has changed: how long its context is kept is asked again."""
        context = pause.placed
        if context is None or context.pause is not pause or not context.is_counted:
            return
        replica = self._home(context.program)
        if replica is not None:
            self._hold(context, pause, replica, now)
            self._has_new_holds = True
            if context.held_until is not None and context.held_until <= now:
                self._mark(replica)

    def give_up_holds(self, program: Program) -> None:
        """Count the branches of `program` no more that no call is under way on."""
        replica = self._home(program)
        idle = [context for context in program.contexts if context.held_until is not None]
        if replica is None or not idle:
            return
        for context in idle:
            replica.drop(program, context)
        self._keeping.let_go(program, replica)
        if not program.has_place:
            self._send_outside(program, replica)
        self._mark(replica)

    def take_back(self, program: Program) -> None:
        """`program` needs no place any more."""
        replica = self._home(program)
        if program.has_place and replica is not None:
            replica.unplace(program)
            self._keeping.let_go(program, replica)
            self._mark(replica)

    def is_waiting(self, call: Call) -> bool:
        home = self._home(call.program)
        waits = [call in self.entering]
        if home is not None:
            waits += [call.call_id in home.returning, call.call_id in home.followers]
        return waits.count(True) == 1

    # -- filling -----------------------------------------------------------------------------

    def is_quiet(self, now: float) -> bool:
        """Whether nothing has changed since it was last asked what to do, and no time has come."""
        has_news = self._changed or self._has_newcomers or self._must_retry or self._has_new_holds
        is_due = self._wake_at is not None and now >= self._wake_at
        return not (has_news or is_due or self._keeping.has_news)

    def fill(self, now: float) -> list[tuple[Call, Replica]]:
        """Calls to send now, and where to."""
        sent: list[tuple[Call, Replica]] = []
        is_due = self._must_retry or (self._wake_at is not None and now >= self._wake_at)
        self._must_retry = False
        self._yielded.clear()
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

    def keep(self, now: float) -> list[SchedulerAction]:
        """What is to be done to replicas' caches. To be done before calls come that evict there."""
        while (due := self._absences.due(now)) is not None:
            self._bring_back(*due, now)
        return self._keeping.actions()

    def wake_at(self, now: float) -> float | None:
        """When something changes by itself; None if nothing does, or as was said before."""
        self._has_new_holds = False
        head = self.entering.first()
        at = math.inf
        if head is None:
            returns_at = self._absences.next_at()
            at = math.inf if returns_at is None else returns_at
        if head is not None:
            # Holds that are over need no waking: whoever needs the room finds them.
            hold_end_at = self._holds.next_end_at(now)
            at = math.inf if hold_end_at is None else hold_end_at
            guard_end_at = self._guards.next_end_at(now)
            at = at if guard_end_at is None else min(at, guard_end_at)
            home = self._home(head.program)
            if home is not None and head.move_at > now:
                at = min(at, head.move_at)
        wake_at = at if now < at < math.inf else None
        is_news = wake_at is not None and wake_at != self._wake_at
        self._wake_at = wake_at
        return wake_at if is_news else None

    def check(self) -> None:
        """Raises `InvariantError` if a count is off."""
        for replica in self.replicas.values():
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

    def _return(self, replica: Replica, now: float) -> Iterator[tuple[Call, Replica]]:
        """Calls of programs with a place that may go on, first ones first."""
        while replica.has_free_slot:
            call = self._first_to_return(replica, now)
            if call is None:
                return
            leader = replica.followers.leader(call, replica.running.values())
            if leader is not None:
                rank = replica.returning.rank(call.call_id)
                replica.returning.remove(call.call_id)
                replica.followers.follow(call, rank, leader)
                continue
            if self._is_overtaken(call, replica, now):
                return
            target: Replica | None = replica
            if not self._make_room_to_grow(replica, call, now):
                target = self._elsewhere(call, replica, now)
            if target is None:
                return
            replica.returning.remove(call.call_id)
            if target is not replica:
                replica.unplace(call.program)
                self._keeping.let_go(call.program, replica)
                self._mark(replica)
            yield self._send(call, target, now)

    def _is_overtaken(self, call: Call, replica: Replica, now: float) -> bool:
        """Whether a call without a place goes before `call`, because slots are what is short.

        Where it is the cache that is short, who has a place goes on first: its blocks are there.
        """
        if replica.max_running is None or len(replica.running) + 1 < replica.max_running:
            return False
        head = self.entering.first()
        if head is None or self.entering.rank(head) >= replica.returning.rank(call.call_id):
            return False
        home = self._home(head.program)
        may_come = home is None or home is replica or now >= head.move_at
        if not may_come or self._guards.refuse(head.program, replica, now):
            return False
        needed = replica.needed_blocks(head.chain)
        has_room = self._policy.short_to_enter(replica, head, needed) <= 0
        if not has_room or replica.replica_id in self._yielded:
            return False
        # It is tried right after this, with the replica's last slot still free; then this is, again.
        self._yielded.add(replica.replica_id)
        self._mark(replica)
        return True

    def _first_to_return(self, replica: Replica, now: float) -> Call | None:
        if not replica.with_deadlines:
            return replica.returning.first()
        for call in replica.returning.firsts(_LOOKAHEAD_HERE):
            if not self._guards.holds_back(call, replica, now):
                return call
        return None

    def _elsewhere(self, call: Call, home: Replica, now: float) -> Replica | None:
        """Another replica with room for a program that cannot go on where it has its place.

        Only for one that is whole in this call: the others of a fan-out share what they have.
        """
        is_whole = len(call.program.calls) == 1 and len(call.program.contexts) <= 1
        if not is_whole or now < self._policy.move_at(call, home, self._outlook):
            return None
        found = self._occupancies.emptiest(home)
        if found is None:
            return None
        short = self._policy.short_to_enter(found, call, found.needed_blocks(call.chain))
        return found if short <= 0 else None

    def _enter(self, now: float, *, is_due: bool) -> Iterator[tuple[Call, Replica]]:
        """Calls of programs without a place that get one, first ones first."""
        while True:
            found = self._first_with_room(now, is_due=is_due)
            if found is None:
                return
            call, replica = found
            self.entering.remove(call)
            self._guards.entered(call.program, replica, now)
            yield self._send(call, replica, now)

    def _first_with_room(self, now: float, *, is_due: bool) -> tuple[Call, Replica] | None:
        is_blocked = False
        for call in self.entering.firsts(LOOKAHEAD):
            if is_blocked and not _is_urgent(call.program, now):
                continue
            if is_due or call.tried_at < self._changes:
                for replica in self._candidates(call, now, is_due=is_due):
                    if self._make_room_to_enter(replica, call, now):
                        return call, replica
                call.tried_at = self._changes
            # It has waited long enough: nothing goes before it any more that has time.
            is_blocked = is_blocked or now - call.ready_at > self._policy.patience_s
        return None

    def _candidates(self, call: Call, now: float, *, is_due: bool) -> Iterator[Replica]:
        """Replicas that may have room for `call` now, and had none when it was tried last."""
        home = self._home(call.program)
        if home is not None:
            if is_due or self._changed_at[home.replica_id] > call.tried_at:
                yield home
            if now < call.move_at:
                return
        preferred = self._guards.preferred(call.program, self.replicas)
        if preferred is not None:
            yield preferred
        emptiest = self._occupancies.emptiest(home)
        if emptiest is None or emptiest is preferred:
            return
        if is_due or self._changed_at[emptiest.replica_id] > call.tried_at:
            yield emptiest

    def _make_room_to_enter(self, replica: Replica, call: Call, now: float) -> bool:
        if not replica.has_free_slot or self._guards.refuse(call.program, replica, now):
            return False
        policy, chain, program = self._policy, call.chain, call.program
        tenants = self.entering
        # Mostly there is no room even for nothing: then its prompt need not be looked at.
        is_full = policy.short_to_enter(replica, call, 0) > 0
        if is_full and tenants.is_single and not _is_urgent(program, now):
            end_at = self._holds_of[replica.replica_id].first_end_at()
            if end_at is None or end_at > now:
                return False
        while (short := policy.short_to_enter(replica, call, replica.needed_blocks(chain))) > 0:
            if self._give_way(replica, short, now, until=now):
                continue
            # What a tenant that has had more keeps between calls does not keep one out that had less.
            if not tenants.is_single and self._give_way(
                replica,
                short,
                now,
                until=math.inf,
                is_spared=lambda context: not tenants.is_less_served(program, context.program),
            ):
                continue
            if not (_is_urgent(program, now) and self._send_back_last(replica, call)):
                return False
        return True

    def _make_room_to_grow(self, replica: Replica, call: Call, now: float) -> bool:
        """A program with a place comes before all that are between calls, and before later ones."""
        policy, chain, program = self._policy, call.chain, call.program
        while (short := policy.short_to_grow(replica, call, replica.needed_blocks(chain))) > 0:
            if self._give_way(
                replica,
                short,
                now,
                until=math.inf,
                is_spared=lambda context: context.program is program and len(program.contexts) == 1,
            ):
                continue
            may_send_back = _is_urgent(program, now) or not replica.running
            if not (may_send_back and self._send_back_last(replica, call)):
                # What runs will end; and a call that is alone goes, whatever it needs.
                return not replica.running
        return True

    def _hold(self, context: PlacedContext, pause: Pause, replica: Replica, now: float) -> None:
        until = self._policy.hold_until(context, pause, replica, self._outlook, now)
        self._holds.add(context, until)
        self._holds_of[replica.replica_id].add(context, until)
        if self._policy.touches and not pause.is_last and until > now:
            self._keeping.keep(context, replica)

    def _bring_back(self, pause: Pause, replica: Replica, now: float) -> None:
        """Have a program's context computed again shortly before its tool returns, if there is room.

        And if nobody waits: then nothing is taken from anybody.
        """
        is_gone = self.replicas.get(replica.replica_id) is not replica  # one of its name may be up
        if is_gone or self.entering.first() is not None:
            return
        program = pause.program
        returning = Call("", program, pause.context, 0, now)
        needed = replica.needed_blocks(pause.context)
        if self._policy.short_to_enter(replica, returning, needed) > 0:
            return
        context = replica.place(program, pause.context)
        self._keeping.prewarm(context, replica)
        self.pause(context, pause, now)

    def _give_way(
        self,
        replica: Replica,
        blocks: float,
        now: float,
        *,
        until: float,
        is_spared: Callable[[PlacedContext], bool] | None = None,
    ) -> bool:
        """Have the branch whose hold ends first, if by `until`, make room of `blocks` blocks.

        It is counted without so many at its end: engines evict the end of a context first. What
        is left of it still keeps its program's place. False if there is no such branch.
        """
        holds = self._holds_of[replica.replica_id]
        context = holds.pop(until, is_spared)
        if context is None:
            return False
        pause, placed_blocks = context.pause, context.placed_blocks
        if replica.trim(context, blocks):
            holds.add(context, context.held_until or 0.0)
        elif not context.program.has_place:
            self._send_outside(context.program, replica)
            if pause is not None and self._policy.touches:
                self._absences.add(pause, replica, placed_blocks, now)
        self._keeping.let_go(context.program, replica)
        self._mark(replica)
        return True

    def _send_back_last(self, replica: Replica, first: Call) -> bool:
        """Of the programs that wait to go on, take the place of the one that would go last.

        Only asked where nothing is running, or for a program with a deadline: that takes it only
        from one without.
        """
        others = [
            call
            for program in replica.placed.values()
            if program is not first.program and not (replica.running and self._is_bound(program))
            for call in program.calls.values()
            if call.call_id in replica.returning
        ]
        if not others:
            return False
        last = max(others, key=lambda c: (replica.returning.rank(c.call_id), c.program.sequence))
        replica.unplace(last.program)
        self._occupancies.offer(replica)
        self._send_outside(last.program, replica)
        return True

    @staticmethod
    def _is_bound(program: Program) -> bool:
        """It has a deadline, or calls at work on its replica."""
        return program.deadline_at is not None or any(
            call.is_sent for call in program.calls.values()
        )

    def _send_outside(self, program: Program, replica: Replica) -> None:
        """A program without a place has its calls wait with the others."""
        for call in program.calls.values():
            if call.call_id in replica.returning:
                rank = replica.returning.rank(call.call_id)
                replica.returning.remove(call.call_id)
                self._join(call, rank)

    def _unpin(self, call: Call, replica: Replica) -> None:
        """What `call` went on from need not be held any more: the call itself refers to it, or did."""
        if call.was_pinned:
            call.was_pinned = False
            self._keeping.let_go(call.program, replica)

    def _release_followers(self, leader: Call, replica: Replica) -> None:
        for call, rank in replica.followers.release(leader.call_id):
            self._join(call, rank)

    def _send(self, call: Call, replica: Replica, now: float) -> tuple[Call, Replica]:
        self._outlook.call_leaves(call, now)
        replica.send(call, now)
        self._occupancies.offer(replica)
        self._keeping.watch(replica)
        self._bring_in(call.program, replica)
        return call, replica

    def _bring_in(self, program: Program, replica: Replica) -> None:
        """A program with a place has all its calls wait there."""
        for call in program.calls.values():
            if call in self.entering:
                rank = self.entering.rank(call)
                self.entering.remove(call)
                replica.returning.add(call, rank)
                self._mark(replica)

    def _join(self, call: Call, rank: Rank) -> None:
        replica = self._home(call.program)
        if call.program.has_place and replica is not None:
            replica.returning.add(call, rank)
            self._mark(replica)
        else:
            if replica is not None:
                call.move_at = self._policy.move_at(call, replica, self._outlook)
            self.entering.add(call, rank)
            self._has_newcomers = True

    def _home(self, program: Program) -> Replica | None:
        return None if program.replica_id is None else self.replicas.get(program.replica_id)

    def _mark(self, replica: Replica) -> None:
        self._changed[replica.replica_id] = None
        self._keeping.watch(replica)
        self._changes += 1
        self._changed_at[replica.replica_id] = self._changes
        self._occupancies.offer(replica)


def _is_urgent(program: Program, now: float) -> bool:
    """It has a deadline that has not passed."""
    return program.deadline_at is not None and now < program.deadline_at
