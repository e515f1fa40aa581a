"""What the scheduler promises, whatever the programs, servers and disturbances are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.scheduler.actions import SendCall
from agentrt.scheduler.policies.fixed_cap import FixedCap
from agentrt.scheduler.policies.occupancy import ByOccupancy
from agentrt.scheduler.policies.unmanaged import Unmanaged
from agentrt.scheduler.policy import Policy
from tests.property.scheduler_driver import World

POLICIES: list[Policy] = [
    Unmanaged(),
    FixedCap(1),
    FixedCap(3),
    ByOccupancy(),
    ByOccupancy(hold_limit_s=0.0, least_hold_s=0.0),
    ByOccupancy(space_price=0.0, hold_limit_s=5.0),
    ByOccupancy(space_price=20.0, touches=False),
    ByOccupancy(headroom=0.5, attained_weight=1.0, patience_s=5.0),
]
policies = st.sampled_from(POLICIES)


seeds = st.integers(0, 10**6)

worlds = st.builds(
    World,
    policies,
    seeds,
    replicas=st.integers(1, 4),
    kv_blocks=st.integers(20, 600),
    max_running=st.none() | st.integers(1, 6),
    width=st.integers(1, 3),
    disturbances=st.integers(0, 4),
)


@given(world=worlds)
def test_every_program_comes_to_its_end_and_every_count_holds(world: World) -> None:
    world.run()


@given(policy=policies, seed=seeds)
@settings(max_examples=20)
def test_the_same_events_give_the_same_actions(policy: Policy, seed: int) -> None:
    first = World(policy, seed, width=2, disturbances=2).run().log
    assert World(policy, seed, width=2, disturbances=2).run().log == first


@pytest.mark.parametrize("cap", [1, 2, 5])
@given(seed=seeds)
@settings(max_examples=20)
def test_a_cap_is_never_exceeded(cap: int, seed: int) -> None:
    world = World(FixedCap(cap), seed, replicas=1, max_running=None).run()
    # With one call at a time a program, as many calls as programs are under way at most.
    under_way = most = 0
    for _, event, actions in world.log:
        under_way += sum(isinstance(action, SendCall) for action in actions)
        under_way -= type(event).__name__ in {"CallFinished", "CallFailed"}
        most = max(most, under_way)
    assert most <= cap


@given(seed=seeds, patience_s=st.sampled_from([0.0, 2.0, 10.0]))
@settings(max_examples=30)
def test_nobody_gets_a_first_place_before_one_that_came_two_patiences_earlier(
    seed: int, patience_s: float
) -> None:
    policy = ByOccupancy(attained_weight=5.0, patience_s=patience_s, hold_limit_s=1.0)
    world = World(policy, seed, programs=20, replicas=1, kv_blocks=120).run()
    first_sent: dict[str, float] = {}
    first_ready: dict[str, float] = {}
    for call_id, at in sorted(world.ready_at.items(), key=lambda item: item[1]):
        first_ready.setdefault(call_id.split(".")[0], at)
    for call_id, at in sorted(world.sent_at.items(), key=lambda item: item[1]):
        first_sent.setdefault(call_id.split(".")[0], at)
    for early, early_at in first_ready.items():
        for late, late_at in first_ready.items():
            if late_at > early_at + 2 * patience_s:
                assert first_sent[early] <= first_sent[late]
