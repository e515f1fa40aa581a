"""Errors as people read them: one line of what is wrong, one of what to do, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from agentrt import errors

if TYPE_CHECKING:
    from agentrt.ir.schema import Json

FAILED = 1
USAGE = 2
INTERRUPTED = 130


class UsageError(Exception):
    """The user's words are off.

    Attributes:
        hint: What to type instead.
        detail: Text shown above the error: a traceback of the user's own file.
    """

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, ready to be shown.

    Attributes:
        kind: The exception's name.
        message: One line.
        hint: What to do about it, or "".
    """

    kind: str
    message: str
    hint: str = ""
    detail: str = ""
    exit_code: int = FAILED
    node_id: str | None = None

    def lines(self) -> Iterator[str]:
        """As stderr shows it."""
        if self.detail:
            yield self.detail.rstrip("\n")
        yield f"error: {self.message}"
        if self.hint:
            yield f"hint: {self.hint}"

    def to_json(self) -> Json:
        found = {"type": self.kind, "message": self.message}
        if self.hint:
            found["hint"] = self.hint
        if self.node_id:
            found["node_id"] = self.node_id
        return found


def describe(error: BaseException, *, run_id: str | None = None) -> Failure:
    """What to tell the user about `error`; `run_id` is the stored run it belongs to, if any."""
    error = _innermost(error)
    message, rest = _first_line(error)
    exit_code = FAILED
    if isinstance(error, UsageError | errors.DefinitionError | errors.InputError):
        exit_code = USAGE
    elif isinstance(error, KeyboardInterrupt):
        exit_code = INTERRUPTED
    return Failure(
        kind="UsageError" if isinstance(error, UsageError) else type(error).__name__,
        message=message,
        hint=_hint(error, run_id) if isinstance(error, errors.InvariantError) or not rest else rest,
        detail=error.detail if isinstance(error, UsageError) else "",
        exit_code=exit_code,
        node_id=getattr(error, "node_id", None),
    )


def _innermost(error: BaseException) -> BaseException:
    """Of a group, the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast("BaseExceptionGroup[BaseException]", error)
    return _innermost(group.exceptions[0])


def _first_line(error: BaseException) -> tuple[str, str]:
    """The message's first line, named if the error is none of ours; and the lines after it."""
    text = str(error).strip()
    first, _, rest = text.partition("\n")
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", ""
    if not isinstance(error, UsageError | errors.AgentRTError):
        first = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return first.strip() or type(error).__name__, rest.rstrip()


_HINTS: tuple[tuple[type[BaseException], str], ...] = (
    (errors.ResumeError, "--force and --in-flight decide: agentrt resume --help"),
    (errors.ModelUnavailable, "agentrt models lists what can be had, agentrt models pull gets it"),
    (errors.BackendUnavailable, "agentrt doctor {url} says what is missing{again}"),
    (errors.BackendTimeout, "agentrt doctor {url} says what is missing{again}"),
    (errors.RateLimited, "wait a while{again}"),
    (errors.ContextOverflow, "give the model less text, or take one with a longer context"),
    (errors.LimitExceeded, "raise {limit}, or ask for less"),
    (errors.OutputError, "the model cannot give that form: try another model or a simpler type"),
    (errors.InvariantError, "this is a bug in agentrt; AGENTRT_DEBUG=1 shows where"),
    (errors.CompileError, "this is a bug in agentrt; AGENTRT_DEBUG=1 shows where"),
    (errors.DefinitionError, ""),
    (errors.InputError, ""),
    (errors.AgentRTError, "{resume}"),
    (KeyboardInterrupt, "{resume}"),
    (BaseException, "AGENTRT_DEBUG=1 shows the traceback"),
)
"""The first that fits; `again` and `resume` are empty for a run that is not stored."""


def _hint(error: BaseException, run_id: str | None) -> str:
    if isinstance(error, UsageError):
        return error.hint
    resume = f"agentrt resume {run_id}" if run_id else ""
    template = next(text for kind, text in _HINTS if isinstance(error, kind))
    hint = template.format(
        url=getattr(error, "url", "") or "URL",
        limit=getattr(error, "limit", ""),
        again=f"; then: {resume}" if resume else "",
        resume=f"to go on: {resume}" if resume else "",
    )
    return hint.strip()
