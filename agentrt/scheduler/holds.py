"""`Holds`: which contexts between calls are kept on a replica, and which of them goes first."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeAlias

from agentrt.scheduler.state import PlacedContext

_Hold: TypeAlias = tuple[float, int, PlacedContext]

_FEW = 64


class Holds:
    """Contexts by when their hold ends. One that is held anew is kept by its newest end."""

    def __init__(self) -> None:
        self._heap: list[_Hold] = []
        self._added = 0
        self._most = _FEW

    def __len__(self) -> int:
        """How many are remembered, those that no longer stand included: at most as many again."""
        return len(self._heap)

    def add(self, context: PlacedContext, until: float) -> None:
        """Hold `context` until `until`, whatever was said of it before."""
        context.held_until = until
        self._added += 1
        heapq.heappush(self._heap, (until, self._added, context))
        if len(self._heap) > self._most:
            # Behind one that is held for ever they would never come to the top, and never go.
            self._heap = [hold for hold in self._heap if _stands(hold)]
            heapq.heapify(self._heap)
            self._most = 2 * len(self._heap) + _FEW

    def next_end_at(self, after: float) -> float | None:
        """When the first hold ends of those that last beyond `after`. The others are forgotten."""
        heap = self._heap
        while heap and (heap[0][0] <= after or not _stands(heap[0])):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def first_end_at(self) -> float | None:
        """When the first hold ends, or has ended."""
        heap = self._heap
        while heap and not _stands(heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop(
        self, until: float, is_spared: Callable[[PlacedContext], bool] | None = None
    ) -> PlacedContext | None:
        """The context whose hold ends first, if by `until`, of those that are not spared."""
        heap = self._heap
        spared: list[_Hold] = []
        found: PlacedContext | None = None
        while heap and heap[0][0] <= until and found is None:
            hold = heapq.heappop(heap)
            if not _stands(hold):
                continue
            if is_spared is not None and is_spared(hold[2]):
                spared.append(hold)
            else:
                found = hold[2]
        for hold in spared:
            heapq.heappush(heap, hold)
        return found


def _stands(hold: _Hold) -> bool:
    """No call has come for the context, it is still counted, and it was not held anew."""
    until, _, context = hold
    return context.is_counted and context.held_until == until
