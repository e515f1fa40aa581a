"""`Conversations`: the prompts of one program, measured from where earlier ones of it had got to. Pure."""

from __future__ import annotations

from typing import TypeAlias

from agentrt.ir.request import Message, Request
from agentrt.runtime.prompt_chains import Measured, PromptChains

_CONVERSATIONS_REMEMBERED = 64
_GONE_ON_REMEMBERED = 16

_End: TypeAlias = tuple[int, tuple[Message, ...], Message]
"""What tells conversations apart, nearly always: their length, how they begin, and the last answer."""


class Conversations:
    """The prompts of one program, each measured from where an earlier one of it had got to.

    Agents of one program take turns, so that each finds its own among many. A conversation that has
    gone on may be taken up once more where it was (a call that failed, several answers to one
    question), but soon or never.
    """

    def __init__(self, chains: PromptChains, *, salt: str = "") -> None:
        self._chains = chains
        self._salt = salt
        self._ends: dict[_End, Measured] = {}
        self._gone_on: dict[_End, Measured] = {}

    def prompt(self, request: Request) -> Measured:
        """What `request` asks."""
        found = self._found(request)
        if found is None:
            return self._chains.measured(request.tools, request.messages, salt=self._salt)
        return self._chains.grown(found, request.messages[len(found.messages) :])

    def context(self, prompt: Measured, answer: Message, *, is_last: bool) -> Measured:
        """Prompt and answer; with `is_last` no prompt is expected to go on from there."""
        context = self._chains.grown(prompt, (answer,))
        if not is_last:
            messages = context.messages
            _remember(self._ends, _end(messages, len(messages)), context, _CONVERSATIONS_REMEMBERED)
        return context

    def _found(self, request: Request) -> Measured | None:
        """The longest context that `request` goes on from."""
        messages = request.messages
        for count in range(len(messages), 0, -1):
            if messages[count - 1].role != "assistant":
                continue  # contexts end with an answer
            end = _end(messages, count)
            context = self._ends.get(end)
            if context is not None and _begins(request, context):
                del self._ends[end]
                _remember(self._gone_on, end, context, _GONE_ON_REMEMBERED)
                return context
            context = self._gone_on.get(end)
            if context is not None and _begins(request, context):
                return context
        return None


def _end(messages: tuple[Message, ...], count: int) -> _End:
    return (count, messages[:2], messages[count - 1])


def _begins(request: Request, context: Measured) -> bool:
    messages = context.messages
    return context.tools == request.tools and messages == request.messages[: len(messages)]


def _remember(remembered: dict[_End, Measured], end: _End, context: Measured, at_most: int) -> None:
    """Keep it as the latest; the earliest is forgotten."""
    remembered.pop(end, None)
    remembered[end] = context
    if len(remembered) > at_most:
        del remembered[next(iter(remembered))]
