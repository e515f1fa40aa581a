"""`PlanCache`: a plan is used again for the same tools and a question of the same shape.

What differs between two such questions are the slots' values. A plan is kept with holes where those
values stood, and only if nothing else of it can stem from them: each value must stand in an argument
verbatim, and what remains around the holes must not be a name or a number that the rest of the
question does not have.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from agentrt.ir.schema import Json, canonical_json, content_hash, is_list, is_object
from agentrt.ir.tool import ToolSpec
from agentrt.planner.line import LineError, is_join, read_line
from agentrt.planner.shape import Shape, shape_of
from agentrt.planner.task import Reference, Task

_TELLING = re.compile(r"[A-Z][\w'\u2019-]+|\d+")


@dataclass(frozen=True, slots=True)
class CacheReport:
    """How often a plan was there: what is shown of a cache."""

    hits: int = 0
    misses: int = 0
    kept: int = 0

    @property
    def hit_rate(self) -> float:
        """Of the questions asked; 0 before the first one."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where the value of a slot stood, in a text or instead of a number."""

    slot: int


_Pattern = tuple[Task, ...]


class PlanCache:
    """Plans by tools and shape of question; those used least recently go first."""

    def __init__(self, *, max_plans: int = 256) -> None:
        if max_plans < 1:
            raise ValueError(f"a cache keeps at least one plan, not {max_plans}")
        self._max_plans = max_plans
        self._plans: OrderedDict[str, tuple[Shape, _Pattern]] = OrderedDict()
        self._hits = 0
        self._misses = 0

    @property
    def report(self) -> CacheReport:
        return CacheReport(self._hits, self._misses, len(self._plans))

    def find(self, tools: Iterable[ToolSpec], question: str) -> str | None:
        """The text of a plan for `question`, ending in its join; None: there is none."""
        shape = shape_of(question)
        key = _key(tools, shape)
        known = self._plans.get(key)
        plan = None if known is None else _filled(*known, shape)
        if plan is None:
            self._misses += 1
            return None
        self._hits += 1
        self._plans.move_to_end(key)
        return plan

    def add(self, tools: Iterable[ToolSpec], question: str, plan: str) -> bool:
        """Keep `plan`, which answered `question`; False if it cannot be used for another one."""
        tools = tuple(tools)
        shape = shape_of(question)
        pattern = _pattern(plan, shape, tools)
        if pattern is None:
            return False
        key = _key(tools, shape)
        self._plans[key] = (shape, pattern)
        self._plans.move_to_end(key)
        if len(self._plans) > self._max_plans:
            self._plans.popitem(last=False)
        return True


def tools_digest(tools: Iterable[ToolSpec]) -> str:
    """One text for one set of tools, whatever their order; another for any change of them."""
    shown = sorted(
        [tool.name, tool.description, canonical_json(tool.parameters), canonical_json(tool.output)]
        for tool in tools
    )
    return content_hash(shown)


def tasks_of(plan: str, tools: Iterable[ToolSpec]) -> list[Task]:
    """The tasks of a plan as text, up to its join.

    Raises:
        LineError: a line is none.
    """
    has_tool_join = any(tool.name == "join" for tool in tools)
    found: list[Task] = []
    for line in filter(str.strip, plan.split("\n")):
        if is_join(line, has_tool_join=has_tool_join):
            break
        found.append(read_line(line))
    return found


def _key(tools: Iterable[ToolSpec], shape: Shape) -> str:
    return content_hash([tools_digest(tools), list(shape.pieces)])


def _pattern(plan: str, shape: Shape, tools: Iterable[ToolSpec]) -> _Pattern | None:
    """The plan with holes; None if a slot's value is not all that it takes from the question."""
    used: set[int] = set()
    static = set(_TELLING.findall(" ".join(shape.pieces)))
    puncher = _Puncher(shape.slots, static, used)
    try:
        found = tasks_of(plan, tools)
    except LineError:
        return None
    tasks = [Task(each.id, each.tool, puncher.punched(dict(each.arguments))) for each in found]
    is_whole = not puncher.has_failed and used == {
        shape.slots.index(value) for value in shape.slots
    }
    return tuple(tasks) if tasks and is_whole else None


class _Puncher:
    """Replaces the values of slots by holes."""

    def __init__(self, slots: Sequence[str], static: set[str], used: set[int]) -> None:
        self._slots = slots
        self._static = static
        self._used = used
        self.has_failed = False
        # Longest first: a name may hold another.
        longest = sorted(set(slots), key=len, reverse=True)
        found = "|".join(re.escape(value) for value in longest)
        self._values = re.compile(rf"(?<!\w)(?:{found})(?!\w)") if longest else None

    def punched(self, value: Any) -> Any:
        if isinstance(value, Reference):
            return value
        if isinstance(value, str):
            return self._text(value)
        if is_list(value):
            return [self.punched(item) for item in value]
        if is_object(value):
            return {name: self.punched(item) for name, item in value.items()}
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._number(value)
        return value

    def _text(self, text: str) -> Any:
        parts: list[str | _Hole] = []
        at = 0
        for found in self._values.finditer(text) if self._values is not None else ():
            parts += [text[at : found.start()], self._hole(found[0])]
            at = found.end()
        parts.append(text[at:])
        for rest in parts:
            if isinstance(rest, str) and not set(_TELLING.findall(rest)) <= self._static:
                self.has_failed = (
                    True  # a name that came from somewhere else: from knowing the value
                )
        return tuple(parts)

    def _number(self, number: float) -> Any:
        return self._hole(str(number)) if str(number) in self._slots else number

    def _hole(self, value: str) -> _Hole:
        slot = self._slots.index(value)
        self._used.add(slot)
        return _Hole(slot)


def _filled(known: Shape, pattern: _Pattern, asked: Shape) -> str | None:
    """The plan for other values; None where two slots were one value and now are two."""
    for index, value in enumerate(known.slots):
        if asked.slots[index] != asked.slots[known.slots.index(value)]:
            return None
    try:
        tasks = [Task(t.id, t.tool, _fill(dict(t.arguments), asked.slots)) for t in pattern]
    except ValueError:
        return None  # a word where a number was
    return "\n".join([*map(str, tasks), "join"])


def _fill(value: Any, slots: Sequence[str]) -> Any:
    if isinstance(value, tuple):
        parts = cast("tuple[str | _Hole, ...]", value)
        return "".join(slots[part.slot] if isinstance(part, _Hole) else part for part in parts)
    if isinstance(value, _Hole):
        return number_of(slots[value.slot])
    if is_list(value):
        return [_fill(item, slots) for item in value]
    if is_object(value):
        return {name: _fill(item, slots) for name, item in value.items()}
    return value


def number_of(text: str) -> Json:
    """The number that a slot stands for; a ValueError if it is none."""
    return float(text) if "." in text else int(text)
