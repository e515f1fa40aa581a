"""`LiveProgram`: one client's program, from its first request to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256

from agentrt.gateway.asked import Asked
from agentrt.gateway.prefix_watch import PrefixWatch
from agentrt.gateway.program_pauses import Pauses
from agentrt.gateway.recognises import Recognition
from agentrt.ir.request import Request, Usage
from agentrt.runtime.fleet import ScheduledProgram, Served
from agentrt.runtime.pool import Pool
from agentrt.scheduler.events import ProgramId, ReplicaId

_PROMPT_CHARACTERS = 256


class Ending(Enum):
    """How a program came to its end."""

    FINAL = "final"  # a request said that it is the last one
    ENDED = "ended"  # somebody has said so
    IDLE = "idle"  # an answer called no tool, and nothing came after it
    ABANDONED = "abandoned"  # its last request came to no answer, and it did not try again
    EXPIRED = "expired"  # its tools have not returned
    DONE = "done"  # nor has any other program's, after which this one called last
    CLOSED = "closed"  # the gateway was stopped

    @property
    def is_whole(self) -> bool:
        """Whether it did all it had to do, as far as can be told: estimates learn from those."""
        return self in {Ending.FINAL, Ending.ENDED, Ending.IDLE, Ending.DONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """How long a program may be quiet until it is over.

    Attributes:
        idle_s: After an answer that called no tool, or after a request that came to no answer.
        expire_s: After any other.
    """

    idle_s: float = 120.0
    expire_s: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedProgram:
    """What is remembered of one."""

    program_id: ProgramId
    tenant: str
    name: str
    model: str
    how: Ending
    at: float
    turns: int
    usage: Usage


@dataclass(slots=True, eq=False, kw_only=True)
class LiveProgram:
    """One program.

    Attributes:
        program_id: What it was recognised as. `agents` are those that belong to it: itself, and the
            sub-agents whose requests say so.
        sequence: Its rank of arrival.
        scheduled: What the schedulers know it as.
        name: What its client calls it; empty: nothing.
        reason: How its latest request was recognised.
        model: The one its latest request asked for.
        calls: Requests under way.
        turns: Answers so far.
        had_answer: Its latest request came to one.
        last_at: When a request came or ended last.
        prefix: Where its requests stopped sharing what it had sent before.
    """

    program_id: ProgramId
    sequence: int
    scheduled: ScheduledProgram
    tenant: str
    name: str
    workflow: str
    began_at: float
    last_at: float
    pauses: Pauses
    agents: set[ProgramId]
    reason: str = ""
    model: str = ""
    pool: Pool | None = None
    calls: int = 0
    turns: int = 0
    usage: Usage = Usage()
    had_answer: bool = False
    is_final: bool = False
    timer: asyncio.TimerHandle | None = None
    prefix: PrefixWatch = field(default_factory=PrefixWatch)

    def begin_call(self, asked: Asked, model: str, recognised: Recognition, now: float) -> None:
        """A request of it has come."""
        self.calls += 1
        self.last_at = now
        self.had_answer = False
        self.model, self.reason = model, recognised.reason
        self.stay()
        self.pauses.resume(asked.request, recognised.results)

    def answered(self, served: Served, now: float) -> None:
        """A request of it has its answer."""
        self.turns += 1
        self.had_answer = True
        self.usage += served.completion.usage
        self.pauses.begin(served.completion, served.call_id, now)
        self.prefix.served(served)

    def choose(self, pools: tuple[Pool, ...], failed_at: Collection[ReplicaId] = ()) -> Pool:
        """Where it is, if that serves the model and is up; else the least busy one that is.

        Of those that have only replicas where it has `failed_at`, none, unless there are no others.
        """
        sound = [pool for pool in pools if any(up not in failed_at for up in pool.up_ids)]
        able = sound or [pool for pool in pools if pool.is_up] or pools
        if self.pool is None or self.pool not in able:
            is_only = len(able) == 1  # as nearly always: then nobody needs to count
            self.pool = able[0] if is_only else min(able, key=_program_count)
        return self.pool

    @property
    def ending(self) -> Ending:
        """What it is, if nothing comes any more."""
        if not self.had_answer:
            return Ending.ABANDONED
        pauses = self.pauses.now_open
        expected = [pause for pause in pauses if not pause.is_given_up]
        is_reply = all(pause.is_reply for pause in expected) and bool(expected or not pauses)
        return Ending.IDLE if is_reply else Ending.EXPIRED

    @property
    def is_resting(self) -> bool:
        """It has called tools from which it is not expected back any more."""
        pauses = self.pauses.now_open
        return not self.calls and bool(pauses) and all(pause.is_given_up for pause in pauses)

    def leave_in(self, seconds: float, leave: Callable[[], None]) -> None:
        """Have `leave` called then, unless it stays."""
        self.stay()
        self.timer = asyncio.get_running_loop().call_later(seconds, leave)

    def stay(self) -> None:
        """It is not to leave by itself."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def _program_count(pool: Pool) -> int:
    return len(pool.scheduler.programs)


def kind_of(request: Request) -> str:
    """What tells kinds of agents apart, without a name: how they are instructed, and their tools.

    Only the beginning of instructions: what comes later often has the date or a directory in it.
    """
    first = request.messages[0] if request.messages else None
    instructions = first.content if first is not None and first.role == "system" else ""
    names = ",".join(sorted(tool.name for tool in request.tools))
    if not instructions and not names:
        return ""
    told = f"{instructions[:_PROMPT_CHARACTERS]}\0{names}".encode("utf-8", "surrogatepass")
    return sha256(told).hexdigest()[:12]
