"""`ByOccupancy`: as many programs at once as their contexts fit into the KV cache."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program


@dataclass(frozen=True, slots=True, kw_only=True)
class ByOccupancy:
    """Admission by KV occupancy, order by service attained, both within bounds.

    Attributes:
        headroom: Share of the cache kept free of newcomers.
        growth_turns: Turns' worth of growth kept free for each program with a place, as measured on
            the replica: programs that grow by leaps get fewer places.
        attained_weight: Seconds of rank for each second of engine time that a program has had
            (Autellix's least attained service, as a bounded handicap); 0: program FCFS.
        patience_s: The largest handicap, and how long a call that does not fit is overtaken: so no
            call waits behind one that became ready `2 * patience_s` after it.
        hold_limit_s: How long a program between calls keeps its place while others wait.
        move_after_s: How long a program without a place waits for the replica that has its blocks.
    """

    headroom: float = 0.05
    growth_turns: float = 2.5
    attained_weight: float = 0.0
    patience_s: float = 60.0
    hold_limit_s: float = 10.0
    move_after_s: float = 2.0
    name: str = "occupancy"

    def rank(self, call: Call, now: float) -> float:
        handicap_s = self.attained_weight * call.program.attained_s
        return call.program.arrived_at + min(handicap_s, self.patience_s)

    def has_room(self, replica: Replica, needed_blocks: int) -> bool:
        if not replica.placed:
            return True  # alone, a program goes whatever it needs
        limit = replica.kv_blocks * (1.0 - self.headroom)
        turn_blocks = 2.0 * replica.growth_blocks  # what tools have said, and the answer
        growth_blocks = turn_blocks * self.growth_turns * (len(replica.placed) + 1)
        return replica.occupied_blocks + needed_blocks + growth_blocks <= limit

    def may_grow(self, replica: Replica, needed_blocks: int) -> bool:
        return replica.occupied_blocks + needed_blocks <= replica.kv_blocks

    def hold_s(self, program: Program, replica: Replica, now: float) -> float:
        return self.hold_limit_s

    def move_at(self, call: Call, home: Replica) -> float:
        return call.ready_at + self.move_after_s
