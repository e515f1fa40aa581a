"""`ActivePrograms`: how many programs with a place compute there, or are expected back."""

from __future__ import annotations

import heapq
import math

from agentrt.scheduler.events import ProgramId
from agentrt.scheduler.state import Program

_FEW = 64


class ActivePrograms:
    """Those of one replica: they have a call under way, or a context that is held.

    Counted with every call, where thousands may have a place: so only those are looked at of which
    something was `touched`, or whose hold has ended, since they were counted last.
    """

    __slots__ = ("_active", "_ends", "_most_ends", "_now", "_placed", "_touched")

    def __init__(self, placed: dict[ProgramId, Program]) -> None:
        """Args: the programs with a place, as they come and go."""
        self._placed = placed
        self._active: set[ProgramId] = set()
        self._touched: set[ProgramId] = set()
        self._ends: list[tuple[float, ProgramId]] = []
        self._most_ends = _FEW
        self._now = -math.inf

    def touch(self, program: Program) -> None:
        """Its calls, its contexts or how long they are held have changed, or are just about to."""
        self._touched.add(program.program_id)

    def count(self, now: float) -> int:
        """How many there are. Times never run backwards."""
        ends, touched, self._now = self._ends, self._touched, now
        while ends and ends[0][0] <= now:
            touched.add(heapq.heappop(ends)[1])
        for program_id in touched:
            program = self._placed.get(program_id)
            if program is not None and self._is_active(program, now):
                self._active.add(program_id)
            else:
                self._active.discard(program_id)
        touched.clear()
        if len(ends) > self._most_ends:
            self._forget_ends()
        return len(self._active)

    def __len__(self) -> int:
        """How many ends of holds are remembered: at most as many again as there are programs."""
        return len(self._ends)

    def is_right(self) -> bool:
        """Whether it counts as many as there are, by the time of the last count. For tests."""
        recounted = sum(
            bool(program.calls)
            or any((context.held_until or -math.inf) > self._now for context in program.contexts)
            for program in self._placed.values()
        )
        return self.count(self._now) == recounted

    def _forget_ends(self) -> None:
        """Of each program that is here the earliest is enough: those of holds for ever would never go."""
        earliest: dict[ProgramId, float] = {}
        for until, program_id in self._ends:
            if program_id in self._placed:
                earliest[program_id] = min(until, earliest.get(program_id, math.inf))
        self._ends = [(until, program_id) for program_id, until in earliest.items()]
        heapq.heapify(self._ends)
        self._most_ends = 2 * len(self._ends) + _FEW

    def _is_active(self, program: Program, now: float) -> bool:
        if program.calls:
            return True
        for context in program.contexts:
            if context.held_until is not None and context.held_until > now:
                # Of several one is enough: when that ends the others are looked at.
                heapq.heappush(self._ends, (context.held_until, program.program_id))
                return True
        return False
