"""What an engine is told of a call that a plan or a program makes. Pure."""

from __future__ import annotations

from agentrt.ir.hints import Hints
from agentrt.ir.request import Request
from agentrt.runtime.standing import Standing


def hints_for(request: Request, *, standing: Standing) -> Hints:
    """All that is known before the answer."""
    has_begun = any(message.role == "assistant" for message in request.messages)
    # Of agents that begin alike, only first turns do.
    return Hints(has_followers=standing.is_in_fan_out and not has_begun)
