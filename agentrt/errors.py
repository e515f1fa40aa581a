"""Every exception agentrt raises, sorted by who must act.

AgentRTError
├── DefinitionError         the author: the program is wrong; nothing has run
│   ├── TraceError          Python control flow or an unknown attribute on a symbolic value
│   ├── PromptError         an LLM function did not return a usable `Prompt`
│   ├── SchemaError         a type agentrt cannot turn into a JSON schema, or a value of the wrong type
│   └── GraphError          a graph (built, or read from JSON) breaks its own rules
├── InputError              the caller: the input does not fit the workflow's parameters
├── CompileError            us: a pass broke the graph (the message names the pass)
├── RunError                the author or the operator: `.run_id` and `.node_id` say where
│   ├── ToolError           a tool raised, timed out, or returned what its type forbids
│   ├── OutputError         the model's answer does not fit the type, after all its attempts
│   ├── LimitExceeded       turns, time or tokens ran out; carries the transcript
│   ├── RunCancelled        the run was cancelled or met its deadline
│   └── ResumeError         a stored run cannot go on as asked
├── BackendError            the operator: `.url` `.retryable` `.retry_after_s`
│   ├── BackendUnavailable  nobody answers there
│   ├── BackendTimeout      the answer did not come in time
│   ├── RateLimited         429, or a limit of our own that cannot be met
│   ├── ContextOverflow     the prompt is longer than the model's context
│   ├── RequestRejected     the server refuses the request or its key; the same request fails again
│   ├── InvalidAnswer       the server answered with something that is not a completion
│   ├── ReplayMismatch      a replayed run asks for a completion that was not recorded
│   └── ModelUnavailable    the model's weights are not here and cannot be had
├── StoreError              the operator: the message says what to do
└── InvariantError          us: a bug in agentrt; `.story` tells how it came about
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "AgentRTError",
    "BackendError",
    "BackendTimeout",
    "BackendUnavailable",
    "CompileError",
    "ContextOverflow",
    "DefinitionError",
    "GraphError",
    "InputError",
    "InvalidAnswer",
    "InvariantError",
    "LimitExceeded",
    "ModelUnavailable",
    "OutputError",
    "PromptError",
    "RateLimited",
    "ReplayMismatch",
    "RequestRejected",
    "ResumeError",
    "RunCancelled",
    "RunError",
    "SchemaError",
    "StoreError",
    "ToolError",
    "TraceError",
]


class AgentRTError(Exception):
    """The root: `except AgentRTError` catches whatever agentrt raises on purpose."""


class DefinitionError(AgentRTError):
    """The program is wrong; nothing has run."""


class TraceError(DefinitionError):
    """A symbolic value was used as if it were a real one."""


class PromptError(DefinitionError):
    """An LLM function did not return a usable `Prompt`."""


class SchemaError(DefinitionError):
    """A type has no JSON schema here, or a value does not fit its type."""


class GraphError(DefinitionError):
    """A graph breaks its own rules: a cycle, an unknown node, a duplicate name."""


class InputError(AgentRTError):
    """The input does not fit the workflow's parameters."""


class CompileError(AgentRTError):
    """A pass broke the graph: a bug in agentrt, and the message names the pass."""


class RunError(AgentRTError):
    """Something went wrong while a run was under way.

    Attributes:
        run_id: The run, or None before it has one.
        node_id: The node instance, or None when the whole run is meant.
    """

    def __init__(
        self, message: str, *, run_id: str | None = None, node_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.node_id = node_id


class ToolError(RunError):
    """A tool raised, ran out of time, or returned what its type forbids.

    Attributes:
        retryable: Whether another attempt could end differently (a wrong type could not).
        is_effect_unknown: The call writes and was given up on half-way: it may have happened.
    """

    def __init__(
        self,
        message: str,
        *,
        run_id: str | None = None,
        node_id: str | None = None,
        retryable: bool = True,
        is_effect_unknown: bool = False,
    ) -> None:
        super().__init__(message, run_id=run_id, node_id=node_id)
        self.retryable = retryable
        self.is_effect_unknown = is_effect_unknown


class OutputError(RunError):
    """The model's answer does not fit the declared type, after every attempt allowed.

    Attributes:
        answer: The last answer, as the model gave it.
    """

    def __init__(
        self,
        message: str,
        *,
        answer: str = "",
        run_id: str | None = None,
        node_id: str | None = None,
    ) -> None:
        super().__init__(message, run_id=run_id, node_id=node_id)
        self.answer = answer


class LimitExceeded(RunError):
    """An agent ran out of turns, time or tokens.

    Attributes:
        limit: Which one: `max_turns`, `timeout_s`, `max_total_tokens` or `max_steps`.
        transcript: The messages so far, in order, as they went to the model.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: str,
        transcript: Sequence[Any] = (),
        run_id: str | None = None,
        node_id: str | None = None,
    ) -> None:
        super().__init__(message, run_id=run_id, node_id=node_id)
        self.limit = limit
        self.transcript = tuple(transcript)


class RunCancelled(RunError):
    """The run was cancelled, or its deadline passed."""


class ResumeError(RunError):
    """A stored run cannot go on as asked.

    Attributes:
        nodes: The nodes that stand in the way: changed since, or `write` calls left in flight.
    """

    def __init__(
        self,
        message: str,
        *,
        nodes: Sequence[str] = (),
        run_id: str | None = None,
        node_id: str | None = None,
    ) -> None:
        super().__init__(message, run_id=run_id, node_id=node_id)
        self.nodes = tuple(nodes)


class BackendError(AgentRTError):
    """An inference server, or the way to it, failed.

    Attributes:
        url: The server, without credentials.
        retryable: Whether the same request may succeed later.
        retry_after_s: How long the server asked us to wait, in seconds, if it did.
        status: The HTTP status, if there was one.
    """

    retryable_by_default = False

    def __init__(
        self,
        message: str,
        *,
        url: str = "",
        retryable: bool | None = None,
        retry_after_s: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.url = url
        self.retryable = self.retryable_by_default if retryable is None else retryable
        self.retry_after_s = retry_after_s
        self.status = status


class BackendUnavailable(BackendError):
    """Nobody answers at that address, or the connection broke."""

    retryable_by_default = True


class BackendTimeout(BackendError):
    """The answer did not come in time."""

    retryable_by_default = True


class RateLimited(BackendError):
    """The server said 429."""

    retryable_by_default = True


class ContextOverflow(BackendError):
    """The prompt is longer than the model's context."""


class RequestRejected(BackendError):
    """The server refuses this request, or the key it came with."""


class InvalidAnswer(BackendError):
    """The server's answer is not a completion: invalid JSON, or a stream that broke half-way."""

    retryable_by_default = True


class ReplayMismatch(BackendError):
    """A replayed run asks for a completion that the recording does not hold."""


class ModelUnavailable(BackendError):
    """The model's weights are not on this machine and cannot be had."""


class StoreError(AgentRTError):
    """The store cannot be read or written; the message says what to do."""


class InvariantError(AgentRTError):
    """A bug in agentrt.

    Attributes:
        story: The events that led to it, oldest first.
    """

    def __init__(self, message: str, *, story: Sequence[Any] | Mapping[str, Any] = ()) -> None:
        told = "\n".join(f"  {line}" for line in story)
        super().__init__(f"{message}\n{told}" if told else message)
        self.story = tuple(story)
