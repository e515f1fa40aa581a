"""agentrt as a contender: `plan_and_run` in a runtime, and the planner with parts of it left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

from agentrt import Runtime, plan_and_run, workflow
from agentrt.backends.base import OnChunk
from agentrt.backends.openai_http import OpenAIBackend
from agentrt.backends.server_kind import GENERIC
from agentrt.dsl.workflow import Workflow
from agentrt.ir.request import Chunk, Completion, Request
from agentrt.planner import PlanCache, PlanMemory
from agentrt.planner.join import TEXT
from agentrt.runtime.planned import Call, answer_with_plan
from tests.benchmarks import function_calling_scripts as scripts
from tests.benchmarks.function_calling_questions import Question, Shape
from tests.benchmarks.function_calling_tools import math, search, tools_for
from tests.benchmarks.function_calling_world import World

THOUGHTFUL = {
    "type": "object",
    "properties": {"thought": TEXT, "answer": TEXT},
    "required": ["thought", "answer"],
}


@workflow
def with_search(question: str) -> str:
    return plan_and_run(tools=[search], question=question)


@workflow
def with_math(question: str) -> str:
    return plan_and_run(tools=[search, math], question=question)


@workflow
def guessing_with_search(question: str) -> str:
    return plan_and_run(tools=[search], question=question, guesses_reads=True)


@workflow
def guessing_with_math(question: str) -> str:
    return plan_and_run(tools=[search, math], question=question, guesses_reads=True)


@dataclass(frozen=True, slots=True)
class InRuntime:
    """All of it: the region, the scheduler, the HTTP backend. It is up before the question comes.

    Attributes:
        guesses: Whether reads may start before the plan. What plans teach is kept for each kind of
            question, as it would be by a program that asks questions of one kind.
    """

    guesses: bool = False
    memories: dict[Shape, PlanMemory] = field(default_factory=dict[Shape, PlanMemory])

    async def __call__(self, world: World) -> str:
        shape = world.question.shape
        backend = OpenAIBackend(world.url, model="main", kind=GENERIC)
        memory = self.memories.setdefault(shape, PlanMemory())
        async with aclosing(backend), Runtime(backend, plan_memory=memory) as runtime:
            await backend.capabilities()
            world.restart()
            answer = await runtime.run(self._workflow(shape), world.question.text)
            world.stop()
        await world.read_calls({"main": ("planner", "joiner")})
        return answer

    def _workflow(self, shape: Shape) -> Workflow[[str], str]:
        if shape == "parallelqa":
            return guessing_with_math if self.guesses else with_math
        return guessing_with_search if self.guesses else with_search


def writes_in_runtime(question: Question) -> Mapping[str, Sequence[Any]]:
    """Planner and joiner are one model there."""
    written = scripts.planned(question)
    return {"main": [*written["planner"], *written["joiner"]]}


@dataclass(frozen=True, slots=True)
class Alone:
    """`answer_with_plan`: the planner without a runtime.

    Attributes:
        is_early: Whether tasks may start before the plan is whole.
        thinks: Whether the answer comes after a thought as long as the published joiner's.
        cache: Plans of questions before this one; None: none are kept.
    """

    is_early: bool = True
    thinks: bool = False
    cache: PlanCache | None = None

    async def __call__(self, world: World) -> str:
        async def complete(request: Request, on_chunk: OnChunk) -> Completion:
            model = "joiner" if request.grammar is None else "planner"
            fields: dict[str, Any] = {}
            if request.output_schema is not None:
                schema = {"name": "verdict", "schema": request.output_schema}
                fields["response_format"] = {"type": "json_schema", "json_schema": schema}
            messages = [{"role": each.role, "content": each.content} for each in request.messages]
            text = ""
            async for delta in world.stream(model, messages, **fields):
                text += delta["content"]
                if self.is_early:
                    on_chunk(Chunk(delta["content"]))
            return Completion(text=text)

        question = world.question
        tools = [(each.spec, cast("Call", each.function)) for each in tools_for(question.shape)]
        answer: Any = await answer_with_plan(
            question.text,
            tools=tools,
            complete=complete,
            answer=THOUGHTFUL if self.thinks else TEXT,
            plans=self.cache,
        )
        world.stop()
        world.record.is_from_cache = all(call.model != "planner" for call in world.record.calls)
        return str(answer["answer"] if self.thinks else answer)

    def writes(self, question: Question) -> Mapping[str, Sequence[Any]]:
        return scripts.planned(question, thinks=self.thinks)
