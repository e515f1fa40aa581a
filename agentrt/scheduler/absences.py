"""`Absences`: programs that had to give their contexts up, by when they will want them again."""

from __future__ import annotations

import heapq

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Pause

_LIKELY = 0.5  # that a call comes at all, and that the tool has returned by the time the prefix is to be there


class Absences:
    """Pauses of programs without a place, the first to be prefilled again first."""

    def __init__(self, outlook: Outlook) -> None:
        self._outlook = outlook
        self._heap: list[tuple[float, int, Pause, Replica]] = []
        self._added = 0

    def add(self, pause: Pause, replica: Replica, blocks: int, now: float) -> None:
        """The context of `pause`, of `blocks` blocks, was given up on `replica`."""
        if pause.is_last or pause.is_over or not pause.pending:
            return
        if self._outlook.goes_on(pause) < _LIKELY:
            return
        wait, since = self._outlook.wait(pause)
        returns_at = now + wait.remaining_quantile(_LIKELY, now - since)
        at = returns_at - self._outlook.rebuild_s(replica.replica_id, blocks, blocks)
        self._added += 1
        heapq.heappush(self._heap, (max(at, now), self._added, pause, replica))

    def next_at(self) -> float | None:
        """When the first is due."""
        heap = self._heap
        while heap and not _is_absent(heap[0][2]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: float) -> tuple[Pause, Replica] | None:
        """One that is due, taken off; None if none is."""
        at = self.next_at()
        if at is None or at > now:
            return None
        _, _, pause, replica = heapq.heappop(self._heap)
        return pause, replica


def _is_absent(pause: Pause) -> bool:
    """Its tool is still at work, and its program has nothing else."""
    program = pause.program
    return not (pause.is_over or program.has_place or program.calls or program.has_ended)
