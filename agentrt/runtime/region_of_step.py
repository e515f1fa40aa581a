"""The region that a step unrolls in."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from agentrt.planner.memory import PlanMemory
from agentrt.runtime.agent import AgentRegion
from agentrt.runtime.executable import AgentStep, BranchStep, LoopStep, MapStep, PlanStep
from agentrt.runtime.instance import Instance, Scope
from agentrt.runtime.plan import PlanRegion
from agentrt.runtime.regions import BranchRegion, LoopRegion, MapRegion

RegionStep: TypeAlias = MapStep | BranchStep | LoopStep | AgentStep | PlanStep
AnyRegion: TypeAlias = MapRegion | BranchRegion | LoopRegion | AgentRegion | PlanRegion


def region_of(instance: Instance, step: RegionStep, scope: Scope, plans: PlanMemory) -> AnyRegion:
    """A new one. `plans`: what earlier ones have taught."""
    match step:
        case MapStep():
            return MapRegion(instance, step, scope)
        case BranchStep():
            return BranchRegion(instance, step, scope)
        case LoopStep():
            return LoopRegion(instance, step, scope)
        case AgentStep():
            return AgentRegion(instance, step, scope)
        case PlanStep():
            return PlanRegion(instance, step, scope, plans)
        case _:
            assert_never(step)
