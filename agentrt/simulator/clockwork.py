"""What happens next: events in virtual time.

Two events at the same time happen in the order of their kinds' ranks, and in the order in which they
were pushed where those are equal too. What an event *is* never decides: any object will do.
"""

from __future__ import annotations

import heapq
import math
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class Due(NamedTuple, Generic[Item]):
    """An event and its time."""

    at: float
    item: Item


class EventHeap(Generic[Item]):
    """Events by (time, rank of their kind, order of pushing).

    Pushing and popping cost O(log n). What is cancelled is skipped when its turn comes, and swept
    out when it makes up more than half of the heap.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, int, Item]] = []
        self._live: set[int] = set()
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._live)

    def push(self, at: float, kind_rank: int, item: Item) -> int:
        """Have `item` happen at `at`. Returns its ticket, for `cancel`.

        Raises ValueError for a time that cannot be compared.
        """
        if math.isnan(at):
            raise ValueError(f"no time to put {item!r} at")
        ticket = self._pushed
        self._pushed += 1
        self._live.add(ticket)
        heapq.heappush(self._entries, (at, kind_rank, ticket, item))
        return ticket

    def cancel(self, ticket: int) -> bool:
        """Take an event back; False if it has happened or was taken back before."""
        if ticket not in self._live:
            return False
        self._live.remove(ticket)
        if len(self._entries) > 2 * len(self._live) + 64:
            self._entries = [entry for entry in self._entries if entry[2] in self._live]
            heapq.heapify(self._entries)
        return True

    def next_at(self) -> float | None:
        """When the next event happens; None if there is none."""
        self._skip_cancelled()
        return self._entries[0][0] if self._entries else None

    def pop(self) -> Due[Item]:
        """Take the next event. Raises IndexError if there is none."""
        self._skip_cancelled()
        at, _, ticket, item = heapq.heappop(self._entries)
        self._live.remove(ticket)
        return Due(at, item)

    def _skip_cancelled(self) -> None:
        while self._entries and self._entries[0][2] not in self._live:
            heapq.heappop(self._entries)
