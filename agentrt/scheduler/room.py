"""`Room`: who must give way on a replica, and how long contexts between calls are kept."""

from __future__ import annotations

import math
from collections.abc import Callable

from agentrt.scheduler.absences import Absences
from agentrt.scheduler.actions import SchedulerAction
from agentrt.scheduler.events import ReplicaId
from agentrt.scheduler.fleet import Fleet
from agentrt.scheduler.holds import Holds
from agentrt.scheduler.keeping import Keeping
from agentrt.scheduler.lines import Lines
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import UNGUARDED, Policy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext, Program


class Room:
    """Makes room on replicas: contexts between calls give way, the one whose hold ends first first.

    Attributes:
        has_new_holds: When the next hold ends may have changed since that was last looked at.
    """

    def __init__(self, policy: Policy, outlook: Outlook, fleet: Fleet, lines: Lines) -> None:
        self.has_new_holds = False
        self._policy = policy
        self._outlook = outlook
        self._fleet = fleet
        self._lines = lines
        self._holds = Holds()
        self._holds_of: dict[ReplicaId, Holds] = {}
        self._keeping = Keeping()
        self._absences = Absences(outlook)

    # -- contexts between calls --------------------------------------------------------------

    def pause(self, context: PlacedContext, pause: Pause, now: float) -> None:
        """The call on `context` has ended: from now on it is kept only for so long."""
        context.pause = pause
        pause.placed = context
        replica = self._fleet.home(context.program)
        if replica is not None and context.is_counted:
            self._hold(context, pause, replica, now)
            self._fleet.mark(replica)

    def pause_changed(self, pause: Pause, now: float) -> None:
        """What is known of a pause has changed: how long its context is kept is asked again."""
        context = pause.placed
        if context is None or context.pause is not pause or not context.is_counted:
            return
        replica = self._fleet.home(context.program)
        if replica is not None:
            self._hold(context, pause, replica, now)
            self.has_new_holds = True
            if context.held_until is not None and context.held_until <= now:
                self._fleet.mark(replica)

    def give_up_holds(self, program: Program) -> None:
        """Count the branches of `program` no more that no call is under way on."""
        replica = self._fleet.home(program)
        idle = [context for context in program.contexts if context.held_until is not None]
        if replica is None or not idle:
            return
        for context in idle:
            replica.drop(program, context)
        self._keeping.let_go(program, replica)
        if not program.has_place:
            self._lines.send_outside(program, replica)
        self._fleet.mark(replica)

    def take_back(self, program: Program, replica: Replica) -> None:
        """`program` needs no place on `replica` any more."""
        replica.unplace(program)
        self._keeping.let_go(program, replica)
        self._fleet.mark(replica)

    def lose(self, replica: Replica) -> None:
        """`replica` is gone, and all places on it."""
        for program in list(replica.placed.values()):
            replica.unplace(program)
        self._holds_of.pop(replica.replica_id, None)
        self._keeping.forget(replica)

    def unpin(self, call: Call, replica: Replica) -> None:
        """What `call` went on from need not be held any more: the call itself refers to it, or did."""
        if call.was_pinned:
            call.was_pinned = False
            self._keeping.let_go(call.program, replica)

    def keep(self, now: float) -> list[SchedulerAction]:
        """What is to be done to replicas' caches. To be done before calls come that evict there."""
        while (due := self._absences.due(now)) is not None:
            self._bring_back(*due, now)
        return self._keeping.actions(self._fleet.take_seen())

    @property
    def has_news(self) -> bool:
        """Whether there is something to do or to look at again."""
        return self.has_new_holds or self._keeping.has_news

    def next_return_at(self) -> float | None:
        """When the first of those that had to give way is to be computed again."""
        return self._absences.next_at()

    def next_hold_end_at(self, now: float) -> float | None:
        """When the next hold ends. Those that are over are found by whoever needs the room."""
        self.has_new_holds = False
        return self._holds.next_end_at(now)

    # -- making room -------------------------------------------------------------------------

    def to_enter(self, replica: Replica, call: Call, now: float) -> bool:
        """Whether the program of `call` may have a place on `replica` now; others have given way."""
        policy, chain, program = self._policy, call.chain, call.program
        tenants = self._lines.entering
        # Mostly there is no room even for nothing: then its prompt need not be looked at.
        is_full = policy.short_to_enter(replica, call, 0) > 0
        if is_full and tenants.is_single and not program.is_urgent(now):
            end_at = self._holds_on(replica).first_end_at()
            if end_at is None or end_at > now:
                return False
        while (short := policy.short_to_enter(replica, call, replica.needed_blocks(chain))) > 0:
            if self._give_way(replica, short, now, until=now):
                continue
            # What a tenant that has had more keeps between calls does not keep one out that had less.
            if self._looks_at_tenants() and self._give_way(
                replica,
                short,
                now,
                until=math.inf,
                is_spared=lambda context: not tenants.is_less_served(program, context.program),
            ):
                continue
            if not (program.is_urgent(now) and self._send_back_last(replica, call)):
                return False
        return True

    def _looks_at_tenants(self) -> bool:
        return not self._lines.entering.is_single and self._policy.guarded_places < UNGUARDED

    def to_grow(self, replica: Replica, call: Call, now: float) -> bool:
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
            may_send_back = program.is_urgent(now) or not replica.running
            if not (may_send_back and self._send_back_last(replica, call)):
                # What runs will end; and a call that is alone goes, whatever it needs.
                return not replica.running
        return True

    def _hold(self, context: PlacedContext, pause: Pause, replica: Replica, now: float) -> None:
        until = self._policy.hold_until(context, pause, replica, self._outlook, now)
        self._holds.add(context, until)
        self._holds_on(replica).add(context, until)
        replica.active.touch(context.program)
        if self._policy.touches and not pause.is_last and until > now:
            self._keeping.keep(context, replica)

    def _holds_on(self, replica: Replica) -> Holds:
        return self._holds_of.setdefault(replica.replica_id, Holds())

    def _bring_back(self, pause: Pause, replica: Replica, now: float) -> None:
        """Have a program's context computed again shortly before its tool returns, if there is room.

        And if nobody waits: then nothing is taken from anybody.
        """
        is_gone = self._fleet.replicas.get(replica.replica_id) is not replica  # maybe up again
        if is_gone or self._lines.entering.first() is not None:
            return
        program = pause.program
        if replica.replica_id in self._fleet.avoided(program):
            return
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
        holds = self._holds_on(replica)
        context = holds.pop(until, is_spared)
        if context is None:
            return False
        pause, placed_blocks = context.pause, context.placed_blocks
        if replica.trim(context, blocks):
            holds.add(context, context.held_until or 0.0)
        elif not context.program.has_place:
            self._lines.send_outside(context.program, replica)
            if pause is not None and self._policy.touches:
                self._absences.add(pause, replica, placed_blocks, now)
        self._keeping.let_go(context.program, replica)
        self._fleet.mark(replica)
        return True

    def _send_back_last(self, replica: Replica, first: Call) -> bool:
        """Of the programs that wait to go on, take the place of the one that would go last.

        Only asked where nothing is running, or for a program with a deadline: that takes it only
        from one without.
        """
        others = [
            call
            for program in replica.placed.values()
            if program is not first.program and not (replica.running and program.is_bound)
            for call in program.calls.values()
            if call.call_id in replica.returning
        ]
        if not others:
            return False
        last = max(others, key=lambda c: (replica.returning.rank(c.call_id), c.program.sequence))
        replica.unplace(last.program)
        self._keeping.let_go(last.program, replica)
        self._fleet.offer(replica)
        self._lines.send_outside(last.program, replica)
        return True
