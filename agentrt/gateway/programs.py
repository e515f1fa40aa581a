"""`Programs`: requests become turns of programs, which the schedulers know. The `Turns` of a gateway."""

from __future__ import annotations

import random
from typing import Generic

from agentrt.clock import Clock
from agentrt.errors import BackendError
from agentrt.gateway.asked import Asked
from agentrt.gateway.embeddings import Embeddings
from agentrt.gateway.live_program import EndedProgram, LiveProgram, Quiet
from agentrt.gateway.live_programs import LivePrograms, Salt
from agentrt.gateway.program_hints import hints_for
from agentrt.gateway.recognises import R, Recognises
from agentrt.gateway.replicas import Replicas
from agentrt.gateway.sending import Sending
from agentrt.gateway.turn_observer import Observer, Turn
from agentrt.gateway.turns import Caller, Forward
from agentrt.ir.request import Completion, Usage
from agentrt.runtime.fleet import Served
from agentrt.runtime.pool import Pool, Replica


class Programs(Generic[R]):
    """The programs of all clients. See `Turns` for `take`."""

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
        self._salt = salt
        self._observer = observer
        self._random = random.Random()
        self._programs = LivePrograms(
            replicas,
            recogniser,
            clock=clock,
            quiet=quiet or Quiet(),
            salt=salt,
            has_ended=lambda ended: None if observer is None else observer.ended(ended),
        )
        self._embeddings = Embeddings(replicas.models)

    @property
    def live(self) -> tuple[LiveProgram, ...]:
        """In the order they came. Look, do not touch."""
        return self._programs.live

    @property
    def ended(self) -> tuple[EndedProgram, ...]:
        """The latest that have ended, in that order."""
        return self._programs.ended

    async def take(self, asked: Asked, caller: Caller, forward: Forward) -> Completion:
        """As `Turns` says.

        Raises:
            RunCancelled: the program was ended meanwhile.
        """
        came_at = self._clock.now()
        model, pools = await self._replicas.models.find(asked.model)
        sending = Sending(forward, self._replicas, clock=self._clock, random_source=self._random)
        usage = Usage()
        error: BaseException | None = None
        try:
            if asked.endpoint == "embeddings":
                completion = await self._embeddings.make(model, caller, sending)
            else:
                completion = await self._turn(asked, caller, model, pools, sending)
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
                        sending=sending,
                        usage=usage,
                        error=error,
                    )
                )

    def end(self, program: str, *, tenant: str = "") -> bool:
        """The tenant's program of that id, or all that it calls so, are over; False: there is none."""
        return self._programs.end(program, tenant=tenant)

    def close(self) -> None:
        """All programs are over; calls that are left are broken off."""
        self._programs.close()

    async def _turn(
        self,
        asked: Asked,
        caller: Caller,
        model: str,
        pools: tuple[Pool, ...],
        sending: Sending,
    ) -> Completion:
        recognised = self._recogniser.recognise(asked, tenant=caller.tenant, now=self._clock.now())
        if self._observer is not None:
            self._observer.recognised(recognised.reason)
        program = self._programs.of(recognised, asked, caller)
        with self._programs.call(program):
            now = self._clock.now()
            program.begin_call(asked, model, recognised, now)
            try:
                served = await self._served(program, asked, pools, sending)
            except BaseException:
                self._recogniser.failed(recognised)
                raise
            program.answered(served, self._clock.now())
            self._recogniser.answered(
                recognised, served.completion, response_id=served.completion.response_id
            )
            if asked.claim.is_final:
                self._programs.finish(program, recognised.program_id)
        return served.completion

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
