"""What `Planning` asks its driver to do, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agentrt.ir.request import Message
from agentrt.ir.schema import Json, Schema
from agentrt.planner.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLimits:
    """What ends the planning of one question.

    Attributes:
        max_replans: Plans after the first; then the joiner has to answer.
        max_repairs: Calls for each plan that ask for lines again, or for its missing end.
        max_join_retries: How often a verdict that is none is asked for again.
        max_tasks: Tasks of each plan. A plan with more is an error: nothing of it is guessed.
        max_total_tokens: Prompt and completion tokens of all calls together; None: no limit.
        max_result_characters: Of each result, as the joiner is shown it; the rest is cut.
    """

    max_replans: int = 2
    max_repairs: int = 2
    max_join_retries: int = 2
    max_tasks: int = 64
    max_total_tokens: int | None = None
    max_result_characters: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPlan:
    """Ask a model for a plan, or for lines of it; hand its text to `received` as it comes.

    Attributes:
        plan: Counted from 0.
        repair: 0 for the plan itself, then counted.
        grammar: GBNF of what it may write, for backends that constrain decoding.
    """

    plan: int
    repair: int
    messages: tuple[Message, ...]
    grammar: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """Call a tool now. `arguments` are JSON that fits its schema; no references are left."""

    plan: int
    task: Task
    arguments: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskJoin:
    """Ask a model for the verdict.

    Attributes:
        attempt: 0 at first; then counted, after verdicts that were none.
        schema: What it must fit; None: text.
        may_replan: Whether it may ask for another plan.
    """

    plan: int
    attempt: int
    messages: tuple[Message, ...]
    schema: Schema | None
    may_replan: bool


@dataclass(frozen=True, slots=True)
class GiveAnswer:
    """The question is answered."""

    value: Json


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A limit is reached; `limit` is the name of the attribute of `PlanLimits`."""

    limit: str
    why: str


PlanAction: TypeAlias = AskPlan | RunTask | AskJoin | GiveAnswer | GiveUp
