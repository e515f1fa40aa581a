"""`PlanGuesses`: what a plan will likely ask for, told by earlier plans before there is one.

Where most names and numbers in earlier questions were arguments of a tool as they stood there
(`get_order(id=1234)`), so they will be in the next question. A guess is a call that may be made while
the plan is still being written; it decides nothing, and costs a call in vain where it was wrong.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agentrt.ir.schema import Json, canonical_json
from agentrt.ir.tool import ToolSpec
from agentrt.planner.cache import number_of, tasks_of, tools_digest
from agentrt.planner.line import LineError
from agentrt.planner.shape import shape_of
from agentrt.planner.task import Task

_LEAST_SEEN = 4
_LEAST_SHARE = 0.6
# What a plan told counts half as much after 34 more.
_KEPT = 0.98
_MOST_CALLS = 16
_MOST_PLACES = 64


@dataclass(frozen=True, slots=True)
class Guess:
    """A call that a plan is likely to ask for. `arguments` were not checked."""

    tool: str
    arguments: dict[str, Json]


@dataclass(frozen=True, slots=True)
class GuessReport:
    """What became of guesses: how many were started, and how many of those a plan asked for."""

    started: int = 0
    taken: int = 0

    @property
    def taken_share(self) -> float:
        """Of those started; 0 before the first one."""
        return self.taken / self.started if self.started else 0.0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a slot's value went: a parameter of a tool, beside other arguments that were constant."""

    tool: str
    parameter: str
    others: str
    is_number: bool


class _Known:
    """What plans for one set of tools did with the slots of their questions."""

    def __init__(self) -> None:
        self.seen = 0
        self.slots = 0.0
        self.places: dict[_Place, float] = {}

    def learn(self, slots: int, places: Iterable[_Place]) -> None:
        self.seen += slots
        self.slots = self.slots * _KEPT + slots
        self.places = {place: used * _KEPT for place, used in self.places.items()}
        for place in places:
            self.places[place] = self.places.get(place, 0.0) + 1.0
        most_used = sorted(self.places.items(), key=lambda item: -item[1])
        self.places = dict(most_used[:_MOST_PLACES])

    def likely(self) -> list[_Place]:
        if self.seen < _LEAST_SEEN:
            return []
        return [place for place, used in self.places.items() if used >= _LEAST_SHARE * self.slots]


class PlanGuesses:
    """Learns from plans that went through; of sets of tools, those used least recently go first.

    A parameter is guessed at where three fifths of the slots (names, numbers, quoted texts: as
    `PlanCache` finds them) of the questions so far were its argument, each beside the same other
    arguments. Plans of late count most: where guesses stop being right, they stop.
    """

    def __init__(self, *, max_tool_sets: int = 64) -> None:
        if max_tool_sets < 1:
            raise ValueError(f"guesses are for one set of tools at least, not {max_tool_sets}")
        self._max_tool_sets = max_tool_sets
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._started = 0
        self._taken = 0

    @property
    def report(self) -> GuessReport:
        return GuessReport(self._started, self._taken)

    def count(self, *, started: int = 0, taken: int = 0) -> None:
        """What became of guesses, told by whoever makes the calls."""
        self._started += started
        self._taken += taken

    def learn(self, tools: Iterable[ToolSpec], question: str, plan: str) -> None:
        """`plan`, as text, went through for `question`."""
        tools = tuple(tools)
        slots = set(shape_of(question).slots)
        if not slots:
            return
        try:
            tasks = tasks_of(plan, tools)
        except LineError:
            return
        digest = tools_digest(tools)
        known = self._known.setdefault(digest, _Known())
        # Each place once for a value, in the order of the plan: guesses come in that order.
        found = dict.fromkeys(pair for task in tasks for pair in _places(task, slots))
        known.learn(len(slots), (place for _, place in found))
        self._known.move_to_end(digest)
        if len(self._known) > self._max_tool_sets:
            self._known.popitem(last=False)

    def calls(self, tools: Iterable[ToolSpec], question: str) -> list[Guess]:
        """What to call now for `question`: tools without effects, that answer alike if asked again."""
        tools = tuple(tools)
        known = self._known.get(tools_digest(tools))
        if known is None:
            return []
        may = {tool.name for tool in tools if tool.effects != "write" and tool.is_deterministic}
        slots = dict.fromkeys(shape_of(question).slots)
        found = [
            guess
            for place in known.likely()
            if place.tool in may
            for slot in slots
            if (guess := _guess(place, slot)) is not None
        ]
        return found[:_MOST_CALLS]


def _places(task: Task, slots: set[str]) -> Iterator[tuple[str, _Place]]:
    """The slots' values that `task` was called with, each as the only thing that is its own."""
    if task.references:
        return
    for name, value in task.arguments.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        text = value if isinstance(value, str) else str(value) if is_number else None
        others = {key: each for key, each in task.arguments.items() if key != name}
        if text in slots and not any(str(each) in slots for each in others.values()):
            yield text, _Place(task.tool, name, canonical_json(others), is_number)


def _guess(place: _Place, slot: str) -> Guess | None:
    try:
        value: Json = number_of(slot) if place.is_number else slot
    except ValueError:
        return None  # a name where numbers went
    others: dict[str, Json] = json.loads(place.others)
    return Guess(place.tool, {**others, place.parameter: value})
