"""`Programs`: requests become turns of programs, which the schedulers know. The `Turns` of a gateway."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Generic

from agentrt.clock import Clock
from agentrt.errors import BackendError
from agentrt.gateway.asked import Asked
from agentrt.gateway.live_program import (
    EndedProgram,
    Ending,
    LiveProgram,
    Quiet,
    kind_of,
)
from agentrt.gateway.program_hints import hints_for
from agentrt.gateway.program_pauses import Pauses, silence_s
from agentrt.gateway.recognises import R, Recognises, Recognition
from agentrt.gateway.replicas import Replicas
from agentrt.gateway.sending import Sending
from agentrt.gateway.turn_observer import Observer, Turn
from agentrt.gateway.turns import Caller, Forward
from agentrt.ir.hints import Hints
from agentrt.ir.request import Completion, Usage
from agentrt.runtime.fleet import Served
from agentrt.runtime.pool import Pool, Replica
from agentrt.scheduler.events import ProgramId

_ENDED_REMEMBERED = 1000
_A_MOMENT_S = 0.01


Salt = Callable[[str, str], str]


class Programs(Generic[R]):
    """The programs of all clients. See `Turns` for `take`.

    A program is all requests of one running agent, those of its sub-agents included, where they say
    whose they are: they share its rank and its place, as nobody waits for them but it.
    """

    def __init__(
        self,
        replicas: Replicas,
        recogniser: Recognises[R],
        *,
        clock: Clock,
        quiet: Quiet | None = None,
        salt: Salt = lambda _tenant, own: own,
        observer: Observer | None = None,
    ) -> None:
        """Args beside the first two have defaults that fit.

        Args:
            replicas: Where requests go.
            recogniser: Which program they belong to.
            clock: What time it is.
            quiet: When programs are over that do not say so.
            salt: A tenant's part of the engines' caches, of that the one that it asks for itself.
            observer: Told what becomes of them.
        """
        self._replicas = replicas
        self._estimates = replicas.estimates
        self._recogniser = recogniser
        self._clock = clock
        self._quiet = quiet or Quiet()
        self._salt = salt
        self._observer = observer
        self._random = random.Random()
        self._live: dict[ProgramId, LiveProgram] = {}
        self._of_agent: dict[ProgramId, LiveProgram] = {}
        self._ended: deque[EndedProgram] = deque(maxlen=_ENDED_REMEMBERED)
        self._arrived = 0
        self._embedding: dict[str, int] = {}

    @property
    def live(self) -> tuple[LiveProgram, ...]:
        """In the order they came. Look, do not touch."""
        return tuple(self._live.values())

    @property
    def ended(self) -> tuple[EndedProgram, ...]:
        """The latest that have ended, in that order."""
        return tuple(self._ended)

    async def take(self, asked: Asked, caller: Caller, forward: Forward) -> Completion:
        """As `Turns` says.

        Raises:
            RunCancelled: the program was ended meanwhile.
        """
        came_at = self._clock.now()
        model, pools = await self._replicas.models.find(asked.model)
        sending = Sending(forward, self._replicas, clock=self._clock, random_source=self._random)
        usage, seen_tokens = Usage(), 0.0
        error: BaseException | None = None
        try:
            if asked.endpoint == "embeddings":
                completion = await self._embed(model, caller, sending)
            else:
                completion, seen_tokens = await self._turn(asked, caller, model, pools, sending)
            usage = completion.usage
        except BaseException as raised:
            error = raised
            raise
        else:
            return completion
        finally:
            if self._observer is not None:
                self._observer.turned(
                    Turn(
                        model=model,
                        tenant=caller.tenant,
                        came_at=came_at,
                        ended_at=self._clock.now(),
                        sending=sending,
                        usage=usage,
                        seen_tokens=seen_tokens,
                        error=error,
                    )
                )

    def end(self, program: str, *, tenant: str = "") -> bool:
        """The tenant's program of that id, or all that it calls so, are over; False: there is none."""
        found = [
            live
            for live in self._live.values()
            if live.tenant == tenant and program and program in {live.program_id, live.name}
        ]
        for live in found:
            self._end(live, Ending.ENDED)
        return bool(found)

    def close(self) -> None:
        """All programs are over; calls that are left are broken off."""
        for program in self.live:
            self._end(program, Ending.CLOSED)

    # -- turns -------------------------------------------------------------------------------

    async def _turn(
        self,
        asked: Asked,
        caller: Caller,
        model: str,
        pools: tuple[Pool, ...],
        sending: Sending,
    ) -> tuple[Completion, float]:
        recognised = self._recogniser.recognise(asked, tenant=caller.tenant, now=self._clock.now())
        if self._observer is not None:
            self._observer.recognised(recognised.reason)
        program = self._program(recognised, asked, caller)
        with self._call(program):
            now = self._clock.now()
            program.begin_call(asked, model, recognised, now)
            try:
                served = await self._served(program, asked, pools, sending)
            except BaseException:
                self._recogniser.failed(recognised)
                raise
            program.answered(served.completion, served.call_id, self._clock.now())
            self._recogniser.answered(
                recognised, served.completion, response_id=served.completion.response_id
            )
            if asked.claim.is_final:
                self._is_final(program, recognised.program_id)
        return served.completion, program.seen_tokens(served, sending.replica_id)

    def _is_final(self, program: LiveProgram, agent: ProgramId) -> None:
        """One of its agents has said that nothing follows. With the first one the program is over."""
        if agent == program.program_id:
            program.is_final = True
        elif agent in program.agents:
            program.agents.remove(agent)
            del self._of_agent[agent]
            self._recogniser.end(agent)

    async def _served(
        self,
        program: LiveProgram,
        asked: Asked,
        pools: tuple[Pool, ...],
        sending: Sending,
    ) -> Served:
        """Have the scheduler send it, and once more where that fails for a reason that may pass."""
        own = asked.body.get("cache_salt")
        own_salt = own if isinstance(own, str) else ""
        is_last = asked.claim.is_final
        hints = hints_for(
            program,
            self._estimates,
            cache_salt=self._salt(program.tenant, own_salt),
            is_last=is_last,
        )

        async def send(replica: Replica) -> Completion:
            return await sending.send(replica, hints)

        while True:
            pool = program.choose(pools, sending.failed_at)
            try:
                return await program.scheduled.complete(
                    asked.request,
                    send,
                    is_last=is_last,
                    pool=pool,
                    salt=f"{own_salt}/{program.model}"
                    if own_salt or pool in self._replicas.models.shared
                    else "",
                )
            except BackendError as error:
                await sending.wait(error, pools)

    @contextmanager
    def _call(self, program: LiveProgram) -> Generator[None]:
        """A request is under way inside the block; after the last one the program may be over."""
        try:
            yield
        finally:
            program.calls -= 1
            program.last_at = self._clock.now()
            if self._live.get(program.program_id) is program and not program.calls:
                self._rest(program)

    def _rest(self, program: LiveProgram) -> None:
        """No request of it is under way: when is it over, and does it keep its place until then?"""
        if program.is_final:
            self._end(program, Ending.FINAL)
            return
        now = self._clock.now()
        program.pauses.give_up(now)
        ending, quiet_s = program.ending, now - program.last_at
        if ending is not Ending.EXPIRED:
            silent_s = silence_s(program.workflow, program.turns, self._estimates)
            seconds = min(self._quiet.idle_s, silent_s) - quiet_s
            program.leave_in(seconds, lambda: self._end(program, ending))
            return
        left_s, expected_s = self._quiet.expire_s - quiet_s, program.pauses.expected_until() - now
        if program.is_resting:
            program.scheduled.rest()
        elif expected_s < left_s:
            program.leave_in(expected_s + _A_MOMENT_S, lambda: self._rest(program))
            return
        program.leave_in(left_s, lambda: self._expire(program))

    def _expire(self, program: LiveProgram) -> None:
        program.pauses.give_up()
        self._end(program, Ending.DONE if program.pauses.ends_programs else Ending.EXPIRED)

    async def _embed(self, model: str, caller: Caller, sending: Sending) -> Completion:
        """Embeddings leave nothing in a cache: they go where least is going on."""
        hints = Hints(tenant=caller.tenant)
        while True:
            pool = await self._replicas.models.find_up(model)
            replica_id = min(
                pool.up_ids, key=lambda up: (up in sending.failed_at, self._embedding.get(up, 0))
            )
            self._embedding[replica_id] = self._embedding.get(replica_id, 0) + 1
            try:
                return await sending.send(pool.replica(replica_id), hints)
            except BackendError as error:
                await sending.wait(error, (pool,))
            finally:
                self._embedding[replica_id] -= 1

    # -- programs ----------------------------------------------------------------------------

    def _program(self, recognised: Recognition, asked: Asked, caller: Caller) -> LiveProgram:
        """The one that a request belongs to, perhaps a new one."""
        agent, parent = recognised.program_id, recognised.parent_id
        found = self._of_agent.get(agent) or self._of_agent.get(parent)
        if found is None:
            program_id = parent or agent
            found = self._live[program_id] = self._new(program_id, asked, caller)
        for one in (agent, found.program_id):
            found.agents.add(one)
            self._of_agent[one] = found
        return found

    def _new(self, program_id: ProgramId, asked: Asked, caller: Caller) -> LiveProgram:
        workflow = kind_of(asked.request)
        scheduled = self._replicas.fleet.program(
            program_id,
            workflow,
            deadline_s=caller.deadline_s,
            tenant=caller.tenant,
            cache_salt=self._salt(caller.tenant, ""),
        )
        now = self._clock.now()
        self._arrived += 1
        return LiveProgram(
            program_id=program_id,
            sequence=self._arrived,
            scheduled=scheduled,
            tenant=caller.tenant,
            name=asked.claim.parent or asked.claim.program,
            workflow=workflow,
            began_at=now,
            last_at=now,
            pauses=Pauses(scheduled, kind=workflow, estimates=self._estimates),
            agents=set(),
        )

    def _end(self, program: LiveProgram, how: Ending) -> None:
        program.stay()
        if how is Ending.ENDED:
            program.pauses.give_up()
        del self._live[program.program_id]
        for agent in program.agents:
            del self._of_agent[agent]
            if how in {Ending.FINAL, Ending.ENDED}:
                self._recogniser.end(agent)
            else:  # it may come back, with its history
                self._recogniser.quiet(agent)
        program.scheduled.end(is_cancelled=not how.is_whole)
        ended = EndedProgram(
            program_id=program.program_id,
            tenant=program.tenant,
            name=program.name,
            model=program.model,
            how=how,
            at=self._clock.now(),
            turns=program.turns,
            usage=program.usage,
        )
        self._ended.append(ended)
        if self._observer is not None:
            self._observer.ended(ended)
