"""The contenders of `function_calling`: each answers a question with the same model and the same tools."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentrt.planner import PlanCache
from tests.benchmarks import function_calling_scripts as scripts
from tests.benchmarks.function_calling_planned import Alone, InRuntime, writes_in_runtime
from tests.benchmarks.function_calling_published import published
from tests.benchmarks.function_calling_questions import Question
from tests.benchmarks.function_calling_world import World


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


Answering: TypeAlias = Callable[[World], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Contender:
    """Attributes:
    writes: What models write for it, by model, call by call.
    """

    name: str
    answer: Answering
    writes: Callable[[Question], Mapping[str, Sequence[Any]]]


def contenders() -> list[Contender]:
    """All of them, with empty caches."""
    variants = {
        "planner": Alone(),
        "planner, late": Alone(is_early=False),
        "planner, thought": Alone(thinks=True),
        "planner, cached": Alone(cache=PlanCache()),
    }
    return [
        Contender("react", react, scripts.react),
        Contender("parallel", parallel, scripts.parallel),
        Contender("published", published, scripts.published),
        Contender("agentrt", InRuntime(), writes_in_runtime),
        Contender("agentrt, guessing", InRuntime(guesses=True), writes_in_runtime),
        *(Contender(name, each, each.writes) for name, each in variants.items()),
    ]
