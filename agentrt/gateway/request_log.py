"""What the log says of requests: their sizes and times, never their text unless that was asked for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus

from agentrt.gateway.asked import Asked
from agentrt.gateway.services import Answered
from agentrt.gateway.turns import Caller, Forward, Turns
from agentrt.ir.request import Completion

_LOG = logging.getLogger("agentrt.gateway")
_GONE = 499


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLog:
    """Logs what goes wrong, or with `is_verbose` every request."""

    is_verbose: bool = False

    def observe(self, answered: Answered) -> None:
        """A request is over."""
        is_ours = answered.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if is_ours:
            _LOG.warning(line_of(answered))
        elif self.is_verbose:
            _LOG.info(line_of(answered))


@dataclass(frozen=True, slots=True)
class PromptLog:
    """`Turns` that log what is asked. For operators who said that they want their clients' text."""

    turns: Turns

    async def take(self, asked: Asked, caller: Caller, forward: Forward) -> Completion:
        """As `Turns` says."""
        for message in asked.request.messages:
            _LOG.info("%s: %s: %r", _plain(asked.model), message.role, message.content)
        return await self.turns.take(asked, caller, forward)


def line_of(answered: Answered) -> str:
    """One line, in the order in which one looks for what went wrong."""
    usage = answered.usage
    words = [
        "gone" if answered.status == _GONE else str(answered.status),
        answered.code,
        answered.endpoint,
        _plain(answered.model),
        f"tenant {answered.tenant}" if answered.tenant else "",
        f"program {_plain(answered.program_id)}" if answered.program_id else "",
        f"at {answered.replica_id}" if answered.replica_id else "",
    ]
    if usage.prompt_tokens:
        words.append(
            f"prompt {usage.prompt_tokens} (cached {usage.cached_tokens})"
            f" completion {usage.completion_tokens}"
        )
    if answered.first_byte_s is not None:
        words.append(f"first byte {answered.first_byte_s:.3f} s")
    words += [f"in all {answered.total_s:.3f} s", answered.request_id]
    return " ".join(word for word in words if word)


def _plain(text: str) -> str:
    """What a client wrote, in a form that makes no lines of its own, and colours nothing."""
    shown = text[:80]
    return shown if shown.isprintable() and " " not in shown else repr(shown)
