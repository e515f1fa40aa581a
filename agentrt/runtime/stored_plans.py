"""What a stored `plan_and_run` asked its model: its planner taken through the stored results once more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from agentrt.ir.node import PlanNode
from agentrt.ir.prompt_break import Piece
from agentrt.ir.request import Completion, Message
from agentrt.ir.schema import Schema
from agentrt.ir.tool import ToolSpec
from agentrt.planner.actions import (
    AskJoin,
    AskPlan,
    GiveAnswer,
    GiveUp,
    PlanAction,
    RunTask,
)
from agentrt.planner.join import JoinError, read_join
from agentrt.planner.planning import Planning
from agentrt.planner.prompt import planner_messages
from agentrt.runtime.plan import CUT, PLAN_CACHE, child_id, limits_of
from agentrt.runtime.plan_outcome import is_same_call_as, task_from_json
from agentrt.runtime.prompt_text import message_text
from agentrt.runtime.restore import completion_from_json
from agentrt.runtime.stored_prompt import StoredPrompt
from agentrt.runtime.stored_values import UNKNOWN
from agentrt.store.base import NodeRecord

_CUT = {"length", CUT}


def plan_prompts(
    node: PlanNode,
    instance_id: str,
    prompt: tuple[Sequence[Piece], Sequence[Piece]],
    *,
    tools: Sequence[ToolSpec],
    records: Mapping[str, NodeRecord],
) -> Iterator[StoredPrompt]:
    """In the order they were asked, as far as the results lead.

    Args:
        node: The plan's.
        instance_id: Of it, in the run.
        prompt: Its `system` text and its question.
        tools: Its tools.
        records: What the run has finished, by id. A line of a plan that only a tool's Python types had
            refused is taken here, so that what was asked about it is not found again.
    """
    system, question = prompt
    planning = Planning(
        tools,
        _text(question),
        answer=node.output,
        instructions=_text(system),
        limits=limits_of(node),
    )
    waiting = deque(planning.begin())
    while waiting:
        action = waiting.popleft()
        if isinstance(action, (GiveAnswer, GiveUp)):
            continue
        node_id = child_id(instance_id, action)
        record = records.get(node_id)
        if isinstance(action, (AskPlan, AskJoin)) and not _is_cached(record):
            yield StoredPrompt(
                node_id=node_id,
                pieces=tuple(_pieces(action.messages, instance_id, question)),
                messages=action.messages,
                output_schema=action.schema if isinstance(action, AskJoin) else None,
                options=node.options,
            )
        if record is None:
            continue
        try:
            waiting.extend(_gone_on(planning, action, record, node.output))
        except UNKNOWN:
            return


def _gone_on(
    planning: Planning, action: AskPlan | RunTask | AskJoin, record: NodeRecord, answer: Schema
) -> list[PlanAction]:
    match action:
        case RunTask():
            if not is_same_call_as(action, record.value):
                raise ValueError(record.node_id)
            return planning.task_ended(action.task.id, task_from_json(record.value))
        case AskPlan():
            said = completion_from_json(record.value)
            return planning.plan_ended(
                said.text,
                is_cut=said.finish_reason in _CUT,
                tokens=record.usage.total_tokens,
                of=action,
            )
        case AskJoin():
            said = completion_from_json(record.value)
            return _joined(planning, action, said, record.usage.total_tokens, answer)
        case _:
            assert_never(action)


def _joined(
    planning: Planning, ask: AskJoin, said: Completion, tokens: int, answer: Schema
) -> list[PlanAction]:
    try:
        verdict = read_join(said, answer=answer, may_replan=ask.may_replan)
    except JoinError as error:
        return planning.join_rejected(said.quoted(), str(error), tokens=tokens)
    return planning.join_ended(verdict, said.text, tokens=tokens)


def _is_cached(record: NodeRecord | None) -> bool:
    """Whether no model was asked."""
    try:
        return record is not None and completion_from_json(record.value).model == PLAN_CACHE
    except UNKNOWN:
        return False


def _pieces(
    messages: Sequence[Message], instance_id: str, question: Sequence[Piece]
) -> Iterator[Piece]:
    words = _text(question)
    for number, message in enumerate(messages):
        if number == 1 and words:
            # By what stands around a question: its words may stand there too.
            before, _, after = planner_messages((), "\0")[1].content.partition("\0")
            yield Piece(message_text(Message(message.role, before)), "static text", number)
            yield from (Piece(piece.text, piece.origin, number) for piece in question)
            yield Piece(after, "static text", number)
        else:
            yield Piece(message_text(message), f"{_what(message, number)} of {instance_id}", number)


def _what(message: Message, number: int) -> str:
    if message.role == "assistant":
        return "an answer of the model"
    return "the instructions and tools" if number == 0 else "what the model was told of the plan"


def _text(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)
