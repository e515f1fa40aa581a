"""What a replay on real servers leaves: how each program and each call fared."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.errors import BackendError
from agentrt.ir.request import Usage
from agentrt.ir.workload import StepId
from agentrt.scheduler.events import ReplicaId


@dataclass(slots=True, kw_only=True)
class ServedCall:
    """How one call fared; times are seconds since the start, None: it did not come to that.

    Attributes:
        attempts: How often it was made; more than once where it failed in a way that may pass.
    """

    program: int
    step: StepId
    ready_s: float
    replica_id: ReplicaId = ""
    sent_s: float | None = None
    first_token_s: float | None = None
    finished_s: float | None = None
    usage: Usage = Usage()
    attempts: int = 1


@dataclass(slots=True, kw_only=True)
class ServedProgram:
    """How one program fared; `error` is what ended it before its end."""

    arrived_s: float = 0.0
    finished_s: float | None = None
    error: BackendError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What happened: programs in the workload's order, calls in the order they became ready.

    Attributes:
        is_cut: It was ended before its end, by a limit of time.
    """

    programs: tuple[ServedProgram, ...]
    calls: tuple[ServedCall, ...]
    is_cut: bool = False

    @property
    def completions_s(self) -> list[float]:
        """Completion times, of programs that finished."""
        return [p.finished_s - p.arrived_s for p in self.programs if p.finished_s is not None]

    @property
    def usage(self) -> Usage:
        """Of calls that finished."""
        return sum((call.usage for call in self.calls if call.finished_s is not None), Usage())


def first_error(group: BaseExceptionGroup[BackendError]) -> BackendError:
    """What ended a program, of all that its steps raised."""
    error = group.exceptions[0]
    return first_error(error) if isinstance(error, BaseExceptionGroup) else error
