"""`BatchLimit`: no more calls at once than end programs sooner."""

from __future__ import annotations

from agentrt.scheduler.fleet import Fleet
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import Policy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call
from agentrt.scheduler.tenants import TenantQueues

_LEAST_RUNNING = 2
_LEAST_DRAINED = 1e-3
# A replica that nothing is known of gets few calls, and one more with each that it has answered.
_FIRST_RUNNING, _WELL_KNOWN = 4, 32


class BatchLimit:
    """Where an engine is bound by computing, a further call at once only makes the others slower.

    Programs then end sooner, in the mean, if they begin one after another. Only who enters is held
    back: calls of programs with a place go on.
    """

    def __init__(
        self, policy: Policy, outlook: Outlook, fleet: Fleet, entering: TenantQueues
    ) -> None:
        self._policy = policy
        self._outlook = outlook
        self._fleet = fleet
        self._entering = entering

    def is_enough(self, replica: Replica, call: Call, now: float) -> bool:
        """Whether all programs end sooner if that of `call` does not begin to compute there now.

        Where all of them fit the cache to their ends it is not asked: there nobody waits.
        """
        if not (self._policy.limits_batches and replica.running):
            return False
        batches = self._outlook.estimates.batches(replica.replica_id)
        # Of those that are neither here nor wait, nobody knows whether they come back.
        active = replica.active.count(now)
        waiting = self._entering.calls / len(self._fleet.replicas)
        programs = active + waiting
        prefill_s = self._outlook.prefill_s(replica.replica_id, *batches.mean_prompt)
        # Where others come for those that end, what counts is how many end in a time.
        backlog = programs / max(1.0 - self._entering.replaced, _LEAST_DRAINED)
        worth = max(batches.worth_running(backlog, prefill_s), _LEAST_RUNNING)
        duty = replica.duty.part
        if batches.observed < _WELL_KNOWN:
            worth = min(worth, _FIRST_RUNNING + batches.observed)
            duty = 1.0
        running = (active + 1) * duty
        return running > worth and self._will_overflow(replica, call, active, waiting)

    def _will_overflow(self, replica: Replica, call: Call, active: int, waiting: float) -> bool:
        """Whether the contexts of so many programs, at their ends, outgrow the cache."""
        entering_blocks = replica.needed_blocks(call.chain)
        growth_blocks = replica.likely_growth(entering_blocks)
        turns = self._outlook.estimates.turns.left(call.program.workflow, 1)
        now_blocks = replica.occupied_blocks + waiting * entering_blocks
        grown_blocks = (active + waiting) * turns * growth_blocks
        return now_blocks + grown_blocks > replica.capacity_blocks
