"""`ScheduledProgram`: one program as the schedulers know it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from agentrt.ir.hints import Hints
from agentrt.ir.node import Tier
from agentrt.ir.prefix import block_count
from agentrt.ir.request import Completion, Message, Request
from agentrt.runtime.argument_class import argument_class
from agentrt.runtime.call_hints import FIRST_PRIORITY, expected_hold_s, hints_for, opaque
from agentrt.runtime.conversations import Conversations
from agentrt.runtime.pool import Ended, Pool, Replica, Send
from agentrt.runtime.pool_call import over
from agentrt.runtime.prompt_chains import Measured
from agentrt.runtime.standing import ALONE, Standing
from agentrt.scheduler.events import (
    CallFinished,
    CallId,
    CallReady,
    ProgramArrived,
    ProgramIdle,
    ReplicaId,
    ToolFinished,
    ToolStarted,
)

if TYPE_CHECKING:
    from agentrt.runtime.fleet import Fleet

_ELSEWHERE_S = 60.0
"""How long a call waits at one pool while its program keeps its places at others. Two programs that
each wait for a place the other one has would do so for ever."""

_SALTS_REMEMBERED = 16
"""Of one program; of one that was forgotten, prompts are measured from their start."""


IsLast: TypeAlias = Callable[[Completion], bool]


@dataclass(frozen=True, slots=True)
class Served:
    """An answer, and what the scheduler knew of the call.

    Attributes:
        origin: Whose ids the blocks have.
        ready_at: When the call could have been sent, on the runtime's clock.
    """

    call_id: CallId
    origin: str
    completion: Completion
    prompt: Measured
    context: Measured
    ready_at: float


class _Membership:
    """A program at one pool."""

    __slots__ = ("_by_salt", "_cache_salt", "_chains", "has_called")

    def __init__(self, pool: Pool, cache_salt: str) -> None:
        self.has_called = False
        self._chains = pool.chains
        self._cache_salt = cache_salt
        self._by_salt: dict[str, Conversations] = {}

    def conversations(self, salt: str) -> Conversations:
        """Those of one salt beside the program's: none finds what others have left in a cache."""
        found = self._by_salt.pop(salt, None)
        if found is None:
            whole = f"{self._cache_salt}/{salt}" if salt else self._cache_salt
            found = Conversations(self._chains, salt=whole)
        self._by_salt[salt] = found
        if len(self._by_salt) > _SALTS_REMEMBERED:  # clients may give each request its own
            del self._by_salt[next(iter(self._by_salt))]
        return found


class ScheduledProgram:
    """One program as the schedulers know it: all its calls and tool calls go through here."""

    def __init__(
        self, fleet: Fleet, arrived: ProgramArrived, *, cache_salt: str = "", number: int = 0
    ) -> None:
        """`number`: by the order in which programs were made."""
        self._fleet = fleet
        self._number = number
        self._cache_salt = cache_salt
        self._arrived = arrived
        self._memberships: dict[Pool, _Membership] = {}
        self._callees: tuple[Pool, ...] = ()
        self._tools: dict[str, tuple[Pool, ...]] = {}
        self._tools_made = 0
        self._is_over = False

    @property
    def program_id(self) -> str:
        return self._arrived.program_id

    @property
    def tenant(self) -> str:
        return self._arrived.tenant

    def hints(
        self, request: Request, *, standing: Standing = ALONE, expects_more: bool = True
    ) -> Hints:
        """What an engine may be told of a call of this program: see `hints_for`."""
        pool = self._fleet.pool(request.options.tier)
        identity = Hints(
            program_id=opaque(self.program_id),
            tenant=self.tenant,
            cache_salt=self._cache_salt,
            priority=max(0, FIRST_PRIORITY - self._number),
        )
        estimates = pool.scheduler.outlook.estimates
        return hints_for(
            identity,
            request,
            standing=standing,
            expects_more=expects_more,
            hold_s=expected_hold_s(estimates, self._arrived.workflow) if expects_more else 0.0,
            rate=pool.rate,
        )

    def arrive(self, *tiers: Tier) -> None:
        """Take a rank among the programs at the pools of `tiers`; at others it has its first call's.

        Whoever calls this, or `complete`, has to `end` the program.
        """
        for tier in tiers:
            self._membership(self._fleet.pool(tier))

    async def complete(
        self,
        request: Request,
        send: Send,
        *,
        is_last: IsLast | bool = False,
        standing: Standing = ALONE,
        pool: Pool | None = None,
        salt: str = "",
    ) -> Served:
        """Have the scheduler send `request`, and `send` it where it says.

        Args:
            is_last: No later prompt will begin with this one and its answer, as is known beforehand
                or as the answer tells.
            standing: What a plan knows of it among the calls of this program.
            pool: Where to; None: where calls of the request's tier go.
            salt: Beside the program's: such as the model's name, where replicas serve several.

        Raises:
            BackendError: no replica is there, `send` has raised it, or the scheduler refuses.
            RunCancelled: the program is over.
        """
        pool = pool or self._fleet.pool(request.options.tier)
        await pool.ready()
        if self._is_over:
            raise over(self.program_id)
        membership = self._membership(pool)
        if not membership.has_called:
            membership.has_called = True
            self._callees += (pool,)
        conversations = membership.conversations(salt)
        made = pool.chains.made
        prompt = conversations.prompt(request)
        known_blocks = block_count(prompt.chain) - (pool.chains.made - made)
        contexts: list[Measured] = []

        def ended(completion: Completion, replica_id: ReplicaId | None) -> CallFinished:
            answer = Message("assistant", completion.text, completion.tool_calls)
            is_end = is_last if isinstance(is_last, bool) else is_last(completion)
            contexts.append(conversations.context(prompt, answer, is_last=is_end))
            context = contexts[-1].chain
            is_left = is_end or self._is_over
            pool.warming.ended(self.program_id, request, completion, context, is_last=is_left)
            pool.learn_rate(prompt.characters, completion.usage.prompt_tokens)
            usage = pool.reports.told(
                replica_id,
                completion.usage,
                characters=prompt.characters,
                known_blocks=known_blocks,
            )
            return CallFinished(ready.call_id, usage, context, is_end)

        ready_at = pool.now()
        ready = CallReady(
            call_id=self._fleet.next_call_id(),
            program_id=self.program_id,
            chain=prompt.chain,
            prompt_tokens=pool.rate.tokens(prompt.characters),
            max_completion_tokens=request.options.max_tokens,
            is_last=is_last is True,
            precedence=standing.precedence,
            tells_first_token=standing.is_in_fan_out and pool.streams,
        )
        completion = await self._complete(pool, ready, send, ended)
        return Served(ready.call_id, pool.origin, completion, prompt, contexts[-1], ready_at)

    async def _complete(self, pool: Pool, ready: CallReady, send: Send, ended: Ended) -> Completion:
        if len(self._memberships) == 1:
            return await pool.complete(ready, send, ended)
        loop = asyncio.get_running_loop()
        waits_long = loop.call_later(_ELSEWHERE_S, self._give_way, pool)

        async def send_at_last(replica: Replica) -> Completion:
            waits_long.cancel()
            return await send(replica)

        try:
            return await pool.complete(ready, send_at_last, ended)
        finally:
            waits_long.cancel()

    def _give_way(self, waits_at: Pool) -> None:
        """Let others have the places at all pools but one."""
        for pool in self._memberships:
            if pool is not waits_at and not self._is_over:
                pool.tell(ProgramIdle(self.program_id))

    def tool_started(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        asked_by: CallId | None = None,
        kind: str | None = None,
    ) -> str | None:
        """A tool is at work, asked for by the answer to a call, if it is known to which. What to give to `tool_finished`; None: there is nobody to tell.

        Before its first call a program has nothing at a server that a tool could keep waiting. `kind`
        is what tells durations of the tool apart, where that is not seen from its arguments.
        """
        if not self._callees or self._is_over:
            return None
        self._tools_made += 1
        tool_call_id = f"t{self._tools_made}"
        self._tools[tool_call_id] = self._callees
        kind = argument_class(arguments) if kind is None else kind
        event = ToolStarted(self.program_id, tool_call_id, tool, kind, asked_by)
        for pool in self._callees:
            pool.tell(event)
        return tool_call_id

    def tool_finished(self, tool_call_id: str | None) -> None:
        """The tool has returned, or failed."""
        if tool_call_id is None or self._is_over:
            return
        for pool in self._tools.pop(tool_call_id):
            pool.tell(ToolFinished(self.program_id, tool_call_id))

    def rest(self) -> None:
        """It may not come back: others may have its places. It goes on, without them, if it does."""
        if not self._is_over:
            for pool in self._memberships:
                pool.tell(ProgramIdle(self.program_id))

    def end(self, *, is_cancelled: bool = False) -> None:
        """The program is over, and its place is free. Safe to call twice."""
        if self._is_over:
            return
        self._is_over = True
        for pool in self._memberships:
            pool.end(self.program_id, is_cancelled=is_cancelled)

    def _membership(self, pool: Pool) -> _Membership:
        membership = self._memberships.get(pool)
        if membership is None:
            pool.arrive(self._arrived)
            membership = self._memberships[pool] = _Membership(pool, self._cache_salt)
        return membership
