"""`LivePrograms`: those that have made a request and are not over, and when each of them is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol, TypeAlias

from agentrt.clock import Clock
from agentrt.gateway.asked import Asked
from agentrt.gateway.live_program import EndedProgram, Ending, LiveProgram, Quiet, kind_of
from agentrt.gateway.program_pauses import Pauses, silence_s
from agentrt.gateway.recognises import Recognition
from agentrt.gateway.replicas import Replicas
from agentrt.gateway.turns import Caller
from agentrt.scheduler.events import ProgramId

_ENDED_REMEMBERED = 1000
_A_MOMENT_S = 0.01

Salt: TypeAlias = Callable[[str, str], str]
"""A tenant's part of the engines' caches, and of that the one that it asks for itself."""


class Remembers(Protocol):
    """Whoever knows programs again: `Recogniser`, told of those that are over."""

    def end(self, program_id: ProgramId) -> None: ...
    def quiet(self, program_id: ProgramId) -> None: ...


class LivePrograms:
    """By the agents that they consist of.

    A program is all requests of one running agent, those of its sub-agents included, where they say
    whose they are: they share its rank and its place, as nobody waits for them but it.
    """

    def __init__(
        self,
        replicas: Replicas,
        remembers: Remembers,
        *,
        clock: Clock,
        quiet: Quiet,
        salt: Salt,
        has_ended: Callable[[EndedProgram], None],
    ) -> None:
        """Args as `Programs` has them; `has_ended` is told of each that is over."""
        self._replicas = replicas
        self._estimates = replicas.estimates
        self._remembers = remembers
        self._clock = clock
        self._quiet = quiet
        self._salt = salt
        self._has_ended = has_ended
        self._live: dict[ProgramId, LiveProgram] = {}
        self._of_agent: dict[ProgramId, LiveProgram] = {}
        self._ended: deque[EndedProgram] = deque(maxlen=_ENDED_REMEMBERED)
        self._arrived = 0

    @property
    def live(self) -> tuple[LiveProgram, ...]:
        """In the order they came."""
        return tuple(self._live.values())

    @property
    def ended(self) -> tuple[EndedProgram, ...]:
        """The latest that have ended, in that order."""
        return tuple(self._ended)

    def of(self, recognised: Recognition, asked: Asked, caller: Caller) -> LiveProgram:
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

    @contextmanager
    def call(self, program: LiveProgram) -> Generator[None]:
        """A request is under way inside the block; after the last one the program may be over."""
        try:
            yield
        finally:
            program.calls -= 1
            program.last_at = self._clock.now()
            if self._live.get(program.program_id) is program and not program.calls:
                self._rest(program)

    def finish(self, program: LiveProgram, agent: ProgramId) -> None:
        """One of its agents has said that nothing follows. With the first one the program is over."""
        if agent == program.program_id:
            program.is_final = True
        elif agent in program.agents:
            program.agents.remove(agent)
            del self._of_agent[agent]
            self._remembers.end(agent)

    def end(self, program: str, *, tenant: str) -> bool:
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
        """All are over; calls that are left are broken off."""
        for program in self.live:
            self._end(program, Ending.CLOSED)

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

    def _end(self, program: LiveProgram, how: Ending) -> None:
        program.stay()
        if how is Ending.ENDED:
            program.pauses.give_up()
        del self._live[program.program_id]
        for agent in program.agents:
            del self._of_agent[agent]
            if how in {Ending.FINAL, Ending.ENDED}:
                self._remembers.end(agent)
            else:  # it may come back, with its history
                self._remembers.quiet(agent)
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
        self._has_ended(ended)
