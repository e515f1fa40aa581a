"""`Turns`: the seam between HTTP and scheduling in the gateway.

A client's request becomes a turn of a program: it waits until the scheduler sends it, is forwarded to
the replica that was chosen, and its answer tells what the program does next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agentrt.gateway.asked import Asked
from agentrt.ir.hints import Hints
from agentrt.ir.request import Completion
from agentrt.runtime.pool import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a request, as far as scheduling needs it: the tenant, and what holds for it.

    Attributes:
        tenant: Its name; empty where the gateway serves anybody.
        deadline_s: Seconds from now until the program should be done; None: whenever.
    """

    tenant: str = ""
    deadline_s: float | None = None


class Forward(Protocol):
    """Sends one request to a replica, and its answer to the client.

    Called again, with another replica, where the first was lost before the client had any of the
    answer; once it had, the call raises what ended it.
    """

    async def __call__(self, replica: Replica, hints: Hints) -> Completion:
        """The answer as text, with its usage, once all of it has been read from the replica.

        `replica.first_token` is called as soon as the answer begins.

        Raises:
            BackendError: there is no answer, or not a whole one.
        """
        ...


class Turns(Protocol):
    """The programs of all clients, on the replicas of all models."""

    async def take(self, asked: Asked, caller: Caller, forward: Forward) -> Completion:
        """Make `asked` a turn of its program, and `forward` it when and where it may go.

        Cancelling the task cancels the call.

        Raises:
            RequestRejected: no replica serves the model.
            RateLimited: too many wait already; `retry_after_s` says when to come again.
            BackendError: no replica of the model is up, or what `forward` has raised.
        """
        ...
