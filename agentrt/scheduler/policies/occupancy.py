"""`ByOccupancy`: as many programs at once as their contexts fit into the KV cache. The default."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext, Program

_DEADLINE_PRICE = 0.1  # of what space costs others, for a program that can be in time
_FIRST_TURN_S = 3.0  # engine time of a turn, of a program that has made none yet


@dataclass(frozen=True, slots=True, kw_only=True)
class ByOccupancy:
    """Admission by KV occupancy, holds by what they are worth, order by arrival within bounds.

    docs/scheduling.md has the formulas, and what the result is without each of them.

    Attributes:
        headroom: Share of the cache kept free of newcomers.
        growth_turns: Turns' worth of growth kept free for each branch with a place, as measured on
            the replica: programs that grow by leaps get fewer places.
        grow_headroom: Share of the cache kept free where contexts between calls are, which an engine
            would evict for the calls that run.
        patience_s: How much earlier or later than its arrival a program is ranked at most, and how
            long a call that does not fit is overtaken: so no call waits behind one that became
            ready `2 * patience_s` after it.
        space_price: What the space of one context is worth while others wait, as a share of the
            engine's time for each of its running calls; 0: nothing.
        least_hold_s: How long a context is kept at least: who calls a tool says so in this time.
        hold_limit_s: How long a context is kept at most while others wait.
        move_factor: How long a program without a place waits for the replica that has its prefix, as a
            multiple of the time that the prefix takes to compute.
        attained_weight: Seconds of rank for each second of engine time that a program has had
            (Autellix's least attained service); 0: by arrival.
        guarded_places: Programs at once on a replica that has one of a light tenant.
        touches: Whether contexts that are held are used again before an engine evicts them.
        limits_batches: Whether programs enter only while a further call at once ends them sooner.
    """

    headroom: float = 0.05
    growth_turns: float = 1.5
    grow_headroom: float = 0.1
    patience_s: float = 60.0
    space_price: float = 0.5
    least_hold_s: float = 0.1
    hold_limit_s: float = 300.0
    move_factor: float = 1.0
    attained_weight: float = 0.0
    touches: bool = True
    limits_batches: bool = True
    guarded_places: int = 2
    name: str = "occupancy"

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        program = call.program
        handicap_s = self.attained_weight * program.attained_s - self._urgency_s(
            program, outlook, now
        )
        return program.arrived_at + min(max(handicap_s, -self.patience_s), self.patience_s)

    def short_to_enter(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        if not replica.placed:
            return 0.0  # alone, a program goes whatever it needs
        limit = replica.capacity_blocks * (1.0 - self.headroom)
        growth_blocks = replica.turn_growth * self.growth_turns * (replica.contexts + 1)
        return replica.occupied_blocks + needed_blocks + growth_blocks - limit

    def short_to_grow(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        margin = self.grow_headroom if replica.has_idle_contexts else 0.0
        return replica.occupied_blocks + needed_blocks - replica.capacity_blocks * (1.0 - margin)

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        if pause.is_last:
            return now
        blocks = context.reference.exclusive_blocks
        rebuild_s = outlook.rebuild_s(replica.replica_id, blocks, context.reference.blocks)
        mean_blocks = replica.occupied_blocks / max(1, replica.contexts)
        price = self.space_price * blocks / max(mean_blocks, 1.0) / max(1, len(replica.running))
        if context.program.is_urgent(now):
            price *= _DEADLINE_PRICE
        wait, since = outlook.wait(pause)
        comes = outlook.goes_on(pause)
        until = since + wait.worth_waiting(price / max(rebuild_s, 1e-9), comes=comes)
        return max(min(until, since + self.hold_limit_s), pause.ended_at + self.least_hold_s)

    def move_at(self, call: Call, home: Replica, outlook: Outlook) -> float:
        if home.shadow is None:
            return call.ready_at
        cached = home.shadow.cached_blocks(call.chain)
        rebuild_s = outlook.rebuild_s(home.replica_id, cached, cached)
        return call.ready_at + self.move_factor * rebuild_s

    def _urgency_s(self, program: Program, outlook: Outlook, now: float) -> float:
        """How much earlier than by its arrival a program with a deadline goes.

        The less time it has to spare, below the patience. One that can make it no more goes later
        than by its arrival, and displaces nobody who can.
        """
        if program.deadline_at is None:
            return 0.0
        spare_s = program.deadline_at - now - outlook.left_s(program, _FIRST_TURN_S)
        return max(0.0, self.patience_s - spare_s) if spare_s >= 0.0 else -self.patience_s
