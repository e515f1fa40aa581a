"""Prompts as text, near enough to what a chat template makes of them. Pure."""

from __future__ import annotations

from dataclasses import replace

from agentrt.ir.request import Message
from agentrt.ir.tool import ToolSpec


def message_text(message: Message) -> str:
    """A message as it stands in a prompt: where one ends cannot be mistaken."""
    text = f"{_opening(message)}{message.content}"
    for call in message.tool_calls:
        text += f"\x1f{call.name}\x1f{call.arguments}"
    return text


def tool_text(tool: ToolSpec) -> str:
    """A tool as it stands before the messages."""
    return f"\x1d{tool.name}\n{tool.description}\n{tool.parameters}"


def first_characters(
    tools: tuple[ToolSpec, ...], messages: tuple[Message, ...], characters: int
) -> tuple[Message, ...]:
    """The messages of the longest prompt whose text is the beginning of this one's, and no longer.

    The last one may be cut; a call of a tool is whole or left out. None: the tools are longer.
    """
    left = characters - sum(len(tool_text(tool)) for tool in tools)
    kept: list[Message] = []
    for message in messages:
        length = len(message_text(message))
        if length > left:
            content = message.content[: max(left - len(_opening(message)), 0)]
            if content:
                kept.append(replace(message, content=content, tool_calls=()))
            break
        kept.append(message)
        left -= length
    return tuple(kept)


def _opening(message: Message) -> str:
    return f"\x1e{message.role}\n"
