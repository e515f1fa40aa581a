"""What the scheduler knows: programs, calls and replicas, and which changes of state there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from agentrt.estimates.durations import ToolUse
from agentrt.ir.prefix import Chain
from agentrt.scheduler.decoding import DecodeSpan
from agentrt.scheduler.events import (
    CallCancelled,
    CallFailed,
    CallFinished,
    CallId,
    CallProgress,
    CallStarted,
    FirstToken,
    ProgramId,
    ReplicaId,
    SchedulerEvent,
)
from agentrt.scheduler.radix import Reference
from agentrt.scheduler.radix_node import Claim


class ProgramPhase(Enum):
    """Where a program is. Fan-out: with calls in several phases, the first of these that applies."""

    REASONING = "reasoning"  # a call is at an engine
    QUEUED = "queued"  # a call is ready and not sent
    ACTING = "acting"  # in tools, or in its client's hands


class CallPhase(Enum):
    """Where a call is. From ready to sent is the scheduler's own doing; events do the rest."""

    READY = "ready"
    SENT = "sent"
    COMPUTING = "computing"  # the engine has begun with its prompt
    ANSWERING = "answering"  # it has its first token
    ENDED = "ended"


CALL_TRANSITIONS: Mapping[tuple[CallPhase, type[SchedulerEvent]], CallPhase] = MappingProxyType(
    {
        (CallPhase.READY, CallCancelled): CallPhase.ENDED,
        (CallPhase.SENT, CallStarted): CallPhase.COMPUTING,
        (CallPhase.SENT, FirstToken): CallPhase.ANSWERING,
        (CallPhase.COMPUTING, FirstToken): CallPhase.ANSWERING,
        (CallPhase.ANSWERING, CallProgress): CallPhase.ANSWERING,
        **{
            (phase, end): CallPhase.ENDED
            for phase in (CallPhase.SENT, CallPhase.COMPUTING, CallPhase.ANSWERING)
            for end in (CallFinished, CallFailed, CallCancelled)
        },
    }
)
"""What events do to calls. A pair that is not in it cannot happen: `InvariantError`."""


@dataclass(slots=True, eq=False)
class Pause:
    """What a program does from the end of a call to the call that goes on from it.

    Attributes:
        prompt_blocks: How many of the blocks of `context` were the call's prompt.
        turn: Calls of the program that had ended then, this one included.
        is_last: As far as is known, no call will go on from it.
        changed_at: When what is known of the wait last changed: the call ended, a tool started, or
            one returned.
        pending: Tools at work, by their call's id: what and since when.
        returned: Tools that have returned: what, and how long after the call's end.
        placed: What its program's place counts for it, or did.
        is_over: A call has gone on from it.
    """

    program: Program
    context: Chain
    prompt_blocks: int
    ended_at: float
    turn: int
    is_last: bool
    changed_at: float
    pending: dict[str, tuple[ToolUse, float]] = field(default_factory=dict)
    returned: list[tuple[ToolUse, float]] = field(default_factory=list)
    placed: PlacedContext | None = None
    is_over: bool = False


@dataclass(slots=True, eq=False)
class PlacedContext:
    """The blocks of one branch of a program with a place, and what keeps them counted.

    Attributes:
        pause: Since its call has ended: what is known of the wait; None while a call is under way.
        held_until: During a pause: until when it is kept though others wait.
        is_counted: It has not been given up, and no longer one has taken its place.
        placed_blocks: How many blocks it had when it was placed; of those `own_blocks` only it
            needed, and the first `prompt_blocks` were its call's prompt.
        grown_blocks: How many more that was than the branch had that it goes on with, if any.
        claim: During a pause: the wish that its blocks stay in the replica's cache.
        is_pinned: During a pause: the replica was asked to hold them.
    """

    program: Program
    chain: Chain
    reference: Reference
    pause: Pause | None = None
    held_until: float | None = None
    is_counted: bool = True
    placed_blocks: int = 0
    own_blocks: int = 0
    prompt_blocks: int = 0
    grown_blocks: int | None = None
    claim: Claim | None = None
    is_pinned: bool = False

    def resume(self) -> None:
        """A call has come for it, or it was given up: the pause does not concern it any more."""
        if self.pause is not None:
            self.pause.placed = None
        self.held_until = self.pause = None
        self.is_pinned = False
        if self.claim is not None:
            self.claim.owner = None


class Call:
    """One LLM call, from ready to ended.

    Attributes:
        context: What its program's place counts for it: the branch it goes on with, then its own.
        pause: The one it goes on from, as far as is known.
        was_pinned: The branch it goes on with is held, and need not be once its prompt is computed.
        kept_blocks: Blocks of the branch it goes on with that were kept for it until it was sent.
        computed_blocks: Blocks of its prompt that its replica has to compute, as far as is known.
        decoded: When it has ended: what went on beside its answer.
        move_at: While it waits for room on the replica it was on: from when on it may go elsewhere.
        precedence: Among the calls of its program that wait alike: the most goes first.
        tells_first_token: Whoever made it will say when it has its first token, wherever it is.
        tried_at: How many changes there had been of replicas when room was last looked for in vain.
    """

    __slots__ = (
        "call_id",
        "chain",
        "computed_blocks",
        "context",
        "decoded",
        "first_token_at",
        "is_last",
        "kept_blocks",
        "move_at",
        "pause",
        "phase",
        "precedence",
        "program",
        "prompt_tokens",
        "ready_at",
        "replica_id",
        "sent_at",
        "shadow_reference",
        "started_at",
        "tells_first_token",
        "tried_at",
        "was_pinned",
    )

    def __init__(
        self,
        call_id: CallId,
        program: Program,
        chain: Chain,
        prompt_tokens: int,
        ready_at: float,
        *,
        is_last: bool = False,
    ) -> None:
        self.call_id = call_id
        self.program = program
        self.chain = chain
        self.prompt_tokens = prompt_tokens
        self.is_last = is_last
        self.precedence = 0.0
        self.tells_first_token = False
        self.context: PlacedContext | None = None
        self.pause: Pause | None = None
        self.ready_at = ready_at
        self.phase = CallPhase.READY
        self.tried_at = -1
        self.move_at = -math.inf
        self.was_pinned = False
        self.unsend()

    def unsend(self) -> None:
        """It is as if it had never been sent."""
        self.replica_id: ReplicaId | None = None
        self.sent_at: float | None = None
        self.started_at: float | None = None
        self.first_token_at: float | None = None
        self.shadow_reference: Reference | None = None
        self.kept_blocks = 0
        self.computed_blocks = 0
        self.decoded: DecodeSpan | None = None
        self.phase = CallPhase.READY

    @property
    def is_sent(self) -> bool:
        return self.phase is not CallPhase.READY


class Program:
    """One program.

    Attributes:
        sequence: Its rank of arrival; ties of every order are broken by it.
        calls: Those that have not ended.
        pauses: By the id of the call that ended: those that no call has gone on from yet. Of many,
            the latest.
        tools: At work now, by their call's id, and whose pause they belong to.
        last_tool: The tool that started last; empty before any did.
        replica_id: Where its place is, or was last; None: it never had one.
        contexts: While it has a place: the blocks of its branches.
        has_place: Its contexts are counted in its replica's occupancy, each for as long as a call
            is under way on it, and over tool calls for as long as it is held.
        attained_s: Engine time its calls have had, in seconds (Autellix's attained service).
        turns: Calls that have ended.
        has_ended: It has finished or was cancelled.
        failed_at: Replicas where its calls have failed, and when the last did; those are forgotten
            once a call that was sent since has its answer.
    """

    __slots__ = (
        "arrived_at",
        "attained_s",
        "calls",
        "contexts",
        "deadline_at",
        "failed_at",
        "has_ended",
        "has_place",
        "last_tool",
        "pauses",
        "program_id",
        "replica_id",
        "sequence",
        "tenant",
        "tools",
        "turns",
        "workflow",
    )

    def __init__(
        self,
        program_id: ProgramId,
        *,
        sequence: int,
        arrived_at: float,
        workflow: str = "",
        tenant: str = "",
        deadline_at: float | None = None,
    ) -> None:
        self.program_id = program_id
        self.sequence = sequence
        self.arrived_at = arrived_at
        self.workflow = workflow
        self.tenant = tenant
        self.deadline_at = deadline_at
        self.calls: dict[CallId, Call] = {}
        self.pauses: dict[CallId, Pause] = {}
        self.tools: dict[str, Pause | None] = {}
        self.last_tool = ""
        self.replica_id: ReplicaId | None = None
        self.contexts: list[PlacedContext] = []
        self.has_place = False
        self.has_ended = False
        self.attained_s = 0.0
        self.turns = 0
        self.failed_at: dict[ReplicaId, float] = {}

    @property
    def phase(self) -> ProgramPhase:
        if any(call.is_sent for call in self.calls.values()):
            return ProgramPhase.REASONING
        return ProgramPhase.QUEUED if self.calls else ProgramPhase.ACTING

    def is_urgent(self, now: float) -> bool:
        """It has a deadline that has not passed."""
        return self.deadline_at is not None and now < self.deadline_at

    @property
    def is_bound(self) -> bool:
        """It has a deadline, or calls at work on its replica: its place is not taken for another's."""
        return self.deadline_at is not None or any(call.is_sent for call in self.calls.values())
