"""How runs end, and with what error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from agentrt.errors import (
    AgentRTError,
    BackendError,
    DefinitionError,
    OutputError,
    RunError,
    StoreError,
)
from agentrt.ir.event import RunStatus
from agentrt.runtime.instance import Instance


@dataclass(frozen=True, slots=True)
class Ending:
    """How an execution ended; `output` is partial unless `status` is `finished`."""

    status: RunStatus
    output: Any
    error: AgentRTError | None


def as_run_error(error: Exception, instance: Instance, run_id: str) -> AgentRTError:
    """What a node failed with, as an error of the run: one of ours says where, others are its cause."""
    if isinstance(error, RunError):
        error.run_id = error.run_id or run_id
        error.node_id = error.node_id or instance.id
        return error
    if isinstance(error, (BackendError, StoreError, OutputError, DefinitionError)):
        error.add_note(f"in node {instance.id!r} of run {run_id}")
        return error
    known = RunError(f"{type(error).__name__}: {error}", run_id=run_id, node_id=instance.id)
    known.__cause__ = error
    return known


def only_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in `group`: one is enough to know of, the others were stopped because of it."""
    first = group.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return only_cause(cast("BaseExceptionGroup[BaseException]", first))
    return first
