"""Under every policy that has a name, programs on a full replica come to their end."""

from __future__ import annotations

import math
from functools import cache

import pytest

from agentrt.ir.workload import Workload
from agentrt.scheduler.policies import BY_NAME, named, parameters
from agentrt.simulator.engine_presets import PRESETS
from agentrt.simulator.simulation import simulate
from agentrt.simulator.workloads.generator import generate
from agentrt.simulator.workloads.presets import preset

NEEDED = {"plas": "plas:cap=3"}


@cache
def _workload(kind: str) -> Workload:
    return generate(preset(kind, programs=8), seed=7)


def _largest_blocks(workload: Workload) -> int:
    contexts = (step.context for p in workload.programs for step in p.steps if step.kind == "call")
    return max(sum(run.count for run in context) for context in contexts)


@pytest.mark.parametrize("kind", ["swe", "browser", "fanout"])
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("name", BY_NAME)
def test_all_programs_end_where_hardly_one_fits(name: str, kind: str, replicas: int) -> None:
    workload = _workload(kind)
    replay = simulate(
        workload,
        named(NEEDED.get(name, name)),
        model=PRESETS["llama-3-8b-a100"],
        kv_blocks=_largest_blocks(workload) + 10,
        replicas=replicas,
    )
    assert [r.finished_s is not None for r in replay.programs] == [True] * 8
    calls = sum(step.kind == "call" for p in workload.programs for step in p.steps)
    assert [call.finished_s is not None for call in replay.calls] == [True] * calls


@pytest.mark.parametrize(
    ("name", "parameter"), [(name, key) for name in BY_NAME for key in parameters(name)]
)
def test_every_parameter_of_every_policy_can_be_given(name: str, parameter: str) -> None:
    needed = "cap=3," if name == "plas" and parameter != "cap" else ""
    policy = named(f"{name}:{needed}{parameter}=1")
    assert type(policy) is BY_NAME[name]
    assert not math.isnan(policy.patience_s)
