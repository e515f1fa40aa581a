"""Distributions for each kind of thing, from the most particular that is known to the most general."""

from __future__ import annotations

import math
from typing import TypeAlias

from agentrt.estimates.distribution import Distribution
from agentrt.estimates.grid import Grid
from agentrt.estimates.log_logistic import LogLogistic
from agentrt.estimates.quantiles import Sketch
from agentrt.estimates.stored_form import Json, a_field, a_list, a_text, an_object, unfit

Path: TypeAlias = tuple[str, ...]
"""From the general to the particular: `("bash", "pytest")`. `()` is everything."""

_DEEPEST = 4
_PRIOR_STRENGTH = 8.0
_REFRESH_PART = 8


class Ladder:
    """A sketch for each path and each beginning of it; an answer mixes them.

    A level with n observations is mixed with the one above as if that were `shrinkage` further
    observations, and everything with the prior: a level counts as far as it has data, also *where*
    it has data, so that past all it has seen the more general levels speak. (Continuum switches
    instead, at K = 100 observations; docs/estimates.md compares.)

    Bounded: of the paths other than `()` the `capacity` updated last are kept; what the others saw
    stays counted in the levels above them.
    """

    def __init__(
        self,
        grid: Grid,
        prior: LogLogistic,
        *,
        shrinkage: float = 3.0,
        capacity: int = 512,
        half_life: float = 2000.0,
    ) -> None:
        if not shrinkage > 0.0:
            raise ValueError("with no shrinkage nothing is known beyond what was seen")
        self.grid = grid
        self.prior = prior
        self.shrinkage = shrinkage
        self.capacity = capacity
        self.half_life = half_life
        self._root = _Level(Sketch(grid, half_life=half_life))
        self._fitted = prior
        self._fitted_until = 0
        self._levels: dict[Path, _Level] = {}

    def __len__(self) -> int:
        """How many paths have a sketch of their own."""
        return len(self._levels)

    def observe(self, path: Path, value: float) -> None:
        """Count `value` for `path` and every beginning of it."""
        index = self.grid.bucket(self.grid.clamp(value))
        self._root.sketch.add(index)
        levels = self._levels
        # The longest first, so that a path is always older than what it begins with and goes first.
        for length in range(len(path), 0, -1):
            key = path[:length]
            level = levels.pop(key, None)
            if level is None:
                level = _Level(Sketch(self.grid, half_life=self.half_life))
            levels[key] = level
            level.sketch.add(index)
        while len(levels) > self.capacity:
            del levels[next(iter(levels))]

    def count(self, path: Path) -> float:
        """How many observations `path` itself has, forgotten ones less."""
        level = self._level(path)
        return level.sketch.count if level else 0.0

    def distribution(self, path: Path = ()) -> Distribution:
        """What is expected of `path`; of the longest beginning of it that was seen, if it was not.

        The table is made anew once an eighth more was observed than when it was made.
        """
        return self._made(path, keeps=True)

    def glance(self, path: Path = ()) -> Distribution:
        """What is expected of `path` as of now, and no table is kept of it.

        When tables are made decides what later answers are, so who looks on from outside would change
        them: the same events would not lead to the same answers any more.
        """
        return self._made(path, keeps=False)

    def merge(self, other: Ladder) -> None:
        """Add what `other` has seen, path by path."""
        self._root.merge(other._root)
        self._fitted_until = 0
        for path, theirs in other._levels.items():
            ours = self._levels.pop(path, None) or _Level(
                Sketch(self.grid, half_life=self.half_life)
            )
            ours.merge(theirs)
            self._levels[path] = ours
        while len(self._levels) > self.capacity:
            del self._levels[next(iter(self._levels))]

    def to_json(self) -> Json:
        """What was seen, in order of the last update; not how the ladder was set up."""
        return {
            "root": self._root.sketch.to_json(),
            "levels": [
                [list(path), level.sketch.to_json()] for path, level in self._levels.items()
            ],
        }

    def load(self, data: Json) -> None:
        """Put what `to_json` gave in place of what was seen. Raises `StoreError` if it does not fit."""
        fields = an_object(data)
        root = self._sketch(a_field(fields, "root"))
        levels: dict[Path, _Level] = {}
        for entry in a_list(a_field(fields, "levels")):
            pair = a_list(entry)
            if len(pair) != len(("path", "sketch")):
                raise unfit("a level that is not a path and a sketch")
            path = tuple(a_text(name) for name in a_list(pair[0]))
            if not 0 < len(path) <= _DEEPEST or path in levels:
                raise unfit(f"a level {path!r}")
            levels[path] = _Level(self._sketch(pair[1]))
        self._root = _Level(root)
        self._fitted_until = 0
        self._levels = dict(list(levels.items())[-self.capacity :])

    def _sketch(self, data: Json) -> Sketch:
        return Sketch.from_json(data, self.grid, half_life=self.half_life)

    def _level(self, path: Path) -> _Level | None:
        return self._levels.get(path) if path else self._root

    def _made(self, path: Path, *, keeps: bool) -> Distribution:
        level, above = self._root, None
        for length in range(len(path), 0, -1):
            found = self._levels.get(path[:length])
            if found is not None:
                level, above = found, self._made(path[: length - 1], keeps=keeps)
                break
        if level.table is not None and not level.is_stale:
            return level.table
        if above is None:
            above = self._fitted_prior(keeps=keeps).distribution(self.grid)
        table = level.sketch.distribution(above, self.shrinkage)
        if keeps:
            level.keep(table)
        return table

    def _fitted_prior(self, *, keeps: bool) -> LogLogistic:
        """The prior drawn to what was seen, anew once that has doubled or the old is forgotten."""
        sketch = self._root.sketch
        if sketch.observed < self._fitted_until:
            return self._fitted
        fitted = self.prior.fitted(self.grid, sketch.counts(), _PRIOR_STRENGTH)
        if keeps:
            self._fitted = fitted
            self._fitted_until = sketch.observed + max(1, int(sketch.count))
        return fitted


class _Level:
    """A sketch and the table last made of it."""

    __slots__ = ("_fresh_until", "sketch", "table")

    def __init__(self, sketch: Sketch) -> None:
        self.sketch = sketch
        self.table: Distribution | None = None
        self._fresh_until = 0

    @property
    def is_stale(self) -> bool:
        return self.sketch.observed >= self._fresh_until

    def merge(self, other: _Level) -> None:
        self.sketch.merge(other.sketch)
        self.table = None

    def keep(self, table: Distribution) -> None:
        self.table = table
        more = max(1, math.floor(self.sketch.count) // _REFRESH_PART)
        self._fresh_until = self.sketch.observed + more
