"""How many more turns a program takes."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from agentrt.estimates.stored_form import Json, a_field, a_list, a_number, a_text, an_object, unfit

_EXACT = 16
_PER_DOUBLING = 4
_DOUBLINGS = 8

BIN_STARTS: tuple[int, ...] = (
    *range(1, _EXACT),
    *(round(_EXACT * 2 ** (i / _PER_DOUBLING)) for i in range(_PER_DOUBLING * _DOUBLINGS + 1)),
)
"""The turns from which on the chance of an end is taken to be the same: each of the first 15, then
four spans a doubling, the last from turn 4,096 on."""

_BINS = len(BIN_STARTS)
_PRIOR_TURNS = 8.0
_STEADY = 16
_MEMORY = 8192  # turns of a span, after which all counts are halved
_SUREST = 1.0 - 1e-9


class TurnEstimates:
    """P(another turn | turn k), for each workflow, backed off to all.

    Counted as hazards: how many programs reached turn k, and how many of those ended there. So the
    turns of programs that still live count as well; a histogram of finished ones would, at first,
    know only the short.
    """

    def __init__(self, *, shrinkage: float = 4.0, capacity: int = 128) -> None:
        if not shrinkage > 0.0:
            raise ValueError("with no shrinkage nothing is known beyond what was seen")
        self.shrinkage = shrinkage
        self.capacity = capacity
        self._all = _Ends()
        self._workflows: dict[str, _Ends] = {}

    def observe(self, workflow: str, turn: int, *, is_last: bool) -> None:
        """A program's turn number `turn`, from 1, was or was not its last."""
        index = _bin(turn)
        self._all.observe(index, is_last=is_last)
        ends = self._workflows.pop(workflow, None) or _Ends()
        self._workflows[workflow] = ends
        ends.observe(index, is_last=is_last)
        self._limit()

    def goes_on(self, workflow: str, turn: int) -> float:
        """P(another turn | this is turn number `turn`)."""
        return 1.0 - self._table(workflow).end_chance[_bin(turn)]

    def left(self, workflow: str, turn: int) -> float:
        """The turns to come after `turn`, on average."""
        return self._table(workflow).left(turn)

    def left_within(self, workflow: str, turn: int, more: int) -> float:
        """P(at most `more` turns come after `turn` | it has come to `turn`)."""
        table = self._table(workflow)
        turn = max(turn, 1)
        here, there = table.log_reached(turn), table.log_reached(turn + max(more, 0) + 1)
        return -math.expm1(there - here)

    def left_quantile(self, workflow: str, turn: int, q: float) -> int:
        """The least number of turns that are not exceeded after `turn` with probability `q` < 1."""
        table = self._table(workflow)
        part = math.log1p(-min(q, _SUREST))
        return max(0, table.turn_reached_by(table.log_reached(turn) + part) - max(turn, 1))

    def gittins(self, workflow: str, turn: int) -> float:
        """The Gittins index of a program that is to make `turn`, with turns as the service.

        1 if it is its last turn, less the more there are to come; the highest goes first.
        """
        return self._table(workflow).gittins(turn)

    def merge(self, other: TurnEstimates) -> None:
        """Add what `other` has seen."""
        self._all.merge(other._all)
        for workflow, theirs in other._workflows.items():
            ours = self._workflows.pop(workflow, None) or _Ends()
            ours.merge(theirs)
            self._workflows[workflow] = ours
        self._limit()

    def to_json(self) -> Json:
        return {
            "all": self._all.to_json(),
            "workflows": [[name, ends.to_json()] for name, ends in self._workflows.items()],
        }

    def load(self, data: Json) -> None:
        """Put what `to_json` gave in place of what was seen. Raises `StoreError` if it does not fit."""
        fields = an_object(data)
        everything = _Ends.from_json(a_field(fields, "all"))
        workflows: dict[str, _Ends] = {}
        for entry in a_list(a_field(fields, "workflows")):
            pair = a_list(entry)
            if len(pair) != len(("workflow", "ends")):
                raise unfit("a workflow that is not a name and its ends")
            workflows[a_text(pair[0])] = _Ends.from_json(pair[1])
        self._all, self._workflows = everything, workflows
        self._limit()

    def _limit(self) -> None:
        while len(self._workflows) > self.capacity:
            del self._workflows[next(iter(self._workflows))]

    def _table(self, workflow: str) -> _TurnTable:
        everything = self._all
        if everything.table is None or everything.is_stale:
            prior = [1.0 / (_PRIOR_TURNS + start) for start in BIN_STARTS]
            everything.keep(_TurnTable(everything.chances(prior, self.shrinkage)))
        general = everything.table or _NO_TABLE
        ends = self._workflows.get(workflow)
        if ends is None:
            return general
        if ends.table is None or ends.is_stale:
            ends.keep(_TurnTable(ends.chances(general.end_chance, self.shrinkage)))
        return ends.table or general


class _Ends:
    """For each span of turns: how many were reached, how many were the last."""

    __slots__ = ("_ended", "_fresh_until", "_observed", "_reached", "table")

    def __init__(self) -> None:
        self._reached = array("d", bytes(8 * _BINS))
        self._ended = array("d", bytes(8 * _BINS))
        self._observed = 0
        self._fresh_until = 0
        self.table: _TurnTable | None = None

    @property
    def is_stale(self) -> bool:
        return self._observed >= self._fresh_until

    def observe(self, index: int, *, is_last: bool) -> None:
        self._observed += 1
        self._reached[index] += 1.0
        if is_last:
            self._ended[index] += 1.0
        if self._reached[index] > _MEMORY:
            self._reached = array("d", [count / 2.0 for count in self._reached])
            self._ended = array("d", [count / 2.0 for count in self._ended])

    def chances(self, general: Sequence[float], strength: float) -> list[float]:
        """P(last | reached) of each span, mixed with `general` as if that were `strength` turns."""
        counts = zip(self._reached, self._ended, general, strict=True)
        return [min((e + strength * g) / (r + strength), _SUREST) for r, e, g in counts]

    def keep(self, table: _TurnTable) -> None:
        self.table = table
        self._fresh_until = self._observed + min(
            max(1, self._observed // _STEADY), _MEMORY // _STEADY
        )

    def merge(self, other: _Ends) -> None:
        for index in range(_BINS):
            self._reached[index] += other._reached[index]
            self._ended[index] += other._ended[index]
        self._observed += other._observed
        self.table = None

    def to_json(self) -> Json:
        return {"reached": list(self._reached), "ended": list(self._ended)}

    @classmethod
    def from_json(cls, data: Json) -> _Ends:
        fields = an_object(data)
        reached = a_list(a_field(fields, "reached"))
        ended = a_list(a_field(fields, "ended"))
        if len(reached) != _BINS or len(ended) != _BINS:
            raise unfit(f"turns in {len(reached)} and {len(ended)} spans, not {_BINS}")
        ends = cls()
        for index in range(_BINS):
            ends._reached[index] = a_number(reached[index], most=1e15)
            ends._ended[index] = a_number(ended[index], most=ends._reached[index])
        ends._observed = int(sum(ends._reached))
        return ends


class _TurnTable:
    """What follows from the chance of an end in each span; the chance is the same inside a span."""

    __slots__ = ("_indices", "_left_from", "_log_reached", "end_chance")

    def __init__(self, end_chance: Sequence[float]) -> None:
        self.end_chance = end_chance
        reached = [0.0]
        for index in range(_BINS - 1):
            span = BIN_STARTS[index + 1] - BIN_STARTS[index]
            reached.append(reached[-1] + span * math.log1p(-end_chance[index]))
        self._log_reached = reached
        self._indices: dict[int, float] = {}
        # The mean number of turns after turn k, if k begins a span: one step back at a time.
        left = [0.0] * _BINS
        left[-1] = (1.0 - end_chance[-1]) / end_chance[-1]
        for index in range(_BINS - 2, -1, -1):
            span = BIN_STARTS[index + 1] - BIN_STARTS[index]
            left[index] = _back(end_chance[index], span, left[index + 1])
        self._left_from = left

    def left(self, turn: int) -> float:
        index = _bin(turn)
        if index == _BINS - 1:
            return self._left_from[-1]
        span = BIN_STARTS[index + 1] - max(turn, 1)
        return _back(self.end_chance[index], span, self._left_from[index + 1])

    def gittins(self, turn: int) -> float:
        """The best `P(N - k <= d) / E[min(N - k, d)]` given N > k, where k turns were made.

        It is the same for all turns of a span: that of the first.
        """
        span = _bin(turn)
        found = self._indices.get(span)
        if found is None:
            found = self._indices[span] = self._best_rate(span)
        return found

    def _best_rate(self, span: int) -> float:
        start = BIN_STARTS[span]
        left, reached = self._left_from[span], self._log_reached[span]
        best = 1.0 / (1.0 + left)
        for end in (start, *BIN_STARTS[span + 1 :]):
            cost = 1.0 + left - math.exp(self.log_reached(end) - reached) * self.left(end)
            ended = -math.expm1(self.log_reached(end + 1) - reached)
            best = max(best, ended / max(cost, 1.0))
        return best

    def log_reached(self, turn: int) -> float:
        """The logarithm of P(it comes to `turn`)."""
        index = _bin(turn)
        steps = max(turn, 1) - BIN_STARTS[index]
        return self._log_reached[index] + steps * math.log1p(-self.end_chance[index])

    def turn_reached_by(self, log_part: float) -> int:
        """The last turn that more than `exp(log_part)` of all come to."""
        index = max(0, bisect_left(self._log_reached, -log_part, key=float.__neg__) - 1)
        steps = (log_part - self._log_reached[index]) / math.log1p(-self.end_chance[index])
        return BIN_STARTS[index] + max(0, math.ceil(steps - 1e-9) - 1)


def _back(end: float, span: int, left_after: float) -> float:
    """The mean number of turns after this one, `span` turns before one that has `left_after`.

    Each of the `span` turns is the last with chance `end`.
    """
    on = (1.0 - end) ** span
    return (1.0 - end) * (1.0 - on) / end + on * left_after


def _bin(turn: int) -> int:
    return turn - 1 if 1 <= turn < _EXACT else max(0, bisect_right(BIN_STARTS, turn) - 1)


_NO_TABLE = _TurnTable([1.0 / (_PRIOR_TURNS + start) for start in BIN_STARTS])
