"""`Continuum`: contexts kept for a time to live, programs first come, first served (arXiv 2511.02230).

Section 4, as three independent reconstructions of the paper have it: after a turn whose tool is `f`

    ttl = argmax over t in {0} and the observed durations of f:  P(duration <= t) * B - t
    B   = T * eta + the time to compute the context again

The published preview code has not this but a fixed two seconds. `docs/rivals.md` says what is missing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from agentrt.ir.prefix import block_count
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policies.engine_admission import EngineAdmission
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext, Program

ENOUGH = 100
"""K: observations, more than which are needed before a level of the ladder is believed."""

PRIOR_MEAN_S = 1.0
_MOST_SAMPLES = 4096
_DELAY_WINDOW = 100  # not published; the reconstructions have 100 or 256


def best_ttl_s(durations: Sequence[float], benefit_s: float) -> float:
    """The `t` that maximises `P(duration <= t) * benefit_s - t`; `durations` sorted, ties to the less."""
    best, best_value = 0.0, 0.0
    count = len(durations)
    for index, duration in enumerate(durations):
        if index + 1 < count and durations[index + 1] == duration:
            continue  # the last of equal ones has their probability
        value = (index + 1) / count * benefit_s - duration
        if value > best_value:
            best, best_value = duration, value
    return best


def prior_ttl_s(benefit_s: float, mean_s: float = PRIOR_MEAN_S) -> float:
    """The same where durations are exponential."""
    return mean_s * math.log(benefit_s / mean_s) if benefit_s > mean_s else 0.0


class ContinuumHistory:
    """What Continuum learns, as an `outlook.Observer`."""

    def __init__(self) -> None:
        self._all: deque[float] = deque(maxlen=_MOST_SAMPLES)
        self._of_tool: dict[str, deque[float]] = {}
        self._delays: deque[float] = deque(maxlen=_DELAY_WINDOW)
        self._pairs = 0
        self._done = self._left = self._done_squares = self._left_squares = self._products = 0.0
        self._sorted: dict[str | None, tuple[float, ...]] = {}

    def gap(self, pause: Pause, seconds: float) -> None:
        self.observe_gap(tool_of(pause) or "", seconds)

    def waited(self, call: Call, seconds: float) -> None:
        is_kept = call.context is not None and call.context.is_counted
        if call.pause is not None and not is_kept:
            self.observe_delay(seconds)

    def finished(self, program: Program, seconds: float) -> None:
        self.observe_program(program.turns)

    def observe_gap(self, tool: str, seconds: float) -> None:
        """`seconds` after a completion that called `tool` the program's next call came."""
        self._all.append(seconds)
        self._of_tool.setdefault(tool, deque(maxlen=_MOST_SAMPLES)).append(seconds)
        self._sorted.pop(None, None)
        self._sorted.pop(tool, None)

    def observe_delay(self, seconds: float) -> None:
        """A call whose context had been given up waited for `seconds` in the queue."""
        self._delays.append(seconds)

    def observe_program(self, turns: int) -> None:
        """A program has ended after `turns` turns."""
        for done in range(1, turns):
            left = turns - done
            self._pairs += 1
            self._done += done
            self._left += left
            self._done_squares += done * done
            self._left_squares += left * left
            self._products += done * left

    def gaps(self, tool: str | None) -> list[float]:
        """Those seen of a tool, of all with None: the latest, in order."""
        return list(self._all if tool is None else self._of_tool.get(tool, ()))

    def delays(self) -> list[float]:
        """Those seen, the latest, in order."""
        return list(self._delays)

    @property
    def is_cold(self) -> bool:
        return len(self._all) <= ENOUGH

    @property
    def mean_delay_s(self) -> float:
        """T: what it costs in the queue to have been given up; 0 before any was seen."""
        return sum(self._delays) / len(self._delays) if self._delays else 0.0

    @property
    def memoryfulness(self) -> float:
        """eta: minus the correlation of turns done and turns left: 1 where all are equally long.

        About 0 where turns done tell nothing, negative where they tell of more; 1 if not known.
        """
        n = self._pairs
        done_spread = n * self._done_squares - self._done**2
        left_spread = n * self._left_squares - self._left**2
        if self.is_cold or done_spread <= 0.0 or left_spread <= 0.0:
            return 1.0
        together = n * self._products - self._done * self._left
        return -together / math.sqrt(done_spread * left_spread)

    def ttl_s(self, tool: str | None, benefit_s: float) -> float:
        """How long to keep a context; `tool` None: which one is called is not known."""
        if benefit_s <= 0.0:
            return 0.0
        if self.is_cold:
            return prior_ttl_s(benefit_s)
        is_known = tool is not None and len(self._of_tool.get(tool, ())) > ENOUGH
        return best_ttl_s(self._durations(tool if is_known else None), benefit_s)

    def _durations(self, tool: str | None) -> tuple[float, ...]:
        found = self._sorted.get(tool)
        if found is None:
            samples = self._all if tool is None else self._of_tool[tool]
            found = self._sorted[tool] = tuple(sorted(samples))
        return found


class Continuum(EngineAdmission):
    """Program FCFS, with the contexts of programs between calls kept for their time to live."""

    name = "continuum"

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        history = outlook.observer(ContinuumHistory)
        if pause.is_last:
            return now
        blocks = block_count(context.chain)
        reload_s = outlook.rebuild_s(replica.replica_id, blocks, blocks)
        benefit_s = history.mean_delay_s * history.memoryfulness + reload_s
        return pause.ended_at + history.ttl_s(tool_of(pause), benefit_s)


def tool_of(pause: Pause) -> str | None:
    """The tool of a turn; None while it is not known, and where there are different ones."""
    tools = {use.tool for use, _ in (*pause.returned, *pause.pending.values())}
    return tools.pop() if len(tools) == 1 else None
