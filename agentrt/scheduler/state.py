"""What the scheduler knows: programs, calls and replicas, and which changes of state there are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from agentrt.ir.prefix import Chain
from agentrt.scheduler.events import CallId, ProgramId, ReplicaId
from agentrt.scheduler.radix import Reference


class ProgramPhase(Enum):
    """Where a program is. Fan-out: with calls in several phases, the first of these that applies."""

    REASONING = "reasoning"  # a call is at an engine
    QUEUED = "queued"  # a call is ready and not sent
    ACTING = "acting"  # in tools, or in its client's hands


class CallPhase(Enum):
    """Where a call is."""

    READY = "ready"
    SENT = "sent"


@dataclass(slots=True, eq=False)
class PlacedContext:
    """The blocks of one branch of a program with a place, and what keeps them counted.

    Attributes:
        held_until: Since its call has ended: until when it is kept though others wait; None while
            a call is under way on it.
        is_counted: It has not been given up, and no longer one has taken its place.
    """

    chain: Chain
    reference: Reference
    held_until: float | None = None
    is_counted: bool = True


class Call:
    """One LLM call, from ready to ended.

    Attributes:
        context: What its program's place counts for it: the branch it goes on with, then its own.
        tried_at: How many changes there had been of replicas when room was last looked for in vain.
    """

    __slots__ = (
        "call_id",
        "chain",
        "context",
        "phase",
        "program",
        "prompt_tokens",
        "ready_at",
        "replica_id",
        "sent_at",
        "tried_at",
    )

    def __init__(
        self,
        call_id: CallId,
        program: Program,
        chain: Chain,
        prompt_tokens: int,
        ready_at: float,
    ) -> None:
        self.call_id = call_id
        self.program = program
        self.chain = chain
        self.prompt_tokens = prompt_tokens
        self.context: PlacedContext | None = None
        self.ready_at = ready_at
        self.sent_at: float | None = None
        self.replica_id: ReplicaId | None = None
        self.phase = CallPhase.READY
        self.tried_at = -1


class Program:
    """One program.

    Attributes:
        sequence: Its rank of arrival; ties of every order are broken by it.
        calls: Those that have not ended.
        tools: At work now, by their call's id: (tool, argument class, since when).
        replica_id: Where its place is, or was last; None: it never had one.
        contexts: While it has a place: the blocks of its branches.
        has_place: Its contexts are counted in its replica's occupancy, each for as long as a call
            is under way on it, and over tool calls for as long as it is held.
        attained_s: Engine time its calls have had, in seconds (Autellix's attained service).
        turns: Calls that have ended.
    """

    __slots__ = (
        "arrived_at",
        "attained_s",
        "calls",
        "contexts",
        "deadline_at",
        "has_place",
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
        self.tools: dict[str, tuple[str, str, float]] = {}
        self.replica_id: ReplicaId | None = None
        self.contexts: list[PlacedContext] = []
        self.has_place = False
        self.attained_s = 0.0
        self.turns = 0

    @property
    def phase(self) -> ProgramPhase:
        phases = {call.phase for call in self.calls.values()}
        if CallPhase.SENT in phases:
            return ProgramPhase.REASONING
        return ProgramPhase.QUEUED if CallPhase.READY in phases else ProgramPhase.ACTING
