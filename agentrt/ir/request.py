"""What goes to an inference server and what comes back, whichever server it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from agentrt.ir.engine_fields import EngineFields
from agentrt.ir.hints import NO_HINTS, Hints
from agentrt.ir.node import LLMOptions
from agentrt.ir.schema import Schema
from agentrt.ir.tool import ToolSpec

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool.

    Attributes:
        arguments: JSON text exactly as the model wrote it; it may be malformed.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, in the shape every engine understands."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, or of many added up. `cached_tokens` is part of `prompt_tokens`."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call to a backend.

    Attributes:
        tools: What the model may call.
        output_schema: The answer must be JSON that fits it; None: free text. Its root is always an
            object (`agentrt.dsl` wraps other types), which is what the strictest servers ask for.
        grammar: GBNF (llama.cpp's notation) that the text must fit, for servers that decode under a
            grammar; others answer without, so whoever asks must check. Instead of a schema.
        program_id: Which program this belongs to. Not part of the content: never hashed.
        node_id: The node instance it is made for. Likewise.
        hints: What an engine could use of what is known of it. Likewise: no answer rests on it.
        extra: Further fields of the request body, passed on as they are (from OpenAI-shaped
            clients; the language itself never needs it).
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    output_schema: Schema | None = None
    grammar: str | None = None
    options: LLMOptions = LLMOptions()
    program_id: str = ""
    node_id: str = ""
    hints: Hints = field(default=NO_HINTS, compare=False)
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


_QUOTED_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The answer to a `Request`.

    Attributes:
        finish_reason: `stop`, `length`, `tool_calls`, or what else the server said.
        model: The model that answered, as the server names it.
        ttft_s: Seconds to the first token, where the call was streamed or the server said so.
        response_id: By which a later request can go on from it at the same server; empty: none.
        drafted_tokens: Of the answer's tokens and others that were guessed beforehand, where the
            server drafts and says so.
        accepted_tokens: Those of them that were right.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    usage: Usage = Usage()
    model: str = ""
    ttft_s: float | None = None
    response_id: str = field(default="", compare=False, repr=False)
    drafted_tokens: int = field(default=0, compare=False, repr=False)
    accepted_tokens: int = field(default=0, compare=False, repr=False)

    @property
    def is_cut(self) -> bool:
        """Whether it reached `max_tokens` or the end of the context before its own end."""
        return self.finish_reason == "length"

    def quoted(self) -> str:
        """What a conversation keeps of an answer that has to be given again.

        All of it, unless it was cut off: that may have run on for as long as the context allows, and
        with all of it the next request would not fit.
        """
        left_out = len(self.text) - _QUOTED_CHARACTERS
        if not self.is_cut or left_out <= 0:
            return self.text
        return f"{self.text[:_QUOTED_CHARACTERS]} [... {left_out:,} characters left out]"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a completion as it streams: some text, or nothing but a sign of life.

    Attributes:
        tool_calls: Those whose arguments have just become complete, in the order of the answer. An
            answer may have others, that nobody could tell were complete before its end.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do, as found by asking it. Unknown means False.

    Attributes:
        max_concurrency: Requests worth having at the server at once; None: it queues well itself.
        context_tokens: The longest prompt plus completion; None: unknown.
        kv_tokens: Tokens that its KV cache has room for, of all sequences together; None: unknown.
        shares_prefixes: What prompts begin with is cached for all of them, and goes when it was used
            least recently: a prefix that is used once more stays, and that costs nobody a slot.
        takes: What it takes beside OpenAI's own fields.
    """

    models: tuple[str, ...] = ()
    json_schema: bool = False
    tools: bool = False
    streaming: bool = False
    reports_cached_tokens: bool = False
    metrics: bool = False
    max_concurrency: int | None = None
    context_tokens: int | None = None
    kv_tokens: int | None = None
    shares_prefixes: bool = False
    server: str = ""
    notes: tuple[str, ...] = ()
    takes: EngineFields = field(default_factory=EngineFields)
