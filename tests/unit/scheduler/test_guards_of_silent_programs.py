"""Programs that are not expected back keep nobody from an engine that has nothing to do."""

from __future__ import annotations

from agentrt.ir.prefix import Run
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import SchedulerAction, SendCall, SetTimer
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    REPLY,
    CallFinished,
    CallReady,
    ProgramArrived,
    ReplicaUp,
    TimerFired,
    ToolStarted,
)
from agentrt.scheduler.policies.occupancy import ByOccupancy


class Clients:
    """Programs of one call, which takes a second, and after which they are never heard of again."""

    def __init__(self) -> None:
        self.core = Scheduler(ByOccupancy())
        self.core.handle(ReplicaUp(replica_id="r", kv_blocks=100_000), 0.0)
        self.now = 0.0
        self.sent: list[int] = []
        self.answered = 0
        self._wake_at: float | None = None

    def ask(self, tenant: str, programs: range) -> None:
        for index in programs:
            name = str(index)
            self._note(self.core.handle(ProgramArrived(program_id=name, tenant=tenant), self.now))
            ready = CallReady(
                call_id=name, program_id=name, chain=(Run(1_000 * index, 10),), prompt_tokens=160
            )
            self._note(self.core.handle(ready, self.now))

    def step(self) -> None:
        """What was sent is answered, or the time comes that the scheduler waits for."""
        if self.sent or self._wake_at is None:
            self.now += 1.0
        else:
            self.now, self._wake_at = max(self.now, self._wake_at), None
            self._note(self.core.handle(TimerFired("places"), self.now))
        sent, self.sent = self.sent, []
        for index in sent:
            name, context = str(index), (Run(1_000 * index, 11),)
            self._note(self.core.handle(CallFinished(name, Usage(160, 0, 5), context), self.now))
            self._note(self.core.handle(ToolStarted(name, "t", REPLY), self.now))
            self.answered += 1

    def _note(self, actions: list[SchedulerAction]) -> None:
        self.sent += [int(action.call_id) for action in actions if isinstance(action, SendCall)]
        for action in actions:
            if isinstance(action, SetTimer):
                self._wake_at = action.at


def test_a_heavy_tenant_does_not_wait_behind_its_own_programs_that_were_answered() -> None:
    clients = Clients()
    clients.ask("acme", range(1, 13))
    clients.ask("beta", range(13, 14))
    while clients.sent:
        clients.step()
    clients.ask("acme", range(14, 26))
    began = clients.now
    while clients.answered < 25 and clients.now - began < 30.0:
        clients.step()
    assert clients.answered == 25
    assert len(clients.core.programs) == 25  # nobody has said that any is over
