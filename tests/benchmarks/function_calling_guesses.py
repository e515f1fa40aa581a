"""An experiment, no part of agentrt: reads that are started before there is a plan.

Where earlier plans called a tool once with each name in their question, and nothing else, the same is
done for the next question at once; a plan that asks for it finds it under way. Only tools without
effects are guessed at.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from agentrt.ir.tool import ToolSpec
from agentrt.planner.shape import shape_of
from agentrt.runtime.planned import Call
from tests.benchmarks.function_calling_questions import Question, Shape

LEAST_SEEN = 4
LEAST_SHARE = 0.75

_Place = tuple[str, str]


class Guesses:
    """What share of the names in questions each parameter of a tool was called with, by shape."""

    def __init__(self) -> None:
        self._seen: Counter[Shape] = Counter()
        self._used: dict[Shape, Counter[_Place]] = {}

    def learn(self, question: Question, called: Sequence[tuple[str, str, str]]) -> None:
        """What was called in the end: tool, parameter, value."""
        slots = dict.fromkeys(shape_of(question.text).slots)
        self._seen[question.shape] += len(slots)
        used = self._used.setdefault(question.shape, Counter())
        for name, parameter, value in dict.fromkeys(called):
            used[name, parameter] += value in slots

    def calls(self, question: Question) -> list[tuple[str, str, str]]:
        """What to call now: tool, parameter, value."""
        seen = self._seen[question.shape]
        if seen < LEAST_SEEN:
            return []
        slots = dict.fromkeys(shape_of(question.text).slots)
        places = self._used[question.shape].items()
        likely = [place for place, used in places if used / seen >= LEAST_SHARE]
        return [(name, parameter, slot) for name, parameter in likely for slot in slots]


class Guessing:
    """The tools for one question, some of whose results may be under way already."""

    def __init__(
        self, guesses: Guesses, question: Question, tools: Sequence[tuple[ToolSpec, Call]]
    ) -> None:
        self._guesses = guesses
        self._question = question
        self._tools = {spec.name: (spec, call) for spec, call in tools}
        self._started: dict[tuple[str, str, str], asyncio.Task[object]] = {}
        self._called: list[tuple[str, str, str]] = []

    def start(self, group: asyncio.TaskGroup) -> None:
        for name, parameter, value in self._guesses.calls(self._question):
            spec, call = self._tools[name]
            if spec.effects != "write":
                task: asyncio.Task[object] = group.create_task(_made(call, parameter, value))
                self._started[name, parameter, value] = task

    def tools(self) -> list[tuple[ToolSpec, Call]]:
        return [(spec, self._found_or_made(spec)) for spec, _ in self._tools.values()]

    def finish(self) -> None:
        """What nobody asked for is broken off; what was asked for is learned from."""
        for task in self._started.values():
            task.cancel()
        self._guesses.learn(self._question, self._called)

    def _found_or_made(self, spec: ToolSpec) -> Call:
        async def call(**arguments: object) -> object:
            (parameter, value), *others = arguments.items()
            key = (spec.name, parameter, str(value))
            if not others:
                self._called.append(key)
                if key in self._started:
                    return await self._started[key]
            return await self._tools[spec.name][1](**arguments)

        return call


async def _made(call: Call, parameter: str, value: str) -> object:
    return await call(**{parameter: value})
