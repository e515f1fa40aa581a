"""`Occupancies`: replicas by how full they are."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping

from agentrt.scheduler.events import ReplicaId
from agentrt.scheduler.replica import Replica

_FEW = 64


class Occupancies:
    """Finds the least occupied replica that can take a call, in logarithmic time."""

    def __init__(self, replicas: Mapping[ReplicaId, Replica]) -> None:
        self._replicas = replicas
        self._heap: list[tuple[float, ReplicaId]] = []
        self._offered: dict[ReplicaId, float] = {}

    def offer(self, replica: Replica) -> None:
        """To be called whenever a replica's occupancy or its free slots have changed."""
        replica_id = replica.replica_id
        if not replica.has_free_slot:
            self._offered.pop(replica_id, None)
            return
        occupancy = replica.occupied_blocks / max(replica.capacity_blocks, 1.0)
        if self._offered.get(replica_id) != occupancy:
            self._offered[replica_id] = occupancy
            heapq.heappush(self._heap, (occupancy, replica_id))
            if len(self._heap) > 2 * len(self._offered) + _FEW:
                # What was offered of fuller days would never come to the top, and never go.
                self._heap = [(full, of_replica) for of_replica, full in self._offered.items()]
                heapq.heapify(self._heap)

    def remove(self, replica_id: ReplicaId) -> None:
        self._offered.pop(replica_id, None)

    def emptiest(
        self, besides: Replica | None, avoided: Collection[ReplicaId] = ()
    ) -> Replica | None:
        """The least occupied replica with a free slot, of all but one and those to be avoided."""
        heap = self._heap
        aside: list[tuple[float, ReplicaId]] = []
        while heap:
            occupancy, replica_id = heap[0]
            if self._offered.get(replica_id) != occupancy:
                heapq.heappop(heap)  # it has changed since
            elif (besides is not None and replica_id == besides.replica_id) or (
                replica_id in avoided
            ):
                aside.append(heapq.heappop(heap))
            else:
                break
        found = self._replicas[heap[0][1]] if heap else None
        for entry in aside:
            heapq.heappush(heap, entry)
        return found
