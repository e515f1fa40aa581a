"""The requests that an engine has not let in yet."""

from __future__ import annotations

import heapq

from agentrt.simulator.engine_model import EngineOrder
from agentrt.simulator.engine_sequence import Sequence


class WaitingLine:
    """Sequences in the order in which they are let in.

    Who was preempted comes again where its arrival puts it, so before all that came after it.
    """

    def __init__(self, order: EngineOrder) -> None:
        self._by_priority = order == "priority"
        self._entries: list[tuple[int, int, Sequence]] = []

    def rank(self, sequence: Sequence) -> tuple[int, int]:
        """Whose rank is lower goes first, and is preempted last."""
        priority = -sequence.request.priority if self._by_priority else 0
        return (priority, sequence.arrival)

    def add(self, sequence: Sequence) -> bool:
        """Have a sequence wait; whether it is now first."""
        heapq.heappush(self._entries, (*self.rank(sequence), sequence))
        return self._entries[0][2] is sequence

    def first(self) -> Sequence | None:
        """Who is let in next."""
        while self._entries and self._entries[0][2].is_cancelled:
            heapq.heappop(self._entries)
        return self._entries[0][2] if self._entries else None

    def take_first(self) -> None:
        """Take out who was first."""
        heapq.heappop(self._entries)
