"""`WaitingCalls`: calls in the order they should go, with removal from anywhere."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TypeAlias

from agentrt.scheduler.events import CallId
from agentrt.scheduler.state import Call

Rank: TypeAlias = float
"""Lower goes first. Fixed when a call begins to wait: see `policy.Policy.rank`."""

_Entry: TypeAlias = tuple[Rank, int, float, int, Call]


class WaitingCalls:
    """A priority queue.

    Ties go by the programs' arrival, then by the calls' precedence in their program, then by the order
    of joining.
    """

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._entries: dict[CallId, tuple[Rank, int]] = {}
        self._joined = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, call_id: CallId) -> bool:
        return call_id in self._entries

    def rank(self, call_id: CallId) -> Rank:
        """Raises `KeyError` for a call that does not wait here."""
        return self._entries[call_id][0]

    def add(self, call: Call, rank: Rank) -> None:
        self._joined += 1
        self._entries[call.call_id] = rank, self._joined
        entry = (rank, call.program.sequence, -call.precedence, self._joined, call)
        heapq.heappush(self._heap, entry)

    def remove(self, call_id: CallId) -> None:
        """Does nothing for a call that does not wait here."""
        self._entries.pop(call_id, None)

    def first(self) -> Call | None:
        """The call that should go first; it stays."""
        self._drop_removed()
        return self._heap[0][-1] if self._heap else None

    def firsts(self, count: int) -> Iterator[Call]:
        """Up to `count` calls, first ones first; they stay. Do not change the queue meanwhile."""
        taken: list[_Entry] = []
        try:
            while self._heap and len(taken) < count:
                self._drop_removed()
                if not self._heap:
                    return
                taken.append(heapq.heappop(self._heap))
                yield taken[-1][-1]
        finally:
            for entry in taken:
                heapq.heappush(self._heap, entry)

    def _drop_removed(self) -> None:
        while self._heap and not self._is_there(self._heap[0]):
            heapq.heappop(self._heap)

    def _is_there(self, entry: _Entry) -> bool:
        """A call that was removed and joined again has an entry of its own."""
        _, _, _, joined, call = entry
        known = self._entries.get(call.call_id)
        return known is not None and known[1] == joined
