"""Programs of light tenants and with deadlines are not slowed down by the rest."""

from __future__ import annotations

import pytest

from agentrt.ir.prefix import Run
from agentrt.ir.request import Usage
from agentrt.scheduler.actions import SendCall
from agentrt.scheduler.core import Scheduler
from agentrt.scheduler.events import (
    CallFinished,
    CallReady,
    ProgramArrived,
    ProgramFinished,
    ReplicaUp,
    SchedulerEvent,
    TimerFired,
)
from agentrt.scheduler.guards import AFTERWARDS_S
from agentrt.scheduler.policies import named
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policy import Policy


class Fleet:
    """Replicas with room for everything; what was sent where."""

    def __init__(self, policy: Policy, *, replicas: int = 1) -> None:
        self.scheduler = Scheduler(policy)
        self.sent: dict[str, str] = {}
        self._programs = 0
        for index in range(replicas):
            self.tell(ReplicaUp(replica_id=f"r{index}", kv_blocks=100_000))

    def tell(self, event: SchedulerEvent, at: float = 0.0) -> None:
        for action in self.scheduler.handle(event, at):
            if isinstance(action, SendCall):
                self.sent[action.call_id] = action.replica_id
        self.scheduler.check()

    def begin(self, tenant: str, *, at: float = 0.0, deadline_at: float | None = None) -> str:
        """A program and its first call; the name of both."""
        self._programs += 1
        name = f"{tenant}{self._programs}"
        arrived = ProgramArrived(program_id=name, tenant=tenant, deadline_at=deadline_at)
        self.tell(arrived, at)
        chain = (Run(self._programs << 20, 10),)
        self.tell(CallReady(call_id=name, program_id=name, chain=chain, prompt_tokens=160), at)
        return name

    def end(self, name: str, at: float) -> None:
        if name in self.sent:
            self.tell(CallFinished(name, Usage(), (Run(int(name[1:]) << 20, 10),)), at)
        self.tell(ProgramFinished(name), at)


def _flooded(fleet: Fleet, count: int, at: float = 0.0) -> list[str]:
    return [fleet.begin("b", at=at) for _ in range(count)]


def test_one_tenant_alone_is_not_guarded_from_itself() -> None:
    fleet = Fleet(ByOccupancy(guarded_places=3))
    assert all(name in fleet.sent for name in _flooded(fleet, 9))


def test_where_a_light_tenant_is_no_more_of_the_others_enter_than_the_policy_says() -> None:
    fleet = Fleet(ByOccupancy(guarded_places=7))
    there = _flooded(fleet, 5)
    light = fleet.begin("a")
    more = _flooded(fleet, 3)
    assert [name in fleet.sent for name in (*there, light)] == [True] * 6
    assert [name in fleet.sent for name in more] == [True, False, False]
    fleet.end(there[0], at=1.0)
    assert [name in fleet.sent for name in more] == [True, True, False]


def test_a_guard_lasts_for_a_while_after_the_light_tenant_has_left() -> None:
    fleet = Fleet(ByOccupancy(guarded_places=6))
    _flooded(fleet, 5)
    light = fleet.begin("a")
    waiting = fleet.begin("b")
    other = fleet.begin("a")  # it keeps its tenant there, and waits like none of b's
    fleet.end(light, at=10.0)
    fleet.end(other, at=10.0)
    fleet.tell(TimerFired("places"), 10.0 + AFTERWARDS_S + 1.0)
    assert waiting in fleet.sent


def test_programs_of_a_light_tenant_enter_whatever_is_there() -> None:
    fleet = Fleet(ByOccupancy(guarded_places=3))
    _flooded(fleet, 9)
    light = fleet.begin("a")
    assert light in fleet.sent


def test_programs_with_deadlines_stay_together_until_they_are_too_many() -> None:
    fleet = Fleet(ByOccupancy(guarded_places=3), replicas=2)
    names = [fleet.begin("a", deadline_at=1_000.0) for _ in range(4)]
    where = [fleet.sent[name] for name in names]
    assert where[:3] == [where[0]] * 3
    assert where[3] != where[0]


@pytest.mark.parametrize("name", ["fcfs", "cap-50", "thunderagent", "continuum", "plas:cap=50"])
def test_a_policy_that_guards_nothing_spreads_programs_with_deadlines_like_all_others(
    name: str,
) -> None:
    hurried, leisurely = Fleet(named(name), replicas=3), Fleet(named(name), replicas=3)
    for _ in range(9):
        hurried.begin("a", deadline_at=1_000.0)
        leisurely.begin("a")
    assert hurried.sent == leisurely.sent
    assert len(set(hurried.sent.values())) == 3


def test_a_call_without_a_deadline_waits_with_its_place_for_those_in_time_but_not_for_ever() -> (
    None
):
    fleet = Fleet(ByOccupancy(guarded_places=1, patience_s=60.0))
    calm = fleet.begin("a")
    fleet.tell(CallFinished(calm, Usage(), (Run(1 << 20, 10),)), 1.0)
    hurried = [fleet.begin("a", at=2.0, deadline_at=1_000.0) for _ in range(3)]
    chain = (Run(1 << 20, 15),)
    again = CallReady(call_id="again", program_id=calm, chain=chain, prompt_tokens=240)
    fleet.tell(again, 3.0)
    fleet.end(hurried[0], 62.0)
    assert "again" not in fleet.sent
    fleet.end(hurried[1], 64.0)  # one is still at work
    assert "again" in fleet.sent


def test_policies_that_guard_nothing_are_not_woken_for_it() -> None:
    fleet = Fleet(named("cap-2"))
    flood = _flooded(fleet, 8)
    fleet.end(flood[0], 1.0)
    light = fleet.begin("a", at=2.0)
    program_ended = ProgramFinished(flood[1])
    fleet.tell(CallFinished(flood[1], Usage(), (Run(2, 10),)), 3.0)
    actions = fleet.scheduler.handle(program_ended, 3.0)
    assert actions == [SendCall(light, "r0")]
