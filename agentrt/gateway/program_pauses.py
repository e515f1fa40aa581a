"""`Pauses`: what a program does between its requests, as far as they and their answers tell."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.estimates.remaining import Remaining
from agentrt.ir.request import Completion, Request
from agentrt.runtime.argument_class import argument_class
from agentrt.runtime.fleet import ScheduledProgram
from agentrt.scheduler.events import REPLY, CallId

_MOST = 64
_STILL_COMES = 0.01
_LEAST_SILENCE_S = 5.0
_MOSTLY = 0.5


def silence_s(kind: str, turn: int, estimates: Estimates | None) -> float:
    """After how long of silence after answer number `turn`, which called no tool, nothing more comes.

    That is when P(it comes | it has not yet) is 1 %. With g for P(another turn | turn) and S for how
    many of those take longer, it is g S / (g S + 1 - g). Minutes before anything is known of `kind`; seconds
    where programs end after that turn, and for agents whose actions are in their text. One that comes
    after that goes on as a new program.
    """
    if estimates is None:
        return math.inf
    gap = estimates.next_call.next_call_of(ToolUse(REPLY, kind))
    return _unlikely_after_s(estimates.turns.goes_on(kind, turn), gap)


def absence_s(uses: Sequence[ToolUse], kind: str, turn: int, estimates: Estimates | None) -> float:
    """The same after an answer that called tools.

    Of most tools the results are wanted; of some they never are: they end a program. As long as nothing
    is known of these tools, it is taken to end as often as others of its kind do after that turn.
    """
    if estimates is None:
        return math.inf
    prior = estimates.turns.goes_on(kind, turn)
    goes_on = min(estimates.returns.comes_back(kind, use, prior) for use in uses)
    return _unlikely_after_s(goes_on, estimates.next_call.next_call(uses))


def _unlikely_after_s(goes_on: float, gap: Remaining) -> float:
    longer = _STILL_COMES / (1.0 - _STILL_COMES) * (1.0 - goes_on) / max(goes_on, 1e-9)
    if longer <= 0.0:
        return math.inf
    if longer >= 1.0:
        return _LEAST_SILENCE_S
    return max(_LEAST_SILENCE_S, gap.remaining_quantile(1.0 - longer, 0.0))


@dataclass(slots=True, eq=False)
class Pause:
    """What comes after one answer.

    Attributes:
        uses: What the answer called.
        since: When it was there.
        is_given_up: It has called tools, and is not expected back from them any more.
    """

    uses: tuple[ToolUse, ...]
    since: float
    text: str
    call_ids: frozenset[str]
    started: tuple[str | None, ...]
    turn: int
    is_given_up: bool = False

    @property
    def tools(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(use.tool for use in self.uses)

    @property
    def is_reply(self) -> bool:
        """No tool was called: nothing may follow."""
        return self.uses[0].tool == REPLY


class Pauses:
    """Those of one program. Its agents each have their own.

    Attributes:
        last_tool: What started last; empty: nothing yet.
    """

    def __init__(
        self, program: ScheduledProgram, *, kind: str = "", estimates: Estimates | None = None
    ) -> None:
        """`kind` of program: persons and agents whose actions are in their text differ."""
        self.last_tool = ""
        self._estimates = estimates
        self._turns = 0
        self._program = program
        self._kind = kind
        self._pauses: list[Pause] = []

    @property
    def now_open(self) -> tuple[Pause, ...]:
        """Those that no request has ended yet, in order."""
        return tuple(self._pauses)

    def begin(self, completion: Completion, call_id: CallId, now: float) -> None:
        """An answer is there: its tools are at work from now on."""
        calls = completion.tool_calls
        called = [ToolUse(call.name, argument_class(_arguments(call.arguments))) for call in calls]
        uses = tuple(called) or (ToolUse(REPLY, self._kind),)
        self.last_tool = uses[-1].tool
        self._turns += 1
        self._pauses.append(
            Pause(
                uses,
                now,
                completion.text.strip(),
                frozenset(call.id for call in calls),
                tuple(
                    self._program.tool_started(
                        use.tool, {}, asked_by=call_id, kind=use.argument_class
                    )
                    for use in uses
                ),
                self._turns,
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
            if pause.is_given_up and self._estimates is not None:
                for use in pause.uses:
                    self._estimates.returns.came_after_all(self._kind, use)
            self._end(pause)

    def expected_until(self) -> float:
        """When the last of the tools that are out will hardly return any more; -inf: none is out."""
        return max(map(self._expected_until, self._out()), default=-math.inf)

    def give_up(self, now: float = math.inf) -> None:
        """Expect nothing any more of tools that will hardly return by `now`; estimates are told."""
        for pause in self._out():
            if self._expected_until(pause) > now:
                continue
            pause.is_given_up = True
            if self._estimates is not None:
                for use in pause.uses:
                    self._estimates.returns.observe(self._kind, use, came=False)

    @property
    def ends_programs(self) -> bool:
        """Whether of each answer that is open some tool is mostly the last that a program calls."""
        estimates = self._estimates
        if estimates is None:
            return False
        comes_back = estimates.returns.comes_back
        return all(
            min(comes_back(self._kind, use) for use in pause.uses) < _MOSTLY
            for pause in self._pauses
            if not pause.is_reply
        )

    def _out(self) -> list[Pause]:
        return [pause for pause in self._pauses if not (pause.is_reply or pause.is_given_up)]

    def _expected_until(self, pause: Pause) -> float:
        return pause.since + absence_s(pause.uses, self._kind, pause.turn, self._estimates)

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
