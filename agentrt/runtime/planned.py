"""`answer_with_plan`: the planner without workflows, stores and schedulers.

For whoever has an async completion function and some tools. `plan_and_run` in a workflow adds what a
`Runtime` adds: retries, limits, timeouts, records, resuming, scheduling.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias, assert_never

from agentrt.backends.base import OnChunk
from agentrt.errors import InvariantError, LimitExceeded, OutputError
from agentrt.ir.request import Chunk, Completion, Request
from agentrt.ir.schema import Json, Schema
from agentrt.ir.tool import ToolSpec
from agentrt.planner.actions import (
    AskJoin,
    AskPlan,
    GiveAnswer,
    GiveUp,
    PlanAction,
    PlanLimits,
    RunTask,
)
from agentrt.planner.arguments import value_problem
from agentrt.planner.cache import PlanCache
from agentrt.planner.join import TEXT, Answer, JoinError, Verdict, read_join
from agentrt.planner.outcome import Outcome, failed
from agentrt.planner.planning import Planning
from agentrt.runtime.ending import only_cause

Complete: TypeAlias = Callable[[Request, OnChunk], Awaitable[Completion]]
"""Answers a request, handing over each piece of text as it comes."""

Call: TypeAlias = Callable[..., Awaitable[Json]]
"""A tool: JSON arguments by name in, JSON out."""


async def answer_with_plan(
    question: str,
    *,
    tools: Iterable[tuple[ToolSpec, Call]],
    complete: Complete,
    answer: Schema = TEXT,
    limits: PlanLimits | None = None,
    plans: PlanCache | None = None,
) -> Json:
    """The answer to `question`, as JSON that fits `answer`.

    Args:
        question: What is asked.
        tools: What plans may call. What a tool raises is an observation for the joiner.
        complete: Makes the LLM calls; `request.grammar` and `request.output_schema` are wishes.
        answer: The JSON Schema of the answer.
        limits: None: the defaults.
        plans: Where plans come from and go to; None: each question is planned for.

    Raises:
        LimitExceeded: a limit was reached before there was an answer.
        OutputError: the joiner gave no verdict, or no answer that fits, however often it was asked.
        Exception: what `complete` raised.
    """
    pairs = list(tools)
    planning = Planning([spec for spec, _ in pairs], question, answer=answer, limits=limits)
    drive = _Drive(planning, pairs, complete, answer, plans)
    try:
        async with asyncio.TaskGroup() as drive.tasks:
            drive.perform(planning.begin())
    except BaseExceptionGroup as group:
        raise only_cause(group) from group
    if drive.error is not None:
        raise drive.error
    if not drive.has_answered:
        raise InvariantError("a plan came to a standstill", story=planning.transcript)
    if plans is not None and planning.reusable_plan is not None:
        plans.add(planning.tools, question, planning.reusable_plan)
    return drive.answer


class _Drive:
    """Performs actions in tasks of one group, and feeds back what came of them."""

    tasks: asyncio.TaskGroup

    def __init__(
        self,
        planning: Planning,
        tools: list[tuple[ToolSpec, Call]],
        complete: Complete,
        schema: Schema,
        plans: PlanCache | None,
    ) -> None:
        self._planning = planning
        self._tools = {spec.name: (spec, call) for spec, call in tools}
        self._complete = complete
        self._schema = schema
        self._plans = plans
        self.answer: Json = None
        self.has_answered = False
        self.error: LimitExceeded | OutputError | None = None

    def perform(self, actions: list[PlanAction]) -> None:
        for action in actions:
            match action:
                case AskPlan():
                    self.tasks.create_task(self._write(action))
                case RunTask():
                    self.tasks.create_task(self._run(action))
                case AskJoin():
                    self.tasks.create_task(self._join(action))
                case GiveAnswer(value):
                    self.answer, self.has_answered = value, True
                case GiveUp(limit, why):
                    transcript = self._planning.transcript
                    self.error = LimitExceeded(why, limit=limit, transcript=transcript)
                case _:
                    assert_never(action)

    async def _write(self, ask: AskPlan) -> None:
        planning = self._planning
        if self._plans is not None and ask.plan == ask.repair == 0:
            cached = self._plans.find(planning.tools, planning.question)
            if cached is not None:
                self.perform(planning.plan_ended(cached))
                return

        def on_chunk(chunk: Chunk) -> None:
            self.perform(planning.received(chunk.text, of=ask))

        request = Request(messages=ask.messages, grammar=ask.grammar)
        completion = await self._complete(request, on_chunk)
        text, tokens = completion.text, completion.usage.total_tokens
        self.perform(planning.plan_ended(text, is_cut=completion.is_cut, tokens=tokens, of=ask))

    async def _run(self, run: RunTask) -> None:
        spec, call = self._tools[run.task.tool]
        try:
            outcome = _outcome(await call(**run.arguments))
        except Exception as error:  # noqa: BLE001  what a tool raises is for the joiner
            # A write that was given up on half-way may have happened.
            is_unknown = spec.effects == "write" and isinstance(error, TimeoutError)
            outcome = failed(f"{type(error).__name__}: {error}", is_final=is_unknown)
        self.perform(self._planning.task_ended(run.task.id, outcome))

    async def _join(self, ask: AskJoin) -> None:
        request = Request(messages=ask.messages, output_schema=ask.schema)
        completion = await self._complete(request, _ignore)
        text, tokens = completion.text, completion.usage.total_tokens
        try:
            verdict = read_join(completion, answer=self._schema, may_replan=ask.may_replan)
            self._check(verdict)
        except JoinError as error:
            again = self._planning.join_rejected(completion.quoted(), str(error), tokens=tokens)
            if any(isinstance(action, GiveUp) for action in again):
                self.error = OutputError(f"the joiner gave no answer: {error}", answer=text)
            else:
                self.perform(again)
            return
        self.perform(self._planning.join_ended(verdict, text, tokens=tokens))

    def _check(self, verdict: Verdict) -> None:
        problem = (
            value_problem(verdict.value, self._schema) if isinstance(verdict, Answer) else None
        )
        if problem is not None:
            raise JoinError(f"the answer {problem}")


def _outcome(value: object) -> Outcome:
    try:
        return Outcome(
            json.loads(json.dumps(value))
        )  # as references will find it: tuples are lists
    except (TypeError, ValueError, RecursionError) as error:
        return failed(f"the result has no JSON form: {error}", is_final=True)


def _ignore(_chunk: Chunk) -> None:
    """Nothing of a verdict can be used before all of it is there."""
