"""`StoredPrompt`: what one call of a stored run was asked."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.ir.node import LLMOptions
from agentrt.ir.prompt_break import Piece
from agentrt.ir.request import Message
from agentrt.ir.schema import Schema
from agentrt.ir.tool import ToolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrompt:
    """What one call was asked.

    Attributes:
        pieces: All of it, near to what a chat template makes of it.
        messages: The same, to be sent again.
    """

    node_id: str
    pieces: tuple[Piece, ...]
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    output_schema: Schema | None = None
    options: LLMOptions = LLMOptions()
