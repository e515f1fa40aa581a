"""What orders share that leave everything else to `ByOccupancy`."""

from __future__ import annotations

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext


class WithinOccupancy:
    """The default in all but the rank, which whoever derives from it says."""

    def __init__(self, *, patience_s: float) -> None:
        self.admission = ByOccupancy(patience_s=patience_s)
        self.patience_s = self.admission.patience_s
        self.touches = self.admission.touches
        self.limits_batches = self.admission.limits_batches
        self.guarded_places = self.admission.guarded_places

    def short_to_enter(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        return self.admission.short_to_enter(replica, call, needed_blocks)

    def short_to_grow(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        return self.admission.short_to_grow(replica, call, needed_blocks)

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        return self.admission.hold_until(context, pause, replica, outlook, now)

    def move_at(self, call: Call, home: Replica, outlook: Outlook) -> float:
        return self.admission.move_at(call, home, outlook)
