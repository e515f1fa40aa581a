"""The input of `/v1/responses`, and the output of its answers: both are lists of the same items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

from agentrt.backends.json_shape import is_array, is_object
from agentrt.gateway.chat_reading import read_role
from agentrt.gateway.content import (
    content_text,
    digested,
    has_too_many_parts,
    json_text,
    plain_string,
    with_reasoning,
)
from agentrt.ir.request import Message, ToolCall

_OF_ONE_ANSWER = {"id", "status", "type", "call_id", "name", "cache_control"}
"""Fields of an item that are no part of what it says, or stand elsewhere."""

_LONGEST_ITEM = 2_048


def read_input(body: dict[str, Any]) -> tuple[Message, ...]:
    """The instructions and the items; items that are one turn of the model make one message."""
    first = [
        Message("system", json_text(body[name]))
        for name in ("prompt", "instructions")
        if body.get(name)
    ]
    given = body.get("input")
    if _is_conversation(given):
        return (*first, *read_items(given))
    text = json_text(given)
    return (*first, Message("user", text)) if text else tuple(first)


def read_items(items: Iterable[Any], *, has_reasoning: bool = True) -> tuple[Message, ...]:
    """Items as messages. Without `has_reasoning` what was thought is left out."""
    messages: list[Message] = []
    turn = _Turn()
    for item in items:
        if turn.takes(item):
            continue
        messages += turn.ended(has_reasoning=has_reasoning)
        messages.append(_message(item))
    return (*messages, *turn.ended(has_reasoning=has_reasoning))


def is_reasoning(item: Any) -> bool:
    """Whether the item is what a model has thought."""
    return is_object(item) and item.get("type") == "reasoning"


def brings_reasoning(given: Any) -> bool:
    """Whether the input has the reasoning of earlier answers."""
    return _is_conversation(given) and any(is_reasoning(item) for item in given)


def _is_conversation(given: Any) -> TypeGuard[list[Any]]:
    return is_array(given) and not has_too_many_parts(given, "content", "summary", "output")


class _Turn:
    """What the model did between two items of others: thought, said, called."""

    def __init__(self) -> None:
        self._reasoning: list[str] = []
        self._text: list[str] = []
        self._calls: list[ToolCall] = []

    def takes(self, item: Any) -> bool:
        """Add the item, if it is the model's."""
        if not is_object(item):
            return False
        kind = item.get("type", "message")
        if kind == "reasoning":
            self._reasoning.append(_thought(item))
        elif kind == "message" and item.get("role") == "assistant":
            self._text.append(content_text(item.get("content")))
        elif isinstance(kind, str) and kind.endswith("_call"):
            self._calls.append(_call(item, kind, len(self._calls)))
        else:
            return False
        return True

    def ended(self, *, has_reasoning: bool) -> tuple[Message, ...]:
        """The turn as a message, if it was one; a new one begins."""
        if not (self._reasoning or self._text or self._calls):
            return ()
        reasoning = "\n".join(self._reasoning) if has_reasoning else ""
        text = with_reasoning("".join(self._text), reasoning)
        message = Message("assistant", text, tuple(self._calls))
        self._reasoning, self._text, self._calls = [], [], []
        return (message,)


def _message(item: Any) -> Message:
    if not is_object(item):
        return Message("user", json_text(item))
    kind = item.get("type", "message")
    if kind == "message" or ("role" in item and "content" in item):
        return Message(read_role(item.get("role")), content_text(item.get("content")))
    if isinstance(kind, str) and kind.endswith("_output"):
        call_id = plain_string(item.get("call_id")) or None
        return Message("tool", content_text(item.get("output")), (), call_id)
    text = json_text(item)
    is_long = len(text) > _LONGEST_ITEM
    return Message("user", digested("item", text) if is_long else text)


def _call(item: dict[str, Any], kind: str, index: int) -> ToolCall:
    call_id = plain_string(item.get("call_id")) or f"call_{index}"
    name = plain_string(item.get("name")) or kind.removesuffix("_call")
    for field in ("arguments", "input"):
        if field in item:
            return ToolCall(call_id, name, json_text(item[field]))
    said = {field: value for field, value in item.items() if field not in _OF_ONE_ANSWER}
    return ToolCall(call_id, name, json_text(said))


def _thought(item: dict[str, Any]) -> str:
    for name in ("content", "summary"):
        if item.get(name):
            return content_text(item[name])
    encrypted = plain_string(item.get("encrypted_content"))
    return digested("reasoning", encrypted) if encrypted else ""
