"""`TenantQueues`: waiting calls of several tenants, the least served tenant's first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from agentrt.scheduler.recent_mean import RecentMean
from agentrt.scheduler.state import Call, Program
from agentrt.scheduler.waiting import Rank, WaitingCalls

_LIGHT_PART = 0.5
_ENDS_REMEMBERED = 16


class _Tenant:
    """One tenant.

    Attributes:
        served_s: Engine time its calls have had, over its weight, lifted to what others had had
            when it came (a virtual token counter, as in VTC, arXiv 2401.00588, and FairServe).
        live: Its programs that have not ended.
    """

    __slots__ = ("live", "name", "sequence", "served_s", "waiting", "weight")

    def __init__(self, name: str, sequence: int, weight: float) -> None:
        self.name = name
        self.sequence = sequence
        self.weight = weight
        self.served_s = 0.0
        self.live = 0
        self.waiting = WaitingCalls()


class TenantQueues:
    """Calls in the order they should go: by tenant, then by rank.

    Only the order of those that wait for a place is between tenants: who has one keeps it. With a
    single tenant this is a `WaitingCalls`.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._tenants: dict[str, _Tenant] = {}
        self._came = 0
        self._by_service: list[tuple[float, int, _Tenant]] = []
        self._floor_s = 0.0
        self._live = 0
        self._weight = 0.0
        self._replaced = RecentMean(_ENDS_REMEMBERED)
        self._has_new = False

    def __contains__(self, call: Call) -> bool:
        return call.call_id in self._of(call).waiting

    @property
    def live(self) -> int:
        """Programs that have not ended, of all tenants."""
        return self._live

    @property
    def calls(self) -> int:
        """That wait here, of all tenants."""
        return sum(len(tenant.waiting) for tenant in self._tenants.values())

    @property
    def replaced(self) -> float:
        """Which part of the programs that ended lately others had come for since the one before.

        1 where as many come as go, 0 where a backlog is worked off: as is believed while few have
        ended, since those that are there at the beginning have all come before the first end.
        """
        return self._replaced.mean * self._replaced.count / self._replaced.memory

    # -- programs come, are served, and go -----------------------------------------------------

    def arrive(self, program: Program) -> None:
        tenant = self._tenants.get(program.tenant)
        if tenant is None:
            self._came += 1
            tenant = _Tenant(program.tenant, self._came, self._weights.get(program.tenant, 1.0))
            tenant.served_s = self._floor_s
            self._tenants[program.tenant] = tenant
            self._weight += tenant.weight
        tenant.live += 1
        self._live += 1
        self._has_new = True

    def leave(self, program: Program) -> None:
        """A tenant without programs is forgotten: it saves nothing up, and owes nothing."""
        tenant = self._tenants[program.tenant]
        tenant.live -= 1
        self._live -= 1
        self._replaced.add(1.0 if self._has_new else 0.0)
        self._has_new = False
        if not tenant.live:
            self._weight -= tenant.weight
            del self._tenants[program.tenant]
            if not self._tenants:
                self._floor_s = max(self._floor_s, tenant.served_s)

    def serve(self, program: Program, seconds: float) -> None:
        """A call of `program` has had `seconds` of an engine's time."""
        tenant = self._tenants[program.tenant]
        tenant.served_s += seconds / tenant.weight

    @property
    def is_single(self) -> bool:
        """Whether all programs that live are of one tenant."""
        return len(self._tenants) <= 1

    def is_less_served(self, program: Program, other: Program) -> bool:
        """Whether the tenant of `program` has had less than that of `other`."""
        if program.tenant == other.tenant:
            return False
        return self._tenants[program.tenant].served_s < self._tenants[other.tenant].served_s

    def is_light(self, program: Program) -> bool:
        """Whether its tenant has less than half as many programs as it would have if all had alike."""
        tenant = self._tenants[program.tenant]
        fair = self._live * tenant.weight / self._weight
        return tenant.live < _LIGHT_PART * fair

    def waiting(self, program: Program) -> int:
        """How many calls of the tenant of `program` wait."""
        return len(self._tenants[program.tenant].waiting)

    # -- calls ---------------------------------------------------------------------------------

    def rank(self, call: Call) -> Rank:
        """Raises `KeyError` for a call that does not wait here."""
        return self._of(call).waiting.rank(call.call_id)

    def add(self, call: Call, rank: Rank) -> None:
        tenant = self._of(call)
        if not len(tenant.waiting):
            tenant.served_s = max(tenant.served_s, self._floor_s)  # idle time saves nothing up
            heapq.heappush(self._by_service, (tenant.served_s, tenant.sequence, tenant))
        tenant.waiting.add(call, rank)

    def remove(self, call: Call) -> None:
        """Does nothing for a call that does not wait here."""
        self._of(call).waiting.remove(call.call_id)

    def first(self) -> Call | None:
        """The call that should go first; it stays."""
        if len(self._tenants) == 1:  # as nearly always
            (alone,) = self._tenants.values()
            if len(alone.waiting) and alone.served_s > self._floor_s:
                self._floor_s = alone.served_s
            return alone.waiting.first()
        return next(self.firsts(1), None)

    def firsts(self, count: int) -> Iterator[Call]:
        """Up to `count` calls, first ones first; they stay. Do not change the queues meanwhile.

        They are shared out evenly among the least served tenants.
        """
        tenants = self._least_served(count)
        for index, tenant in enumerate(tenants):
            share = count // len(tenants) + (index < count % len(tenants))
            yield from tenant.waiting.firsts(share)

    def _least_served(self, count: int) -> list[_Tenant]:
        """Up to `count` tenants with waiting calls, the least served first."""
        heap = self._by_service
        if len(heap) == 1 and len(heap[0][2].waiting):
            alone = heap[0][2]
            self._floor_s = max(self._floor_s, alone.served_s)
            return [alone]
        found: list[_Tenant] = []
        taken: list[tuple[float, int, _Tenant]] = []
        while heap and len(found) < count:
            served_s, sequence, tenant = heapq.heappop(heap)
            if not len(tenant.waiting) or (found and found[-1] is tenant):
                continue
            if served_s != tenant.served_s:  # it has been served since: service only grows
                heapq.heappush(heap, (tenant.served_s, sequence, tenant))
                continue
            found.append(tenant)
            taken.append((served_s, sequence, tenant))
        for entry in taken:
            heapq.heappush(heap, entry)
        if found:
            self._floor_s = max(self._floor_s, found[0].served_s)
        return found

    def _of(self, call: Call) -> _Tenant:
        return self._tenants[call.program.tenant]
