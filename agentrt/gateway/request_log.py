"""What the log says of requests: their sizes and times, never their text unless that was asked for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus

from agentrt.clock import Clock
from agentrt.gateway.asked import Asked
from agentrt.gateway.services import Answered
from agentrt.gateway.turns import Caller, Forward, Turns
from agentrt.ir.request import Completion, Usage

_LOG = logging.getLogger("agentrt.gateway")
_GONE = 499
SUM_EVERY_S = 60.0


class RequestLog:
    """Logs what goes wrong, or every request; and of all of them, now and then, what they come to."""

    def __init__(self, *, is_verbose: bool = False) -> None:
        self._is_verbose = is_verbose
        self._sums = _Sums()

    def observe(self, answered: Answered) -> None:
        """A request is over."""
        self._sums.add(answered)
        if answered.has_failed:
            _LOG.warning(line_of(answered))
        elif self._is_verbose:
            _LOG.info(line_of(answered))

    async def keep_summing(self, clock: Clock, every_s: float = SUM_EVERY_S) -> None:
        """Log what requests came to, where there were any: for ever."""
        while True:
            await clock.sleep(every_s)
            sums, self._sums = self._sums, _Sums()
            if sums.requests:
                _LOG.info("in %.0f s: %s", every_s, sums.line())


@dataclass(slots=True)
class _Sums:
    requests: int = 0
    refused: int = 0
    failed: int = 0
    gone: int = 0
    usage: Usage = Usage()

    def add(self, answered: Answered) -> None:
        self.requests += 1
        self.failed += answered.has_failed
        self.gone += answered.is_gone
        self.refused += HTTPStatus.BAD_REQUEST <= answered.status < _GONE
        self.usage += answered.usage

    def line(self) -> str:
        words = [f"{self.requests} requests"]
        counts = {"refused": self.refused, "failed": self.failed, "gone": self.gone}
        words += [f"{count} {what}" for what, count in counts.items() if count]
        usage = self.usage
        if usage.prompt_tokens:
            ratio = usage.cached_tokens / usage.prompt_tokens
            words.append(f"prompts of {usage.prompt_tokens:,} tokens, {ratio:.0%} cached")
            words.append(f"answers of {usage.completion_tokens:,}")
        return ", ".join(words)


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
