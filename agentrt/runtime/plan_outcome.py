"""Outcomes of a plan's tasks as the store keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentrt.ir.schema import Json
from agentrt.planner.actions import RunTask
from agentrt.planner.outcome import Outcome
from agentrt.runtime.instance import PlanTask


def task_to_json(work: PlanTask, outcome: Outcome) -> Json:
    """An outcome as the store keeps it, with the call that it came of."""
    return {
        "tool": work.run.task.tool,
        "arguments": work.run.arguments,
        "value": outcome.value,
        "error": outcome.error,
        "is_final": outcome.is_final,
    }


def task_from_json(data: Mapping[str, Any]) -> Outcome:
    """The inverse of `task_to_json`."""
    return Outcome(data["value"], data["error"], data["is_final"])


def is_same_call(work: PlanTask, data: Mapping[str, Any]) -> bool:
    """Whether a stored outcome is of this call: a plan that was asked for anew may be another."""
    return is_same_call_as(work.run, data)


def is_same_call_as(run: RunTask, data: Mapping[str, Any]) -> bool:
    """The same of a task that is to be run."""
    return bool(data.get("tool") == run.task.tool and data.get("arguments") == run.arguments)
