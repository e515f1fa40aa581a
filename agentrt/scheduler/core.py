"""`Scheduler`: events in, actions out. Whole programs, not requests, get places on replicas.

A call is sent only if its program has a place, which counts its context against the replica's KV
cache, shared prefixes once. A program keeps its place between its calls, so that it finds its blocks
again, for as long as the policy holds it or nobody else wants it. The rest wait outside, in the
policy's order, where they cost nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import assert_never

from agentrt.errors import InvariantError
from agentrt.estimates.book import Estimates
from agentrt.estimates.durations import ToolUse
from agentrt.ir.prefix import Chain, block_count
from agentrt.scheduler.actions import CancelCall, SchedulerAction, SendCall, SetTimer, Shed
from agentrt.scheduler.events import (
    CallCancelled,
    CallFailed,
    CallFinished,
    CallId,
    CallProgress,
    CallReady,
    CallStarted,
    FirstToken,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    ProgramId,
    ProgramIdle,
    ReplicaDown,
    ReplicaId,
    ReplicaReported,
    ReplicaResized,
    ReplicaUp,
    SchedulerEvent,
    TimerFired,
    ToolFinished,
    ToolStarted,
)
from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.places import Places
from agentrt.scheduler.policy import Policy
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import CALL_TRANSITIONS, Call, CallPhase, Pause, Program

_STORY_LENGTH = 64


class Scheduler:
    """Pure: the same events at the same times give the same actions. Times never run backwards."""

    def __init__(
        self,
        policy: Policy,
        *,
        estimates: Estimates | None = None,
        block_tokens: int = 16,
        tenant_weights: Mapping[str, float] | None = None,
        max_waiting: int | None = None,
    ) -> None:
        """Args beside the policy have defaults that fit a fleet nothing is known of.

        Args:
            estimates: What is known already; it learns on. None: nothing.
            block_tokens: Tokens that a block of the calls' chains stands for.
            tenant_weights: Shares of those that are not to have an equal one: 2.0 is twice as much.
            max_waiting: So many calls of a tenant wait without a place at most; a program that makes
                its first call then is refused (`Shed`). None: all wait.
        """
        self._max_waiting = max_waiting
        self.outlook = Outlook(estimates or Estimates(), block_tokens=block_tokens)
        self._programs: dict[ProgramId, Program] = {}
        self._calls: dict[CallId, Call] = {}
        self._places = Places(policy, self.outlook, tenant_weights=tenant_weights or {})
        self._stories: dict[ProgramId, deque[SchedulerEvent]] = {}
        self._arrivals = 0

    def handle(self, event: SchedulerEvent, now: float) -> list[SchedulerAction]:
        """What to do, now that `event` happened.

        Raises:
            InvariantError: the event cannot happen in this state; `.story` is its program's.
        """
        actions: list[SchedulerAction] = []
        match event:
            case CallReady():
                self._ready(event, now, actions)
            case CallFinished():
                self._finished(event, now)
            case CallStarted() | FirstToken() | CallProgress():
                self._progressed(event, now)
            case ToolStarted() | ToolFinished():
                self._tool(event, now)
            case CallFailed():
                self._failed(event, now)
            case CallCancelled(call_id):
                self._cancelled(self._call(call_id, event), now, actions)
            case ProgramArrived() | ProgramIdle() | ProgramFinished() | ProgramCancelled():
                self._program_changed(event, now, actions)
            case ReplicaUp() | ReplicaDown() | ReplicaReported() | ReplicaResized():
                self._replica_changed(event, now)
            case TimerFired():
                pass  # what it was set for is looked for below
            case _:
                assert_never(event)
        self._act(now, actions)
        return actions

    @property
    def programs(self) -> tuple[Program, ...]:
        """Those that have not ended, in order of arrival. Look, do not touch."""
        return tuple(self._programs.values())

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """Those that are up. Look, do not touch."""
        return tuple(self._places.fleet.replicas.values())

    def check(self) -> None:
        """Recount what is kept counted. Tests call this after every event.

        Raises:
            InvariantError: a count is off.
        """
        self._places.fleet.check()
        for call in self._calls.values():
            if (call.phase is CallPhase.READY) != self._places.lines.is_in_one(call):
                raise self._broken(f"call {call.call_id!r} is lost", call.program.program_id)

    # -- events ------------------------------------------------------------------------------

    def _ready(self, event: CallReady, now: float, actions: list[SchedulerAction]) -> None:
        program = self._program(event.program_id, event)
        if event.call_id in self._calls:
            raise self._broken(f"call {event.call_id!r} became ready twice", event.program_id)
        if self._is_full_for(program):
            actions.append(Shed(event.call_id, self._places.retry_after_s(program)))
            return
        call = Call(
            event.call_id,
            program,
            event.chain,
            event.prompt_tokens,
            now,
            is_last=event.is_last,
        )
        call.precedence = event.precedence
        call.tells_first_token = event.tells_first_token
        self._calls[call.call_id] = program.calls[call.call_id] = call
        self.outlook.call_ready(call, now)
        self._places.wait(call, now)

    def _is_full_for(self, program: Program) -> bool:
        """Whether too many wait already. Who has begun is let go on."""
        if self._max_waiting is None or program.turns or program.calls:
            return False
        return self._places.lines.entering.waiting(program) >= self._max_waiting

    def _progressed(self, event: CallStarted | FirstToken | CallProgress, now: float) -> None:
        call = self._stepped(event)
        match event:
            case CallStarted():
                call.started_at = now
            case FirstToken():
                call.first_token_at = now
                self._places.first_token(call, now)
            case CallProgress():
                pass
            case _:
                assert_never(event)

    def _finished(self, event: CallFinished, now: float) -> None:
        call = self._stepped(event)
        program = call.program
        program.turns += 1
        if program.failed_at and call.sent_at is not None:
            since = call.sent_at
            program.failed_at = {on: at for on, at in program.failed_at.items() if at > since}
        pause = _paused(call, event.context, now, is_last=call.is_last or event.is_last)
        self.outlook.call_finished(call, event.usage, pause)
        self._places.learn(call, event.usage, now)
        self._ended(call, now, pause)
        self.outlook.call_answered(call, event.usage)

    def _failed(self, event: CallFailed, now: float) -> None:
        call = self._stepped(event)
        replica_id = call.replica_id
        self._ended(call, now)
        if event.moves and replica_id is not None:
            self._places.failed(call.program, replica_id, now)

    def _ended(self, call: Call, now: float, pause: Pause | None = None) -> None:
        """A call is over, one way or another."""
        program = call.program
        del self._calls[call.call_id], program.calls[call.call_id]
        self._places.leave(call, now, None if pause is None else pause.context)
        if call.sent_at is not None:
            program.attained_s += now - call.sent_at
            self._places.lines.entering.serve(program, now - call.sent_at)
        if call.context is not None and not program.has_ended:
            # One that failed is likely to be made again at once, or its program to end.
            pause = pause or _paused(call, call.context.chain, now)
            self._places.room.pause(call.context, pause, now)

    def _cancelled(self, call: Call, now: float, actions: list[SchedulerAction]) -> None:
        if call.is_sent:
            actions.append(CancelCall(call.call_id))
        self._step(call, CallCancelled(call.call_id))
        self._ended(call, now)

    def _tool(self, event: ToolStarted | ToolFinished, now: float) -> None:
        program = self._program(event.program_id, event)
        match event:
            case ToolStarted():
                pause = self._tool_started(program, event, now)
            case ToolFinished():
                if event.tool_call_id not in program.tools:
                    raise self._broken(
                        f"tool {event.tool_call_id!r} never started", event.program_id
                    )
                pause = program.tools.pop(event.tool_call_id)
                if pause is not None:
                    use, _ = pause.pending.pop(event.tool_call_id)
                    pause.returned.append((use, now - pause.ended_at))
            case _:
                assert_never(event)
        if pause is not None:
            pause.changed_at = now
            self._places.room.pause_changed(pause, now)

    def _tool_started(self, program: Program, event: ToolStarted, now: float) -> Pause | None:
        if event.tool_call_id in program.tools:
            raise self._broken(f"tool {event.tool_call_id!r} started twice", event.program_id)
        use = ToolUse(event.tool, event.argument_class)
        self.outlook.tool_started(program, use)
        pauses = program.pauses
        if event.call_id is not None:
            pause = pauses.get(event.call_id)
        else:
            pause = next(reversed(pauses.values())) if pauses else None
        if pause is not None:
            pause.pending[event.tool_call_id] = (use, now)
        program.tools[event.tool_call_id] = pause
        return pause

    def _program_changed(
        self,
        event: ProgramArrived | ProgramIdle | ProgramFinished | ProgramCancelled,
        now: float,
        actions: list[SchedulerAction],
    ) -> None:
        match event:
            case ProgramArrived():
                self._arrive(event, now)
                return
            case ProgramIdle(program_id):
                self._places.room.give_up_holds(self._program(program_id, event))
                return
            case ProgramCancelled():
                program = self._program(event.program_id, event)
                program.has_ended = True  # what its calls leave is not kept
                for call in list(program.calls.values()):
                    self._cancelled(call, now, actions)
            case ProgramFinished():
                program = self._program(event.program_id, event)
                if program.calls:
                    raise self._broken("it finished with calls under way", event.program_id)
                self.outlook.program_finished(program, now)
            case _:
                assert_never(event)
        program.has_ended = True
        self._places.take_back(program)
        self._places.lines.entering.leave(program)
        del self._programs[program.program_id], self._stories[program.program_id]

    def _arrive(self, event: ProgramArrived, now: float) -> None:
        if event.program_id in self._programs:
            raise self._broken("it arrived twice", event.program_id)
        self._arrivals += 1
        program = Program(
            event.program_id,
            sequence=self._arrivals,
            arrived_at=now,
            workflow=event.workflow,
            tenant=event.tenant,
            deadline_at=event.deadline_at,
        )
        self._programs[event.program_id] = program
        self._places.lines.entering.arrive(program)
        self._stories[event.program_id] = deque([event], maxlen=_STORY_LENGTH)

    def _replica_changed(
        self, event: ReplicaUp | ReplicaDown | ReplicaReported | ReplicaResized, now: float
    ) -> None:
        match event:
            case ReplicaUp():
                self._places.fleet.add(
                    Replica(
                        event.replica_id,
                        event.kv_blocks,
                        event.max_running,
                        takes_holds=event.takes_holds,
                    )
                )
            case ReplicaDown():
                self._lose(event.replica_id, now)
            case ReplicaResized(replica_id, kv_blocks):
                self._places.resized(replica_id, kv_blocks)
            case ReplicaReported():
                self._places.reported(event.replica_id, event.used_blocks, event.running)
            case _:
                assert_never(event)

    def _lose(self, replica_id: ReplicaId, now: float) -> None:
        """A replica is gone: its programs have no place, its calls are ready again."""
        replica = self._places.fleet.remove(replica_id)
        running = list(replica.running.values())
        waiting = [
            call
            for call in self._calls.values()
            if call.call_id in replica.returning or call.call_id in replica.followers
        ]
        self._places.room.lose(replica)
        for call in (*running, *waiting):
            call.unsend()
            call.context = None
            self._places.wait(call, now)

    # -- answers -----------------------------------------------------------------------------

    def _act(self, now: float, actions: list[SchedulerAction]) -> None:
        if self._places.is_quiet(now):
            return
        sends = self._places.fill(now)
        # What is to be used once more must be asked for before calls come that evict it.
        actions += self._places.keep(now)
        actions += [SendCall(call.call_id, replica.replica_id) for call, replica in sends]
        wake_at = self._places.wake_at(now)
        if wake_at is not None:
            actions.append(SetTimer("places", wake_at))

    # -- looking up --------------------------------------------------------------------------

    def _program(self, program_id: ProgramId, event: SchedulerEvent) -> Program:
        program = self._programs.get(program_id)
        if program is None:
            raise InvariantError(f"there is no program {program_id!r}", story=[repr(event)])
        self._stories[program_id].append(event)
        return program

    def _call(self, call_id: CallId, event: SchedulerEvent) -> Call:
        call = self._calls.get(call_id)
        if call is None:
            raise InvariantError(f"there is no call {call_id!r}", story=[repr(event)])
        self._stories[call.program.program_id].append(event)
        return call

    def _stepped(
        self, event: CallStarted | FirstToken | CallProgress | CallFinished | CallFailed
    ) -> Call:
        """The call of an event, in the phase that the event has brought it to."""
        call = self._call(event.call_id, event)
        self._step(call, event)
        return call

    def _step(self, call: Call, event: SchedulerEvent) -> None:
        phase = CALL_TRANSITIONS.get((call.phase, type(event)))
        if phase is None:
            kind = type(event).__name__
            raise self._broken(
                f"{kind} cannot happen to call {call.call_id!r}, which is {call.phase.value}",
                call.program.program_id,
            )
        call.phase = phase

    def _broken(self, message: str, program_id: ProgramId) -> InvariantError:
        return InvariantError(
            f"program {program_id!r}: {message}", story=tuple(self._stories[program_id])
        )


def _paused(call: Call, context: Chain, now: float, *, is_last: bool = False) -> Pause:
    """What begins now that `call` is over and has left `context`."""
    prompt_blocks = min(block_count(call.chain), block_count(context))
    program = call.program
    return Pause(program, context, prompt_blocks, now, program.turns, is_last, now)
