"""The messages of a chat request, in our terms; whatever an engine might accept is accepted."""

from __future__ import annotations

from typing import Any, TypeGuard

from agentrt.backends.json_shape import is_array, is_object
from agentrt.gateway.content import (
    content_text,
    has_too_many_parts,
    json_text,
    plain_string,
    reasoning_text,
    with_reasoning,
)
from agentrt.ir.request import Message, Role, ToolCall

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def read_messages(messages: Any) -> tuple[Message, ...]:
    """Messages in order. What is no list of messages that can be read is one of a user."""
    if _is_conversation(messages):
        return tuple([_message(message) for message in messages])
    text = json_text(messages)
    return (Message("user", text),) if text else ()


def brings_reasoning(messages: Any) -> bool:
    """Whether an answer among them has its reasoning with it."""
    return _is_conversation(messages) and any(
        is_object(message) and message.get("role") == "assistant" and bool(reasoning_text(message))
        for message in messages
    )


def read_role(role: Any) -> Role:
    """The role that stands for it here; a user's where it is not known."""
    return _ROLES.get(role, "user") if isinstance(role, str) else "user"


def _is_conversation(messages: Any) -> TypeGuard[list[Any]]:
    return is_array(messages) and not has_too_many_parts(messages, "content", "tool_calls")


def _message(message: Any) -> Message:
    if not is_object(message):
        return Message("user", json_text(message))
    role = read_role(message.get("role"))
    content = content_text(message.get("content"))
    if role == "assistant":
        return _answer(message, content)
    if role == "tool":
        call_id = message.get("tool_call_id")
        return Message(role, content, (), plain_string(call_id) if call_id else None)
    name = message.get("name")
    return Message(role, f"{plain_string(name)}\n{content}" if name else content)


def _answer(message: dict[str, Any], content: str) -> Message:
    refusal = plain_string(message.get("refusal"))
    text = with_reasoning(content + refusal, reasoning_text(message))
    calls = message.get("tool_calls")
    legacy = message.get("function_call")
    if is_array(calls) and calls:
        return Message("assistant", text, tuple([_call(c, i) for i, c in enumerate(calls)]))
    if legacy:
        return Message("assistant", text, (_call({"function": legacy}, 0),))
    return Message("assistant", text)


def _call(entry: Any, index: int) -> ToolCall:
    default_id = f"call_{index}"
    if not is_object(entry):
        return ToolCall(default_id, "", json_text(entry))
    call_id = plain_string(entry.get("id")) or default_id
    function = entry.get("function")
    if is_object(function):
        name = plain_string(function.get("name"))
        return ToolCall(call_id, name, json_text(function.get("arguments")))
    custom = entry.get("custom")
    if is_object(custom):
        return ToolCall(call_id, plain_string(custom.get("name")), json_text(custom.get("input")))
    return ToolCall(call_id, plain_string(entry.get("name")), json_text(function))
