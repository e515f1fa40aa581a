"""The contenders of `function_calling`: each answers a question with the same model and the same tools."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from agentrt.errors import InvariantError
from agentrt.ir.request import Message
from agentrt.planner import (
    Answer,
    AskJoin,
    AskPlan,
    GiveAnswer,
    GiveUp,
    Outcome,
    PlanAction,
    PlanCache,
    Planning,
    RunTask,
    read_join,
)
from agentrt.planner.join import TEXT
from tests.benchmarks import function_calling_scripts as scripts
from tests.benchmarks.function_calling_published import published
from tests.benchmarks.function_calling_questions import Question
from tests.benchmarks.function_calling_world import World, tools_for

THOUGHTFUL = {
    "type": "object",
    "properties": {"thought": TEXT, "answer": TEXT},
    "required": ["thought", "answer"],
}


async def react(world: World) -> str:
    """One call at a time, each after the result of the one before."""
    question = world.question
    prompt = f"{scripts.instructions('react', question.shape)}\nQuestion: {question.text}\n"
    while True:
        text = await world.ask("main", [{"role": "user", "content": prompt}])
        verb, _, rest = text.rpartition("Action: ")[2].partition("[")
        argument = rest.removesuffix("]")
        if verb == "Finish":
            return argument
        tool = "search" if verb == "Search" else "math"
        prompt += f"{text}\nObservation: {await world.call(tool, argument)}\n"


async def parallel(world: World) -> str:
    """Messages of tool calls; all of a message run at once, when the message is whole."""
    question = world.question
    tools = scripts.tool_schemas(question)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": scripts.instructions("parallel", question.shape)},
        {"role": "user", "content": question.text},
    ]
    while True:
        text = ""
        calls: dict[int, dict[str, Any]] = {}
        async for delta in world.stream("main", messages, tools=tools):
            text += delta.get("content", "")
            for piece in delta.get("tool_calls", ()):
                if "id" in piece:
                    calls[piece["index"]] = {key: piece[key] for key in ("id", "type", "function")}
                else:
                    arguments = piece["function"]["arguments"]
                    calls[piece["index"]]["function"]["arguments"] += arguments
        if not calls:
            return text.removeprefix("The answer is ").removesuffix(".")
        messages.append({"role": "assistant", "content": text, "tool_calls": list(calls.values())})
        async with asyncio.TaskGroup() as group:
            running = {
                call["id"]: group.create_task(_called(world, call["function"]))
                for call in calls.values()
            }
        messages += [
            {"role": "tool", "tool_call_id": call_id, "content": task.result()}
            for call_id, task in running.items()
        ]


async def _called(world: World, function: dict[str, str]) -> str:
    arguments = json.loads(function["arguments"])
    return await world.call(function["name"], next(iter(arguments.values())))


@dataclass(slots=True)
class _Planned:
    """Drives `Planning` for one question.

    Attributes:
        is_early: Whether tasks may start before the plan is whole.
        cache: Plans of questions before this one; None: none are kept.
    """

    world: World
    planning: Planning
    group: asyncio.TaskGroup
    is_early: bool
    cache: PlanCache | None
    schema: Any
    answer: Any = None

    def perform(self, actions: Sequence[PlanAction]) -> None:
        for action in actions:
            match action:
                case AskPlan():
                    self.group.create_task(self._plan(action))
                case RunTask():
                    self.group.create_task(self._run(action))
                case AskJoin():
                    self.group.create_task(self._join(action))
                case GiveAnswer(value):
                    self.answer = value
                case GiveUp(limit, why):
                    raise InvariantError(f"{limit}: {why}")
                case _:
                    assert_never(action)

    async def _plan(self, asked: AskPlan) -> None:
        question = self.world.question
        if self.cache is not None and asked.plan == asked.repair == 0:
            found = self.cache.find(self.planning.tools, question.text)
            if found is not None:
                self.world.record.is_from_cache = True
                self.perform(self.planning.plan_ended(found))
                return
        text = ""
        async for delta in self.world.stream("planner", _sent(asked.messages)):
            text += delta["content"]
            if self.is_early:
                self.perform(self.planning.received(delta["content"]))
        self.perform(self.planning.plan_ended(text))

    async def _run(self, asked: RunTask) -> None:
        text = str(next(iter(asked.arguments.values())))
        result = await self.world.call(asked.task.tool, text)
        self.perform(self.planning.task_ended(asked.task.id, Outcome(result)))

    async def _join(self, asked: AskJoin) -> None:
        form = {"type": "json_schema", "json_schema": asked.schema} if asked.schema else None
        text = await self.world.ask("joiner", _sent(asked.messages), response_format=form)
        verdict = read_join(text, answer=self.schema, may_replan=asked.may_replan)
        if isinstance(verdict, Answer) and self.cache is not None:
            plan = self.planning.reusable_plan
            if plan is not None:
                self.cache.add(self.planning.tools, self.world.question.text, plan)
        self.perform(self.planning.join_ended(verdict, text))


def _sent(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [{"role": each.role, "content": each.content} for each in messages]


@dataclass(frozen=True, slots=True)
class _Agentrt:
    """agentrt.planner, whole or with a part of it left out."""

    is_early: bool = True
    thinks: bool = False
    cache: PlanCache | None = None

    async def __call__(self, world: World) -> str:
        question = world.question
        schema = THOUGHTFUL if self.thinks else TEXT
        planning = Planning(tools_for(question.shape), question.text, answer=schema)
        async with asyncio.TaskGroup() as group:
            drive = _Planned(world, planning, group, self.is_early, self.cache, schema)
            drive.perform(planning.begin())
        return str(drive.answer["answer"] if self.thinks else drive.answer)

    def writes(self, question: Question) -> Mapping[str, Sequence[Any]]:
        return scripts.planned(question, thinks=self.thinks)


Answering: TypeAlias = Callable[[World], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Contender:
    """Attributes:
    writes: What models write for it, by model, call by call.
    cache: Of plans, where it has one.
    """

    name: str
    answer: Answering
    writes: Callable[[Question], Mapping[str, Sequence[Any]]]
    cache: PlanCache | None = None


def contenders() -> list[Contender]:
    """All of them, with empty caches."""
    cache = PlanCache()
    variants = {
        "agentrt": _Agentrt(),
        "agentrt-late": _Agentrt(is_early=False),
        "agentrt-thought": _Agentrt(thinks=True),
        "agentrt-cached": _Agentrt(cache=cache),
    }
    return [
        Contender("react", react, scripts.react),
        Contender("parallel", parallel, scripts.parallel),
        Contender("published", published, scripts.published),
        *(Contender(name, each, each.writes, each.cache) for name, each in variants.items()),
    ]
