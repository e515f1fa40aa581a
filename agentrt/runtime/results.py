"""What a run gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from agentrt.errors import AgentRTError, StoreError
from agentrt.ir.event import RunStatus
from agentrt.ir.report import NodeReport, total_usage
from agentrt.ir.request import Usage
from agentrt.runtime.instance import Instance

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class RunResult(Generic[R_co]):
    """How a run ended.

    Attributes:
        status: `finished`; `partial` (some nodes failed, `on_error="collect"`); `failed`;
            `cancelled`.
        output: The workflow's value. When `partial`, what there is of it, None where nothing is.
        error: What ended the run, or with `collect` the first failure.
        errors: By node instance, in the order they failed.
        duration_s: Of all sittings together, when the run was resumed.
        store_error: The store failed on the way: the result is right, but not all of it is kept.
    """

    run_id: str
    status: RunStatus
    output: R_co
    error: AgentRTError | None
    errors: Mapping[str, AgentRTError]
    duration_s: float
    instances: tuple[Instance, ...]
    store_error: StoreError | None = None

    @cached_property
    def nodes(self) -> tuple[NodeReport, ...]:
        """Every node instance, in the order they joined the run graph."""
        return tuple(instance.report() for instance in self.instances)

    @cached_property
    def usage(self) -> Usage:
        """The tokens of the whole run."""
        return total_usage(self.nodes)

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The value of every node instance that finished."""
        return {i.id: i.value for i in self.instances if i.status == "finished"}
