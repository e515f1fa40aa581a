"""`PoolCall`: a call between ready and ended, as a pool knows it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from agentrt.errors import RunCancelled
from agentrt.scheduler.events import ProgramId, ReplicaId


class PoolCall:
    """Whoever made it waits for `sent`, sends it, and may be broken off meanwhile.

    Attributes:
        sent: Done when it may go; a new one each time it has to wait again.
        replica_id: Where it was sent; None while it waits.
        sending: While it is at a server: what breaks it off.
        refused: What whoever waits for it is to be told, once the scheduler knows it no more.
        has_begun: Its answer has: somebody may have read of it already, so it is not made anew.
        tells_first_token: The scheduler was told that it would hear of that.
        is_detached: Its replica takes no more calls, and is let finish this one: the scheduler
            knows it no more.
    """

    __slots__ = (
        "_gives_up",
        "has_begun",
        "is_detached",
        "program_id",
        "refused",
        "replica_id",
        "sending",
        "sent",
        "tells_first_token",
    )

    def __init__(self, program_id: ProgramId) -> None:
        self.program_id = program_id
        self.sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.replica_id: ReplicaId | None = None
        self.sending: asyncio.Timeout | None = None
        self.refused: Exception | None = None
        self.has_begun = False
        self.is_detached = False
        self.tells_first_token = False
        self._gives_up: asyncio.TimerHandle | None = None

    @property
    def is_scheduled(self) -> bool:
        """Whether the scheduler knows it."""
        return self.refused is None and not self.is_detached

    @property
    def waits(self) -> bool:
        """Whether it is not at a replica, and still wanted."""
        return self.replica_id is None and self.refused is None

    def give_up_in(self, seconds: float, give_up: Callable[[], None]) -> None:
        """Have `give_up` called by then, unless `wait_on` is called before."""
        self.wait_on()
        self._gives_up = asyncio.get_running_loop().call_later(seconds, give_up)

    def wait_on(self) -> None:
        """Wait for as long as it takes."""
        if self._gives_up is not None:
            self._gives_up.cancel()
            self._gives_up = None

    def wait_again(self) -> None:
        """Its replica is gone: it is to be sent once more."""
        self.replica_id = None
        self.sent = asyncio.get_running_loop().create_future()
        self.break_off()

    def refuse(self, error: Exception) -> None:
        """Nobody sends it any more: `error` is raised where it waits, or is being sent."""
        self.refused = error
        self.wait_on()
        if not self.sent.done():
            self.sent.set_exception(error)
            self.sent.exception()  # where it is being sent nobody waits for this, and asyncio would complain
        self.break_off()

    def break_off(self) -> None:
        """End the sending, if it is at that."""
        if self.sending is not None and not self.sending.expired():
            self.sending.reschedule(-math.inf)


def over(program_id: ProgramId) -> RunCancelled:
    """What a call of a program is told that is over."""
    return RunCancelled(f"program {program_id} is over: its calls have been cancelled")
