"""The prompt of a legacy completion, as one message."""

from __future__ import annotations

from typing import Any

from agentrt.backends.json_shape import is_array
from agentrt.gateway.content import json_text, plain_string
from agentrt.ir.request import Message

_BETWEEN_PROMPTS = "\n\x1d"


def read_prompt(body: dict[str, Any]) -> tuple[Message, ...]:
    """One message with all there is: several prompts are one text, and tokens are their numbers."""
    prompt = body.get("prompt")
    parts = prompt if is_array(prompt) else [prompt]
    if parts and isinstance(parts[0], int):
        text = _token_text(parts)
    else:
        text = _BETWEEN_PROMPTS.join([_prompt_text(part) for part in parts])
    text += plain_string(body.get("suffix"))
    return (Message("user", text),) if text else ()


def _prompt_text(prompt: Any) -> str:
    if isinstance(prompt, str):
        return plain_string(prompt)
    return _token_text(prompt) if is_array(prompt) else json_text(prompt)


def _token_text(tokens: list[Any]) -> str:
    """Equal beginnings of token lists are equal beginnings of text."""
    return json_text(tokens)[1:-1]
