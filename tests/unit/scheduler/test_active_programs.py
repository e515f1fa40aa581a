"""Which programs with a place count as active, and what that leaves behind."""

from __future__ import annotations

import pytest

from agentrt.ir.prefix import Run
from agentrt.ir.request import Usage
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import CallFinished, CallReady, ProgramArrived, ReplicaUp
from agentrt.scheduler.policies import named


@pytest.mark.parametrize("policy", ["fcfs", "cap-4", "thunderagent"])
def test_holds_that_never_end_do_not_pile_up(policy: str) -> None:
    scheduler = Scheduler(named(policy))
    scheduler.handle(ReplicaUp(replica_id="r0", kv_blocks=1000), 0.0)
    for name in "ab":
        scheduler.handle(ProgramArrived(program_id=name), 0.0)
    (replica,) = scheduler.replicas
    for turn in range(1000):
        for name in "ab":
            now, first = float(turn), ord(name) << 20
            ready = CallReady(
                call_id=f"{name}{turn}",
                program_id=name,
                chain=(Run(first, 10),),
                prompt_tokens=160,
            )
            scheduler.handle(ready, now)
            scheduler.handle(CallFinished(f"{name}{turn}", Usage(), (Run(first, 11),)), now + 0.5)
    assert replica.active.count(1000.0) == len("ab")
    assert len(replica.active) <= 2 * len("ab") + 66
    scheduler.check()
