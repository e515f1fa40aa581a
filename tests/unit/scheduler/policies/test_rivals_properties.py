"""Under every rival all programs end, and the same events give the same actions."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.scheduler.policies.continuum import ENOUGH, Continuum
from agentrt.scheduler.policies.deadline_slack import DeadlineSlack
from agentrt.scheduler.policies.gittins import Gittins
from agentrt.scheduler.policies.infercept import InferCept
from agentrt.scheduler.policies.kvflow import KVFlow
from agentrt.scheduler.policies.plas import Plas
from agentrt.scheduler.policies.saga import Saga
from agentrt.scheduler.policies.thunderagent import ThunderAgent
from agentrt.scheduler.policy import Policy
from tests.property.scheduler_driver import World

RIVALS: list[Policy] = [
    ThunderAgent(),
    ThunderAgent(acting_weight=0.0),
    Continuum(),
    Plas(cap=1),
    Plas(cap=4, queues=3, beta=50.0),
    InferCept(),
    InferCept(step_s=1.0, token_s=0.01),
    Saga(),
    KVFlow(),
    Gittins(),
    DeadlineSlack(),
]
rivals = st.sampled_from(RIVALS)
seeds = st.integers(0, 10**6)


@given(
    world=st.builds(
        World,
        rivals,
        seeds,
        replicas=st.integers(1, 4),
        kv_blocks=st.integers(20, 600),
        max_running=st.none() | st.integers(1, 6),
        width=st.integers(1, 3),
        disturbances=st.integers(0, 4),
    )
)
def test_every_program_comes_to_its_end_and_every_count_holds(world: World) -> None:
    world.run()


@given(policy=rivals, seed=seeds)
@settings(max_examples=20)
def test_the_same_events_give_the_same_actions(policy: Policy, seed: int) -> None:
    first = World(policy, seed, width=2, disturbances=2).run().log
    assert World(policy, seed, width=2, disturbances=2).run().log == first


@given(seed=seeds)
@settings(max_examples=5)
def test_so_they_do_under_what_continuum_has_learned(seed: int) -> None:
    world = World(Continuum(), seed, programs=60, replicas=1, kv_blocks=400, width=2).run()
    gaps = sum(type(event).__name__ == "ToolFinished" for _, event, _ in world.log)
    assert gaps > ENOUGH
