"""`Recognises`: the seam to whoever tells the programs of requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from agentrt.gateway.asked import Asked
from agentrt.ir.request import Completion
from agentrt.scheduler.events import ProgramId


class Recognition(Protocol):
    """Which program a request belongs to: `Recognised` is one."""

    @property
    def program_id(self) -> ProgramId: ...
    @property
    def parent_id(self) -> ProgramId: ...
    @property
    def reason(self) -> str: ...
    @property
    def results(self) -> Sequence[str]: ...


R = TypeVar("R", bound=Recognition)


class Recognises(Protocol[R]):
    """Tells the programs of requests: `agentrt.gateway.recognition` does."""

    def recognise(self, asked: Asked, *, tenant: str, now: float) -> R: ...
    def answered(self, recognised: R, completion: Completion, *, response_id: str = "") -> None: ...
    def failed(self, recognised: R) -> None: ...
    def end(self, program_id: ProgramId) -> None: ...
    def quiet(self, program_id: ProgramId) -> None: ...
