"""`Turn` and `Observer`: what whoever counts is told of requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agentrt.gateway.live_program import EndedProgram
from agentrt.gateway.sending import Sending
from agentrt.ir.request import Usage


class Observer(Protocol):
    """Told what becomes of requests. `agentrt.gateway.metrics` counts it."""

    def recognised(self, reason: str) -> None: ...
    def turned(self, turn: Turn) -> None: ...
    def ended(self, program: EndedProgram) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request that is over, and how it went.

    Attributes:
        came_at: When it came.
        usage: Of its answer, if there was one.
        error: Why there was none; None: there was one, or the client has gone.
    """

    model: str
    tenant: str
    came_at: float
    sending: Sending
    usage: Usage
    error: BaseException | None
