"""`Outlook`: what the scheduler learns from its own events, and what policies ask of it."""

from __future__ import annotations

from typing import Protocol, TypeVar, cast

from agentrt.estimates.book import Estimates
from agentrt.estimates.distribution import Distribution
from agentrt.estimates.durations import ToolUse
from agentrt.ir.prefix import shared_blocks
from agentrt.ir.request import Usage
from agentrt.scheduler.events import REPLY, ReplicaId
from agentrt.scheduler.state import Call, Pause, Program

_ANY_TOOL = ToolUse("")
_MOST_PAUSES = 32  # of a program that no call has gone on from; a fan-out leaves some for ever


class Observer(Protocol):
    """Learns what only one policy asks about: policies themselves remember nothing."""

    def gap(self, pause: Pause, seconds: float) -> None:
        """`seconds` after `pause` began, the first call that goes on from it came."""

    def waited(self, call: Call, seconds: float) -> None:
        """`call` is about to be sent, having waited for `seconds`."""

    def finished(self, program: Program, seconds: float) -> None:
        """A program has come to its end by itself, `seconds` after it arrived."""


_Watching = TypeVar("_Watching", bound=Observer)


class Outlook:
    """Estimates, fed with what happens to programs and asked about them.

    Attributes:
        estimates: May come filled: from an earlier run, or from other schedulers.
        block_tokens: Tokens a block stands for.
    """

    def __init__(self, estimates: Estimates, *, block_tokens: int) -> None:
        self.estimates = estimates
        self.block_tokens = block_tokens
        self._observers: dict[type[Observer], Observer] = {}

    # -- told --------------------------------------------------------------------------------

    def call_ready(self, call: Call, now: float) -> None:
        """The pause that `call` goes on from is over."""
        pauses = call.program.pauses
        found: Pause | None = None
        longest = 0
        for pause in pauses.values():
            shared = shared_blocks(pause.context, call.chain)
            if shared > longest and shared >= pause.prompt_blocks:
                found, longest = pause, shared
        call.pause = found
        if found is None or found.is_over:
            return
        found.is_over = True
        for observer in self._observers.values():
            observer.gap(found, now - found.ended_at)
        uses = [
            *found.returned,
            *((use, now - found.ended_at) for use, _ in found.pending.values()),
        ]
        self.estimates.observe_next_call(
            call.program.workflow, found.turn, uses, now - found.ended_at
        )

    def call_leaves(self, call: Call, now: float) -> None:
        """`call` is about to be sent."""
        for observer in self._observers.values():
            observer.waited(call, now - call.ready_at)

    def call_finished(self, call: Call, usage: Usage, pause: Pause) -> None:
        """`call` has its answer, and `pause` begins."""
        program = call.program
        self.estimates.observe_completion(program.workflow, program.turns, usage.completion_tokens)
        if not pause.is_last:
            pauses = program.pauses
            for over in [call_id for call_id, pause in pauses.items() if pause.is_over]:
                del pauses[over]
            while len(pauses) >= _MOST_PAUSES:
                del pauses[next(iter(pauses))]
            pauses[call.call_id] = pause
        if call.first_token_at is None or call.sent_at is None or call.replica_id is None:
            return
        waited_s = 0.0 if call.started_at is None else call.started_at - call.sent_at
        self.estimates.observe_prefill(
            call.replica_id,
            uncached_tokens=max(0, usage.prompt_tokens - usage.cached_tokens),
            prompt_tokens=usage.prompt_tokens,
            seconds=call.first_token_at - call.sent_at,
            waited_s=waited_s,
        )

    def call_answered(self, call: Call, usage: Usage) -> None:
        """`call` has left its replica with an answer, and `decoded` says what went on meanwhile."""
        if call.replica_id is None or call.decoded is None:
            return
        self.estimates.observe_batch(
            call.replica_id,
            usage,
            seconds=call.decoded.seconds,
            calls=call.decoded.calls,
            computed_tokens=call.decoded.computed_blocks * self.block_tokens,
        )

    def tool_started(self, program: Program, use: ToolUse) -> None:
        self.estimates.observe_tool_started(program.workflow, program.last_tool, use.tool)
        program.last_tool = use.tool

    def program_finished(self, program: Program, now: float) -> None:
        """It has come to its end by itself: one that was cancelled tells nothing of others."""
        for observer in self._observers.values():
            observer.finished(program, now - program.arrived_at)
        self.estimates.observe_program_finished(
            program.workflow,
            program.turns,
            last_tool=program.last_tool,
            service=program.attained_s,
        )

    # -- asked -------------------------------------------------------------------------------

    def observer(self, kind: type[_Watching]) -> _Watching:
        """What has watched since it was first asked for."""
        found = self._observers.get(kind)
        if found is None:
            found = kind()
            self.watch_with(found)
        return cast(_Watching, found)

    def watch_with(self, observer: Observer) -> None:
        """Have `observer` watch, in place of one of its kind: it may know something already."""
        self._observers[type(observer)] = observer

    def wait(self, pause: Pause) -> tuple[Distribution, float]:
        """How long it is until a call goes on from `pause`, and since when that is counted.

        While several tools are at work, that of the one that is expected to be the last. Before any
        has been heard of, that of all turns of the program's workflow.
        """
        next_call = self.estimates.next_call
        if not pause.pending:
            if pause.returned:
                return next_call.after_tools(), pause.changed_at
            return next_call.next_call_of_any(pause.program.workflow), pause.ended_at
        at_work = list(pause.pending.values())
        use, started_at = at_work[0]
        if len(at_work) > 1:
            use, started_at = max(at_work, key=lambda entry: self._expected_end(*entry))
        return next_call.next_call_of(use), started_at

    def goes_on(self, pause: Pause) -> float:
        """P(a call goes on from `pause`).

        Where a tool was called its result is wanted, unless that tool is known to end programs.
        """
        uses = [*(use for use, _ in pause.pending.values()), *(use for use, _ in pause.returned)]
        tools = [use for use in uses if use.tool != REPLY]
        if tools:
            comes_back, workflow = self.estimates.returns.comes_back, pause.program.workflow
            return min(comes_back(workflow, use) for use in tools)
        return self.estimates.turns.goes_on(pause.program.workflow, pause.turn)

    def prefill_s(
        self, replica_id: ReplicaId, computed_tokens: float, prompt_tokens: float
    ) -> float:
        """What it costs a replica to compute so many tokens of a prompt, whatever else it does."""
        cost = self.estimates.prefill(replica_id).cost
        return cost.seconds(computed_tokens, prompt_tokens) - cost.constant_s

    def rebuild_s(self, replica_id: ReplicaId, blocks: float, of_blocks: int) -> float:
        """What it costs a replica to compute the last `blocks` of a prompt of `of_blocks`."""
        tokens = self.block_tokens
        return self.estimates.prefill(replica_id).seconds(blocks * tokens, of_blocks * tokens)

    def left_s(self, program: Program, turn_s: float) -> float:
        """The time a program is expected to need from its next call on, if it never waits.

        `turn_s`: engine time of a turn, of a program that has made none yet.
        """
        turns = self.estimates.turns.left(program.workflow, program.turns + 1)
        engine_s = program.attained_s / program.turns if program.turns else turn_s
        gap_s = self.estimates.next_call.next_call_of(_ANY_TOOL).quantile(0.5)
        return engine_s + turns * (gap_s + engine_s)

    def _expected_end(self, use: ToolUse, started_at: float) -> float:
        return started_at + self.estimates.next_call.next_call_of(use).quantile(0.5)
