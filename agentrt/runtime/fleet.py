"""`Fleet`: the pools of a runtime, and the programs that use them."""

from __future__ import annotations

from collections.abc import Mapping

from agentrt.clock import Clock
from agentrt.ir.node import Tier
from agentrt.runtime.pool import Pool
from agentrt.runtime.scheduled_program import IsLast, ScheduledProgram, Served
from agentrt.scheduler.events import CallId, ProgramArrived

__all__ = ["Fleet", "IsLast", "ScheduledProgram", "Served"]


class Fleet:
    """The pools, by tier or by model; two may share one."""

    def __init__(self, pools: Mapping[str, Pool], *, clock: Clock) -> None:
        self._pools = pools
        self._clock = clock
        self._programs = 0
        self._calls = 0

    def pool(self, tier: Tier | None) -> Pool:
        """Where calls of `tier` go."""
        return self._pools[tier or "large"]

    def program(
        self,
        run_id: str,
        workflow: str,
        *,
        deadline_s: float | None = None,
        tenant: str = "",
        cache_salt: str = "",
    ) -> ScheduledProgram:
        """A program, that has not arrived anywhere yet.

        Programs of different salts have no block in common, as at servers that are sent the salt.
        """
        self._programs += 1
        return ScheduledProgram(
            self,
            ProgramArrived(
                # A run that is resumed is a new program; ids are never used again.
                program_id=f"{run_id}#{self._programs}",
                workflow=workflow,
                tenant=tenant,
                deadline_at=None if deadline_s is None else self._clock.now() + deadline_s,
            ),
            cache_salt=cache_salt,
            number=self._programs,
        )

    def next_call_id(self) -> CallId:
        """Never given before, at any pool."""
        self._calls += 1
        return f"c{self._calls}"

    def close(self) -> None:
        """Nothing happens by itself any more."""
        for pool in self._pools.values():
            pool.close()
