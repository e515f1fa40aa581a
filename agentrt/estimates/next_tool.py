"""The agent execution graph: which tool comes next, from what the programs of a workflow did."""

from __future__ import annotations

from collections.abc import Mapping

from agentrt.estimates.stored_form import Json, a_list, a_number, a_text, unfit

START = "^"
END = "$"
"""Stand before the first tool and after the last one."""

_TRIPLE_AND_COUNT = 4
_EVERYWHERE = ""


class NextToolEstimates:
    """P(next tool | last tool, workflow), mixed with P(next tool | last tool) of all workflows.

    Bounded: `rows` pairs of workflow and last tool, the ones updated last; in each the `width`
    commonest successors; a row is halved when it has counted `memory`, so that it follows change.
    """

    def __init__(
        self, *, shrinkage: float = 4.0, rows: int = 512, width: int = 32, memory: int = 1024
    ) -> None:
        self.shrinkage = shrinkage
        self.rows = rows
        self.width = width
        self.memory = memory
        self._rows: dict[tuple[str, str], _Row] = {}

    def observe(self, workflow: str, last: str, following: str) -> None:
        """After `last` (or `START`) came `following` (or `END`)."""
        self._count(workflow, last, following)
        if workflow != _EVERYWHERE:
            self._count(_EVERYWHERE, last, following)

    def probabilities(self, workflow: str, last: str) -> Mapping[str, float]:
        """Of each successor seen after `last`, likeliest first. Empty if nothing was.

        They add up to less than 1 if rare successors were dropped.
        """
        general = self._rows.get((_EVERYWHERE, last))
        if general is None:
            return {}
        own = self._rows.get((workflow, last)) if workflow != _EVERYWHERE else None
        mixed = {name: count / general.total for name, count in general.counts.items()}
        if own is not None:
            weight = own.total + self.shrinkage
            names = {**mixed, **own.counts}
            mixed = {
                name: (own.counts.get(name, 0.0) + self.shrinkage * mixed.get(name, 0.0)) / weight
                for name in names
            }
        return dict(sorted(mixed.items(), key=lambda item: (-item[1], item[0])))

    def probability(self, workflow: str, last: str, following: str) -> float:
        """P(`following` comes after `last`); 0 for what was never seen there."""
        general = self._rows.get((_EVERYWHERE, last))
        shared = general.part(following) if general else 0.0
        own = self._rows.get((workflow, last)) if workflow != _EVERYWHERE else None
        if own is None:
            return shared
        counted = own.counts.get(following, 0.0)
        return (counted + self.shrinkage * shared) / (own.total + self.shrinkage)

    def likeliest(self, workflow: str, last: str) -> tuple[str, float] | None:
        """The successor with the highest probability, and that; None if nothing is known."""
        return next(iter(self.probabilities(workflow, last).items()), None)

    def merge(self, other: NextToolEstimates) -> None:
        """Add what `other` has seen."""
        for (workflow, last), row in other._rows.items():
            for following, count in row.counts.items():
                self._count(workflow, last, following, count)

    def to_json(self) -> Json:
        """Rows in order of their last update: workflow, last tool, total, counts."""
        return [
            [workflow, last, row.total, [[name, count] for name, count in row.counts.items()]]
            for (workflow, last), row in self._rows.items()
        ]

    def load(self, data: Json) -> None:
        """Put what `to_json` gave in place of what was seen. Raises `StoreError` if it does not fit."""
        rows: dict[tuple[str, str], _Row] = {}
        for entry in a_list(data):
            fields = a_list(entry)
            if len(fields) != _TRIPLE_AND_COUNT:
                raise unfit("a row of next tools that has not four fields")
            row = _Row()
            for successor in a_list(fields[3]):
                pair = a_list(successor)
                if len(pair) != len(("name", "count")):
                    raise unfit("a next tool that is not a name and a count")
                row.counts[a_text(pair[0])] = a_number(pair[1], most=1e15)
            row.total = a_number(fields[2], least=max(1e-9, 0.999 * sum(row.counts.values())))
            while len(row.counts) > self.width:
                row.drop_rarest()
            rows[a_text(fields[0]), a_text(fields[1])] = row
        self._rows = dict(list(rows.items())[-self.rows :])

    def _count(self, workflow: str, last: str, following: str, weight: float = 1.0) -> None:
        key = (workflow, last)
        row = self._rows.pop(key, None) or _Row()
        self._rows[key] = row
        row.count(following, weight)
        if len(row.counts) > self.width:
            row.drop_rarest()
        if row.total > self.memory:
            row.halve()
        while len(self._rows) > self.rows:
            del self._rows[next(iter(self._rows))]


class _Row:
    """What followed one tool. `total` counts what was dropped as well."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}
        self.total = 0.0

    def count(self, following: str, weight: float) -> None:
        self.counts[following] = self.counts.get(following, 0.0) + weight
        self.total += weight

    def part(self, following: str) -> float:
        return self.counts.get(following, 0.0) / self.total

    def drop_rarest(self) -> None:
        """Of equally rare ones the oldest: the newest has to have a chance."""
        newest = next(reversed(self.counts))
        rarest = min((name for name in self.counts if name != newest), key=self.counts.__getitem__)
        del self.counts[rarest]

    def halve(self) -> None:
        self.counts = {name: count / 2.0 for name, count in self.counts.items()}
        self.total /= 2.0
