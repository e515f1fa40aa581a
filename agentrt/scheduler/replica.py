"""`Replica`: one server as the scheduler sees it: what runs there, and who has a place."""

from __future__ import annotations

import math

from agentrt.ir.prefix import Chain, block_count, first_blocks, shared_blocks
from agentrt.scheduler.active_programs import ActivePrograms
from agentrt.scheduler.decoding import Decoding
from agentrt.scheduler.duty import Duty
from agentrt.scheduler.events import CallId, ProgramId, ReplicaId
from agentrt.scheduler.followers import Followers
from agentrt.scheduler.radix import RadixCache
from agentrt.scheduler.recent_mean import RecentMean
from agentrt.scheduler.shadow import Shadow
from agentrt.scheduler.state import Call, CallPhase, PlacedContext, Program
from agentrt.scheduler.waiting import WaitingCalls

_UNBOUNDED = 1 << 62
_GROWTHS_REMEMBERED = 64
_GROWTHS_KNOWN, _ANSWERS_KNOWN = 8, 32
_SHRINK, _GROW, _LEAST_SHARE = 0.25, 0.002, 0.1


class Replica:
    """One server.

    Attributes:
        running: Calls that were sent and have not ended.
        placed: Programs that have a place: their contexts are counted in `occupied_blocks`.
        active: Those of them that have a call under way, or are expected back in their holds.
        with_deadlines: Those of them that have a deadline, and when it is.
        returning: Calls of programs with a place that wait for room to grow.
        contexts: How many branches `placed` programs have in all.
        duty: How much of their time its programs compute.
        shadow: What its cache holds; None: not known, or no concern of ours.
        followers: Calls that wait for another one here to compute what they share with it.
        share: The part of the cache that calls find their blocks in: all of it, unless answers say
            that blocks were lost which should have been there, to traffic that is not ours, say.
        foreign_blocks: Blocks that calls of others are at work on, as the server reports.
    """

    def __init__(
        self,
        replica_id: ReplicaId,
        kv_blocks: int | None,
        max_running: int | None = None,
        *,
        takes_holds: bool = False,
    ) -> None:
        self.replica_id = replica_id
        self.kv_blocks = _UNBOUNDED if kv_blocks is None else kv_blocks
        self.takes_holds = takes_holds
        self.max_running = max_running
        self.running: dict[CallId, Call] = {}
        self.placed: dict[ProgramId, Program] = {}
        self.active = ActivePrograms(self.placed)
        self.with_deadlines: dict[ProgramId, float] = {}
        self.returning = WaitingCalls()
        self._prompt_growth = RecentMean(_GROWTHS_REMEMBERED)
        self._answer_growth = RecentMean(_GROWTHS_REMEMBERED)
        self.contexts = 0
        self.followers = Followers()
        self._decoding = Decoding()
        self.duty = Duty()
        self.share = 1.0
        self.foreign_blocks = 0.0
        self.shadow = None if kv_blocks is None else Shadow(kv_blocks)
        # The contexts of programs with a place, shared prefixes once. Its capacity never binds.
        self._contexts = RadixCache(_UNBOUNDED)

    @property
    def occupied_blocks(self) -> int:
        """Blocks that programs with a place need, shared prefixes counted once."""
        return self._contexts.used_blocks

    @property
    def capacity_blocks(self) -> float:
        """Blocks that there are for our programs, as far as is known."""
        return max(0.0, self.kv_blocks * self.share - self.foreign_blocks)

    @property
    def turn_growth(self) -> float:
        """By how many blocks a branch grows in a turn, lately: what tools have said, and the answer."""
        return self._prompt_growth.mean + self._answer_growth.mean

    def likely_growth(self, first_blocks: int) -> float:
        """The same, of programs that begin with `first_blocks`.

        While few have gone on here, turns are taken to add as much as that: calls that stand alone
        tell little of those that go on.
        """
        grown, answered = self._prompt_growth, self._answer_growth
        known = max(grown.count / _GROWTHS_KNOWN, answered.count / _ANSWERS_KNOWN)
        lacking = max(first_blocks - grown.mean, 0.0)
        return self.turn_growth + max(1.0 - known, 0.0) * lacking

    @property
    def has_free_slot(self) -> bool:
        return self.max_running is None or len(self.running) < self.max_running

    @property
    def has_idle_contexts(self) -> bool:
        """Whether there are branches with a place that no call is under way or waits on."""
        return self.contexts > len(self.running) + len(self.returning) + len(self.followers)

    def needed_blocks(self, chain: Chain) -> int:
        """Blocks of `chain` that no program with a place has already."""
        return block_count(chain) - self._contexts.match(chain)

    def place(self, program: Program, chain: Chain) -> PlacedContext:
        """Give `program` a place, or let the one it has grow: `chain` counts from here on.

        What was counted of the branch that `chain` goes on with is counted as part of it.
        """
        self._contexts.insert(chain)
        context = PlacedContext(program, chain, self._contexts.acquire(chain))
        earlier = self.branch_of(program, chain)
        if earlier is not None:
            context.grown_blocks = max(0, context.reference.blocks - earlier.placed_blocks)
            self._give_up(program, earlier)
        context.placed_blocks = context.prompt_blocks = context.reference.blocks
        context.own_blocks = context.reference.exclusive_blocks
        program.contexts.append(context)
        self.contexts += 1
        self.active.touch(program)
        self.placed[program.program_id] = program
        if program.deadline_at is not None:
            self.with_deadlines[program.program_id] = program.deadline_at
        program.replica_id = self.replica_id
        program.has_place = True
        return context

    def send(self, call: Call, now: float) -> None:
        """`call` is at work here from now on, and its program has a place."""
        self.duty.until(now, len(self.running), self.active.count(now))
        kept = call.context
        kept_blocks = kept.reference.blocks if kept is not None and kept.is_counted else 0
        call.context = self.place(call.program, call.chain)
        if call.context.grown_blocks is not None:
            self._prompt_growth.add(call.context.grown_blocks)
        self.running[call.call_id] = call
        call.phase, call.replica_id, call.sent_at = CallPhase.SENT, self.replica_id, now
        if self.shadow is not None:
            cached = self.shadow.cached_blocks(call.chain)
            call.kept_blocks = min(kept_blocks, cached)
            call.computed_blocks = block_count(call.chain) - cached
            call.shadow_reference = self.shadow.send(call.chain)
            self.shadow.reserve(self._answer_growth.mean * len(self.running))
            self.followers.sent(call, cached)

    def first_token(self, call: Call, now: float) -> None:
        """The prompt of `call` is computed."""
        self.followers.tells_first_tokens = True
        self._decoding.begin(call.call_id, call.computed_blocks, now)

    def end(self, call: Call, now: float, context: Chain | None) -> None:
        """`call` is over; `context`: what the cache holds of it, None if it came to no answer."""
        self.duty.until(now, len(self.running), self.active.count(now))
        call.decoded = self._decoding.end(call.call_id, now)
        del self.running[call.call_id]
        if context is not None:
            prompt_blocks = block_count(call.chain)
            call.context = self.place(call.program, context)
            call.context.prompt_blocks = min(prompt_blocks, call.context.placed_blocks)
            grown = call.context.placed_blocks - prompt_blocks
            self._answer_growth.add(grown)
        if self.shadow is not None and call.shadow_reference is not None:
            self.shadow.reserve(self._answer_growth.mean * len(self.running))
            self.shadow.end(call.shadow_reference, context)

    def learn(self, cost: float) -> None:
        """A call went on from a branch that was kept, and had to compute `cost` of its time again.

        The cache is smaller for us than it is said to be, if that happens: the share falls by a
        quarter for a call that did nothing else, and rises slowly with those that lost nothing.
        """
        share = self.share * (1.0 - _SHRINK * min(cost, 1.0)) if cost > 0.0 else self.share + _GROW
        share = min(max(share, _LEAST_SHARE), 1.0)
        if self.shadow is not None and share != self.share:
            self.share = share
            self.shadow.resize(self.capacity_blocks)

    def reported(self, used_blocks: int, running: int) -> None:
        """The server says how many blocks calls are at work on there, and how many calls."""
        if self.shadow is None:
            return
        is_shared = running > len(self.running)
        others = max(0, used_blocks - self.shadow.in_use_blocks) if is_shared else 0
        self.foreign_blocks = min(float(others), float(self.kv_blocks))
        self.shadow.resize(self.capacity_blocks)

    def resize(self, kv_blocks: int) -> None:
        """Its cache has room for so many blocks. Does nothing where that is no concern of ours."""
        if self.shadow is not None:
            self.kv_blocks = kv_blocks
            self.shadow.resize(self.capacity_blocks)

    def branch_of(self, program: Program, chain: Chain) -> PlacedContext | None:
        """The branch that `chain` goes on with, if there is one.

        It begins with the whole prompt of that branch's last call, but not always with its answer:
        chat templates leave out what a model thought.
        """
        found: PlacedContext | None = None
        longest = -1
        for context in program.contexts:
            shared = shared_blocks(context.chain, chain)
            if shared > longest and shared >= min(context.prompt_blocks, context.reference.blocks):
                found, longest = context, shared
        return found

    def drop(self, program: Program, context: PlacedContext) -> None:
        """Count one branch no more; without calls and branches the program has no place."""
        self._give_up(program, context)
        if not program.contexts:
            program.has_place = False
            self.placed.pop(program.program_id, None)
            self.with_deadlines.pop(program.program_id, None)

    def trim(self, context: PlacedContext, blocks: float) -> bool:
        """Count `blocks` blocks less at the end of a branch; False if it is given up.

        So it is when less than half would be left of what it alone needs: its program may then be
        better off elsewhere. Blocks that others need as well are counted as long as they do.
        """
        kept = context.reference.blocks - blocks
        exclusive = context.reference.exclusive_blocks
        if exclusive - blocks < context.own_blocks / 2 or kept < 1:
            self.drop(context.program, context)
            return False
        chain = first_blocks(context.chain, math.floor(kept))
        reference = self._contexts.acquire(chain)
        self._contexts.release(context.reference)
        self._contexts.evict(self._contexts.evictable_blocks)
        context.chain, context.reference = chain, reference
        if context.claim is not None and self.shadow is not None:
            context.claim.owner = None
            context.claim = self.shadow.hold(context)
        return True

    def unplace(self, program: Program) -> None:
        """Take the place back; what it alone needed is free."""
        for context in list(program.contexts):
            self.drop(program, context)

    def _give_up(self, program: Program, context: PlacedContext) -> None:
        program.contexts.remove(context)
        self.contexts -= 1
        self.active.touch(program)
        context.is_counted = False
        context.resume()
        self._contexts.release(context.reference)
        self._contexts.evict(self._contexts.evictable_blocks)
