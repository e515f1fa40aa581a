"""Engines that pin what they are asked to are told of every pin that nobody needs any more."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from agentrt.scheduler.actions import HoldKV, ReleaseKV, SchedulerAction
from agentrt.scheduler.events import ReplicaDown, ReplicaUp, SchedulerEvent
from agentrt.scheduler.policies import named
from agentrt.scheduler.policy import Policy
from tests.property.scheduler_driver import World

POLICIES = ("occupancy", "continuum", "saga", "infercept", "kvflow", "gittins")


@dataclass
class PinningWorld(World):
    """Its servers take holds."""

    pinned: set[tuple[str, str]] = field(default_factory=set)

    def _up(self, name: str) -> ReplicaUp:
        up = super()._up(name)
        return ReplicaUp(
            replica_id=up.replica_id,
            kv_blocks=up.kv_blocks,
            max_running=up.max_running,
            takes_holds=True,
        )

    def _happened(self, event: SchedulerEvent, now: float) -> None:
        super()._happened(event, now)
        if isinstance(event, ReplicaDown):
            self.pinned = {pin for pin in self.pinned if pin[1] != event.replica_id}

    def _perform(self, action: SchedulerAction, now: float) -> None:
        match action:
            case HoldKV(program_id, replica_id):
                self.pinned.add((program_id, replica_id))
            case ReleaseKV(program_id, replica_id):
                self.pinned.discard((program_id, replica_id))
            case _:
                super()._perform(action, now)

    def _check(self, now: float) -> None:
        super()._check(now)
        assert not {program_id for program_id, _ in self.pinned} & self.ended


@given(
    policy=st.sampled_from(POLICIES).map(named),
    seed=st.integers(0, 10**6),
    replicas=st.integers(1, 3),
    kv_blocks=st.integers(20, 600),
    width=st.integers(1, 3),
    disturbances=st.integers(0, 4),
)
def test_no_pin_outlasts_its_program(
    policy: Policy, seed: int, replicas: int, kv_blocks: int, width: int, disturbances: int
) -> None:
    world = PinningWorld(
        policy,
        seed,
        replicas=replicas,
        kv_blocks=kv_blocks,
        width=width,
        disturbances=disturbances,
    )
    world.run()
    assert world.pinned == set()
