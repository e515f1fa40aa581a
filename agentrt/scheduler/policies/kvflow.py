"""`KVFlow`: of what a cache has, what is used last goes first (arXiv 2507.07400).

There a graph of a workflow's steps says how many of them will pass before an agent's prefix is used
again, and the cache evicts what has most to wait. Here no graph is told; it is counted how many calls
programs of a workflow made before they went on from a context like this one:

    steps = mean of those calls / P(another call comes at all), rounded, at least 1

and a context is kept, against the engine's own LRU, where others have more steps to wait and without
those it all fits. A program of one agent is one step away from each of its next calls: then this is
LRU, and `Unmanaged`.
`docs/rivals.md` says what is missing.
"""

from __future__ import annotations

import math

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.continuum import tool_of
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext, Program

_MOST_KINDS = 1_024
_LEAST_CHANCE = 1e-3


class StepsSeen:
    """How many calls pass before a context is gone on from, as an `outlook.Observer`.

    By workflow and the tool that the context's answer called; "" where it called none or several.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}

    def mean(self, pause: Pause) -> float:
        """Of pauses like this one; 1 before any was seen."""
        steps, pauses = self._seen.get(_kind(pause), (1, 1))
        return steps / pauses

    def gap(self, pause: Pause, seconds: float) -> None:
        steps, pauses = self._seen.pop(_kind(pause), (0, 0))
        passed = pause.program.turns - pause.turn + 1
        self._seen[_kind(pause)] = steps + passed, pauses + 1
        if len(self._seen) > _MOST_KINDS:
            del self._seen[next(iter(self._seen))]

    def waited(self, call: Call, seconds: float) -> None:
        pass

    def finished(self, program: Program, seconds: float) -> None:
        pass


class KVFlow(Unmanaged):
    """Everything goes at once, to an engine whose cache spares what is needed in few steps."""

    name = "kvflow"
    touches = True
    limits_batches = False

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        steps = steps_to_use(pause, outlook)
        further_blocks = sum(
            other.reference.exclusive_blocks
            for program in replica.placed.values()
            for other in program.contexts
            if other.pause is not None and steps_to_use(other.pause, outlook) > steps
        )
        # What is to be spared must be there still: so it is only done where what goes makes the room.
        fits = replica.occupied_blocks - further_blocks <= replica.kv_blocks
        # Nobody asks for room, so that this says only whether it is to be used again in time.
        return math.inf if further_blocks > 0 and fits else now


def steps_to_use(pause: Pause, outlook: Outlook) -> float:
    """Calls until one goes on from there, that one included; infinite if none will."""
    mean = outlook.observer(StepsSeen).mean(pause)
    if pause.is_last:
        return math.inf
    goes_on = outlook.estimates.turns.goes_on(pause.program.workflow, pause.turn)
    return max(1, round(mean / max(goes_on, _LEAST_CHANCE)))


def _kind(pause: Pause) -> tuple[str, str]:
    return pause.program.workflow, tool_of(pause) or ""
