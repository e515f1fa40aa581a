"""What an engine is asked, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agentrt.ir.prefix import Chain
from agentrt.ir.request import Usage

CallId: TypeAlias = str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """One call.

    Attributes:
        prompt: The full blocks of the prompt; `context`: of prompt and answer together.
        completion_tokens: Tokens it will answer. 0 computes the prompt and nothing else.
        priority: Higher goes first, where the engine orders by it.
    """

    call_id: CallId
    prompt: Chain
    prompt_tokens: int
    completion_tokens: int
    context: Chain = ()
    priority: int = 0

    def __post_init__(self) -> None:
        if self.prompt_tokens < 1 or self.completion_tokens < 0:
            raise ValueError(f"call {self.call_id}: a prompt has a token at least, an answer none")


@dataclass(frozen=True, slots=True)
class Started:
    """The engine has begun to compute a prompt, for the first time."""

    call_id: CallId
    at: float


@dataclass(frozen=True, slots=True)
class FirstToken:
    """A prompt is computed."""

    call_id: CallId
    at: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A call has its answer.

    Attributes:
        usage: Its `cached_tokens` are those of its start, not of one after a preemption.
        context: The blocks that the cache holds of prompt and answer.
    """

    call_id: CallId
    at: float
    usage: Usage
    context: Chain


@dataclass(frozen=True, slots=True)
class Preempted:
    """A call has lost its place to others, and is computed again when there is room."""

    call_id: CallId
    at: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A call does not fit the engine even alone."""

    call_id: CallId
    at: float
    reason: str


EngineEvent: TypeAlias = Started | FirstToken | Finished | Preempted | Refused


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """What an engine would report of itself; blocks count cached prefixes only if referenced."""

    used_blocks: int
    cached_blocks: int
    running: int
    waiting: int
