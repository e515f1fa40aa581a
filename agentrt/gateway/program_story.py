"""Why a program is where it is, for people. Looks only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentrt.gateway.live_program import LiveProgram
from agentrt.runtime.pool import Pool
from agentrt.scheduler.state import Call, Program, ProgramPhase

_VERY_LONG_S = 1e6


@dataclass(frozen=True, slots=True)
class PlacedProgram:
    """A program at one pool; so many calls wait for a place there."""

    pool: Pool
    program: Program
    waiting: int

    @property
    def urgency(self) -> int:
        order = (ProgramPhase.REASONING, ProgramPhase.QUEUED, ProgramPhase.ACTING)
        return order.index(self.program.phase)

    def story(self, live: LiveProgram, now: float, names: Mapping[str, str]) -> tuple[str, float]:
        """Why it is where it is, and since when."""
        home = names.get(self.program.replica_id or "", "")
        calls = self.program.calls.values()
        match self.program.phase:
            case ProgramPhase.REASONING:
                call = next(call for call in calls if call.is_sent)
                does = "answers" if call.first_token_at is not None else "reads the prompt"
                return f"{names.get(call.replica_id or '', '')} {does}", call.sent_at or now
            case ProgramPhase.QUEUED:
                call = min(calls, key=lambda call: call.ready_at)
                return self._waits_for(call, home), call.ready_at
            case ProgramPhase.ACTING:
                return self._acts(live, now, home)

    def _waits_for(self, call: Call, home: str) -> str:
        if not self.pool.is_up:
            return f"no replica of {self.pool.name} is up"
        if not self.program.has_place:
            others = self.waiting - 1
            return f"waits for a place, with {others} others" if others else "waits for a place"
        where = f"at {home}, where it has its place"
        for replica in self.pool.scheduler.replicas:
            if call.call_id in replica.followers:
                return f"waits until another call has computed what they share, {where}"
        return f"waits for room {where}"

    def _acts(self, live: LiveProgram, now: float, home: str) -> tuple[str, float]:
        does = _doing(live, now)
        if not self.program.has_place:
            left = f"; its context is not kept at {home}" if home else ""
            return does + left, live.last_at
        until = [c.held_until for c in self.program.contexts if c.held_until is not None]
        kept_s = max(until, default=0.0) - now
        if kept_s <= 0:
            how_long = "until others need the room"
        elif kept_s > _VERY_LONG_S:
            how_long = "for as long as it takes"
        else:
            how_long = f"for {kept_s:.1f} s more, whoever waits"
        return f"{does}; context kept at {home} {how_long}", live.last_at


def _doing(live: LiveProgram, now: float) -> str:
    pauses = live.pauses.now_open
    if not pauses:
        return "its last request came to no answer"
    last = pauses[-1]
    took = f"for {now - last.since:.1f} s"
    if last.is_reply:
        return f"has its answer {took}, and may go on"
    tools = ", ".join(dict.fromkeys(last.tools))
    if live.is_resting:
        return f"has called {tools} {now - last.since:.1f} s ago, and is not expected back"
    return f"in {'tool' if len(last.tools) == 1 else 'tools'} {tools} {took}"
