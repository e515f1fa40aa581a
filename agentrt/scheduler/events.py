"""What the scheduler is told. Drivers (runtime, gateway, simulator) send these, with the time.

Ids are the driver's. No two that live have the same; a call that was cancelled may be made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agentrt.ir.prefix import Chain
from agentrt.ir.request import Usage

ProgramId: TypeAlias = str
CallId: TypeAlias = str
ReplicaId: TypeAlias = str
TimerId: TypeAlias = str

REPLY = "(reply)"
"""The `tool` of an answer that called none, where it is not known to be the last: a person reads it, or
an agent whose actions are in its text. Nothing may come of it. No tool has such a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramArrived:
    """A program exists; its calls follow.

    Attributes:
        workflow: What kind of program it is: estimates learn for each kind.
        deadline_at: When it should be done, on the driver's clock; None: whenever.
    """

    program_id: ProgramId
    workflow: str = ""
    tenant: str = ""
    deadline_at: float | None = None


@dataclass(frozen=True, slots=True)
class ProgramFinished:
    """Nothing of the program is left to do; what it held is free."""

    program_id: ProgramId


@dataclass(frozen=True, slots=True)
class ProgramCancelled:
    """Nobody wants the program any more; its calls under way are to be cancelled."""

    program_id: ProgramId


@dataclass(frozen=True, slots=True)
class ProgramIdle:
    """Nothing has been heard of the program for so long that it may never come back.

    Its place is free for others, as if all its holds had ended. It is not forgotten: its next call
    waits like any other that has no place.
    """

    program_id: ProgramId


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReady:
    """A call could be sent now.

    Attributes:
        chain: The full blocks of its prompt.
        prompt_tokens: All tokens of the prompt, the last part of a block included.
        max_completion_tokens: The most it may answer; None: not limited.
        is_last: Nothing will go on from its answer: no later prompt begins with this one's context,
            as a plan can tell beforehand.
        precedence: Of calls of one program that wait, that with the most goes first; equal ones in the
            order they became ready.
        tells_first_token: Its `FirstToken` will come wherever it is sent, so that others can wait for
            it on a replica that has not told of any yet.
    """

    call_id: CallId
    program_id: ProgramId
    chain: Chain
    prompt_tokens: int
    max_completion_tokens: int | None = None
    is_last: bool = False
    precedence: float = 0.0
    tells_first_token: bool = False


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The engine has begun with a call that was sent. Not every engine says so."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class FirstToken:
    """The prompt of a call is computed: its blocks are in the replica's cache."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class CallProgress:
    """A call has answered `completion_tokens` so far."""

    call_id: CallId
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call has its answer.

    Attributes:
        context: What the replica's cache now holds of it: the blocks of its prompt and answer.
        is_last: Nothing will go on from it: an agent that called no tool has ended. What only the
            answer tells; `CallReady` may have said so before.
    """

    call_id: CallId
    usage: Usage
    context: Chain
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class CallFailed:
    """A call that was sent has failed. The driver makes it ready again, or ends the program.

    Attributes:
        moves: Its replica may be to blame: where there is another one, the program goes on there, with
            this call and all others, once none of its calls is at work where this one has failed.
    """

    call_id: CallId
    moves: bool = False


@dataclass(frozen=True, slots=True)
class CallCancelled:
    """A call is not wanted any more, whether it was sent or not."""

    call_id: CallId


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool of the program is at work.

    Attributes:
        argument_class: What is known of the arguments that tells durations apart.
        call_id: The ended call whose answer asked for it; None: not known, and taken to be the
            program's latest.
    """

    program_id: ProgramId
    tool_call_id: str
    tool: str
    argument_class: str = ""
    call_id: CallId | None = None


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool of the program has returned, or failed."""

    program_id: ProgramId
    tool_call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaUp:
    """A server is there (again), with an empty cache as far as is known.

    Attributes:
        kv_blocks: Blocks its KV cache has room for; None: not known, or no concern of ours.
        max_running: Calls it works on at once; None: as many as fit.
        takes_holds: It keeps blocks when asked to: `HoldKV` and `ReleaseKV` are for it.
    """

    replica_id: ReplicaId
    kv_blocks: int | None
    max_running: int | None = None
    takes_holds: bool = False


@dataclass(frozen=True, slots=True)
class ReplicaDown:
    """A server is gone, and the calls that were there with it: they are ready again."""

    replica_id: ReplicaId


@dataclass(frozen=True, slots=True)
class ReplicaResized:
    """It is known better how many blocks a replica's cache has room for.

    Drivers that count in other units than the server learn what its tokens come to.
    """

    replica_id: ReplicaId
    kv_blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaReported:
    """What a server says of itself."""

    replica_id: ReplicaId
    used_blocks: int
    running: int
    waiting: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time that `SetTimer` asked for has come."""

    timer_id: TimerId


SchedulerEvent: TypeAlias = (
    ProgramArrived
    | ProgramFinished
    | ProgramCancelled
    | ProgramIdle
    | CallReady
    | CallStarted
    | FirstToken
    | CallProgress
    | CallFinished
    | CallFailed
    | CallCancelled
    | ToolStarted
    | ToolFinished
    | ReplicaUp
    | ReplicaDown
    | ReplicaReported
    | ReplicaResized
    | TimerFired
)
