"""LLMCompiler's algorithm as published, written anew from its description.

A callback cuts the planner's stream at line breaks; a queue hands over tasks one at a time; the unit that
fetches them waits for the next line before it looks for what can run, polls every 10 ms when nothing can,
and replaces references in the text of arguments. Of its defects (docs/function-calling.md) those that
only make runs fail are not sought out; what it does to answers is left as it is.
"""

from __future__ import annotations

import ast
import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.function_calling_scripts import instructions
from tests.benchmarks.function_calling_world import World

POLL_S = 0.01
_THOUGHT = re.compile(r"Thought: ([^\n]*)")
_ACTION = re.compile(r"\n*(\d+)\. (\w+)\((.*)\)(\s*#\w+\n)?")
_REFERENCE = re.compile(r"\$\{?(\d+)\}?")


@dataclass(slots=True)
class _Task:
    id: int
    tool: str
    arguments: list[Any]
    reads: list[int]
    observation: str | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_join(self) -> bool:
        return self.tool == "join"


class _Parser:
    """Text in, token by token; a task for each line that is one."""

    def __init__(self) -> None:
        self._buffer = ""

    def token(self, text: str) -> _Task | None:
        if "\n" not in text:
            self._buffer += text
            return None
        before, _, after = text.partition("\n")
        line, self._buffer = f"{self._buffer}{before.strip()}\n", after
        return _task(line)

    def close(self) -> _Task | None:
        return _task(f"{self._buffer}\n")


def _task(line: str) -> _Task | None:
    found = None if _THOUGHT.match(line) else _ACTION.match(line)
    if found is None:
        return None
    number, tool, text = int(found[1]), found[2], found[3]
    reads = [int(each) for each in _REFERENCE.findall(text) if int(each) < number]
    if tool == "join":
        reads = list(range(1, number))
    return _Task(number, tool, _arguments(text), reads)


def _arguments(text: str) -> list[Any]:
    if not text:
        return []
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return [text]
    return list(value) if isinstance(value, tuple) else [value]


class _FetchingUnit:
    def __init__(self, world: World) -> None:
        self._world = world
        self._remaining: list[int] = []
        self.tasks: dict[int, _Task] = {}

    async def schedule(self, queue: asyncio.Queue[_Task | None]) -> None:
        has_more = True
        async with asyncio.TaskGroup() as group:
            while True:
                if has_more:
                    task = await queue.get()
                    if task is None:
                        has_more = False
                    else:
                        self.tasks[task.id] = task
                        self._remaining.append(task.id)
                ready = [each for each in self._remaining if self._is_ready(each)]
                for each in ready:
                    self._remaining.remove(each)
                    group.create_task(self._run(self.tasks[each]))
                if ready:
                    continue
                if not has_more and all(each.done.is_set() for each in self.tasks.values()):
                    return
                await self._world.pause(POLL_S)

    def _is_ready(self, number: int) -> bool:
        return all(self.tasks[read].done.is_set() for read in self.tasks[number].reads)

    async def _run(self, task: _Task) -> None:
        if not task.is_join:
            arguments = [self._replaced(each, task.reads) for each in task.arguments]
            task.observation = await self._world.call(task.tool, str(arguments[0]))
        task.done.set()

    def _replaced(self, argument: Any, reads: list[int]) -> Any:
        if isinstance(argument, list):
            return [self._replaced(each, reads) for each in argument]
        if not isinstance(argument, str):
            return argument
        for read in sorted(reads, reverse=True):
            observation = self.tasks[read].observation
            if observation is not None:
                for mark in (f"${{{read}}}", f"${read}"):
                    argument = argument.replace(mark, observation)
        return argument


async def published(world: World) -> str:
    question = world.question
    queue: asyncio.Queue[_Task | None] = asyncio.Queue()
    unit = _FetchingUnit(world)
    async with asyncio.TaskGroup() as group:
        group.create_task(_plan(world, queue))
        await unit.schedule(queue)
    scratchpad = "".join(
        f"{task.tool}({task.arguments[0]})\nObservation: {task.observation}\n"
        for task in unit.tasks.values()
        if not task.is_join
    )
    prompt = (
        f"{instructions('joiner', question.shape)}\nQuestion: {question.text}\n\n{scratchpad}\n"
    )
    text = await world.ask("joiner", [{"role": "user", "content": prompt}])
    answer = ""
    for line in text.split("\n"):
        if line.startswith("Action:"):
            answer = line[line.find("(") + 1 : line.find(")")]
    return answer


async def _plan(world: World, queue: asyncio.Queue[_Task | None]) -> None:
    parser = _Parser()
    messages = [
        {"role": "system", "content": instructions("planner", world.question.shape)},
        {"role": "user", "content": f"Question: {world.question.text}"},
    ]
    async for delta in world.stream("planner", messages):
        task = parser.token(delta["content"])
        if task is not None:
            await queue.put(task)
    task = parser.close()
    if task is not None:
        await queue.put(task)
    await queue.put(None)
