"""The joiner: the results in; an answer out, or why another plan is needed. Structured both ways."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from agentrt.ir.lint_value import json_problem
from agentrt.ir.request import Completion, Message
from agentrt.ir.schema import Json, Schema, is_object

TEXT: Schema = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the question, as JSON."""

    value: Json


@dataclass(frozen=True, slots=True)
class Replan:
    """The results do not suffice; `reason` says what is missing."""

    reason: str


Verdict: TypeAlias = Answer | Replan


class JoinError(ValueError):
    """The text is no verdict; the message says why, in words that a model can act on."""


def join_message(
    results: Iterable[tuple[int, str]], *, may_replan: bool, instructions: str = ""
) -> Message:
    """Asks for the verdict; `instructions` are the author's about the answer."""
    shown = "\n".join(f"${task_id}: {text}" for task_id, text in results)
    parts = [f"Results:\n{shown}" if shown else "There are no results."]
    if may_replan:
        parts.append(
            'Answer the question from the results as {"verdict": {"answer": ...}}. If they do not '
            'suffice, write {"verdict": {"replan": "what is missing"}} instead.'
        )
    else:
        parts.append("Answer the question from the results.")
    return Message("user", "\n".join([*parts, *([instructions] if instructions else [])]))


def join_schema(answer: Schema, *, may_replan: bool) -> Schema | None:
    """The JSON Schema of a verdict; None: text, the answer itself.

    An object is at its root, which strict servers ask for, and the alternatives are below it: a
    model that is held to it cannot decide both.
    """
    if not may_replan and answer == TEXT:
        return None
    inner = dict(answer)
    definitions = inner.pop("$defs", None)
    schema = _object("answer", inner)
    if may_replan:
        schema = _object("verdict", {"anyOf": [schema, _object("replan", TEXT)]})
    return schema | ({"$defs": definitions} if definitions else {})


def _object(key: str, value: Schema) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": {key: dict(value)},
        "required": [key],
        "additionalProperties": False,
    }


def read_join(completion: Completion, *, answer: Schema, may_replan: bool) -> Verdict:
    """What the joiner decided. An answer is a key of its own: no word in it decides anything.

    A verdict without the key `verdict` around it is one too, and keys that are null are not there.
    Whether the answer fits its schema is for whoever asked to check.

    Raises:
        JoinError: it decided nothing, or both.
    """
    if join_schema(answer, may_replan=may_replan) is None:
        if not completion.text.strip():
            raise JoinError("the answer is empty")
        return Answer(completion.text.strip())
    data = _object_in(completion)
    if "answer" not in data and is_object(within := data.get("verdict")):
        data = within
    reason = data.get("replan")
    has_answer = data.get("answer") is not None or (
        "answer" in data and reason is None and _takes_null(answer)
    )
    # Models fill in both keys, and leave the one empty that they do not mean.
    if has_answer and (reason is None or _is_blank(reason)):
        return Answer(data["answer"])
    has_answer = has_answer and not _is_blank(data["answer"])
    if not may_replan:
        raise JoinError('the verdict must have the key "answer"')
    if has_answer:
        raise JoinError('the verdict is {"answer": ...} or {"replan": "..."}, not both')
    if not isinstance(reason, str) or not reason.strip():
        raise JoinError('the verdict must be {"answer": ...} or {"replan": "what is missing"}')
    return Replan(reason)


def _object_in(completion: Completion) -> dict[str, Json]:
    try:
        data = json.loads(_unfenced(completion.text))
    except (ValueError, RecursionError):
        if completion.is_cut:
            raise JoinError("the verdict was cut off before its end: it is too long") from None
        raise JoinError("the verdict is not valid JSON") from None
    if problem := json_problem(data):
        raise JoinError(f"the verdict is not valid JSON: {problem}")
    if not is_object(data):
        raise JoinError('the verdict is an object, {"answer": ...}')
    return data


def _unfenced(text: str) -> str:
    """`text` without the Markdown fence, and the words around it, that models put around JSON."""
    if "```" not in text or text.lstrip().startswith("{"):
        return text
    fenced = text.partition("```")[2].rpartition("```")[0]
    return fenced[max(0, fenced.find("{")) :]


def _is_blank(value: Json) -> bool:
    return isinstance(value, str) and not value.strip()


def replan_message(next_id: int) -> Message:
    """Asks for another plan, after a verdict that wants one."""
    return Message(
        "user",
        "Write a plan for what is missing only. The results above are there: refer to them by their "
        f"numbers and do not ask for them again. The first line is task {next_id}.",
    )


def _takes_null(schema: Schema) -> bool:
    kinds = schema.get("type")
    parts = schema.get("anyOf", [])
    return kinds == "null" or "null" in (kinds or ()) or {"type": "null"} in parts
