"""`Pauses`: what a program does between its requests, as far as they and their answers tell."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.ir.request import Completion, Request
from agentrt.runtime.fleet import ScheduledProgram
from agentrt.scheduler.events import REPLY, CallId

_MOST = 64
_STILL_COMES = 0.01
_LEAST_SILENCE_S = 5.0


def silence_s(kind: str, turn: int, estimates: Estimates | None) -> float:
    """After how long of silence after answer number `turn`, which called no tool, nothing more comes.

    That is when P(it comes | it has not yet) is 1 %. With g for P(another turn | turn) and S for how
    many of those take longer, it is g S / (g S + 1 - g). Minutes before anything is known of `kind`; seconds
    where programs end after that turn, and for agents whose actions are in their text. One that comes
    after that goes on as a new program.
    """
    if estimates is None:
        return math.inf
    goes_on = estimates.turns.goes_on(kind, turn)
    longer = _STILL_COMES / (1.0 - _STILL_COMES) * (1.0 - goes_on) / max(goes_on, 1e-9)
    if longer >= 1.0:
        return _LEAST_SILENCE_S
    gap = estimates.next_call.next_call_of(ToolUse(REPLY, kind))
    return max(_LEAST_SILENCE_S, gap.quantile(1.0 - longer))


@dataclass(frozen=True, slots=True)
class Pause:
    """What comes after one answer.

    Attributes:
        tools: What the answer called.
        since: When it was there.
    """

    tools: tuple[str, ...]
    since: float
    text: str
    call_ids: frozenset[str]
    started: tuple[str | None, ...]

    @property
    def is_reply(self) -> bool:
        """No tool was called: nothing may follow."""
        return self.tools == (REPLY,)


class Pauses:
    """Those of one program. Its agents each have their own.

    Attributes:
        last_tool: What started last; empty: nothing yet.
    """

    def __init__(self, program: ScheduledProgram, *, kind: str = "") -> None:
        """`kind` of program: persons and agents whose actions are in their text differ."""
        self.last_tool = ""
        self._program = program
        self._kind = kind
        self._pauses: list[Pause] = []

    @property
    def now_open(self) -> tuple[Pause, ...]:
        """Those that no request has ended yet, in order."""
        return tuple(self._pauses)

    def begin(self, completion: Completion, call_id: CallId, now: float) -> None:
        """An answer is there: its tools are at work from now on."""
        called = [(call.name, _arguments(call.arguments)) for call in completion.tool_calls]
        tools = called or [(REPLY, {})]
        self.last_tool = tools[-1][0]
        self._pauses.append(
            Pause(
                tuple(name for name, _ in tools),
                now,
                completion.text.strip(),
                frozenset(call.id for call in completion.tool_calls),
                tuple(
                    self._program.tool_started(
                        name, arguments, asked_by=call_id, kind=None if called else self._kind
                    )
                    for name, arguments in tools
                ),
            )
        )
        if len(self._pauses) > _MOST:
            self._end(self._pauses[0])

    def resume(self, request: Request, results: Sequence[str] = ()) -> None:
        """A request has come: the tools whose results it brings have returned.

        One that begins a conversation brings none. One that goes on from no answer as it was, because
        its history was rewritten, ends all: it cannot be told which it was.

        Args:
            results: Ids of the tool calls whose results are known to be in it.
        """
        answers = [message for message in request.messages if message.role == "assistant"]
        if not answers and not results:
            return
        ids = {call.id for message in answers for call in message.tool_calls} | set(results)
        ids |= {message.tool_call_id or "" for message in request.messages}
        texts = {message.content.strip() for message in answers if not message.tool_calls}
        found = [
            pause
            for pause in self._pauses
            if (pause.text in texts if pause.is_reply else pause.call_ids & ids)
        ]
        for pause in found or tuple(self._pauses):
            self._end(pause)

    def _end(self, pause: Pause) -> None:
        self._pauses.remove(pause)
        for started in pause.started:
            self._program.tool_finished(started)


def _arguments(text: str) -> Mapping[str, Any]:
    """What a model wrote: JSON, if it managed to."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
