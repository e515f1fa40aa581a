"""What policies decide: who goes first, who gets a place and where, and how long a place is kept."""

from __future__ import annotations

from typing import Protocol

from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Program
from agentrt.scheduler.waiting import Rank


class Policy(Protocol):
    """The questions the scheduler asks. Answers must follow from the arguments alone.

    A program needs a *place* on a replica to have its calls sent there, and keeps it between calls.
    """

    @property
    def name(self) -> str:
        """As in reports and `--policy`."""
        ...

    @property
    def patience_s(self) -> float:
        """How long a call that finds no room lets later ones go first. Then nothing overtakes it."""
        ...

    def rank(self, call: Call, now: float) -> Rank:
        """Where `call` stands among those that wait: lower goes first.

        Asked once, when the call begins to wait. A rank is a point in time: that since when the call
        counts as waiting. So calls age by themselves: one that joins later by more than the
        largest difference a policy makes never overtakes.
        """
        ...

    def has_room(self, replica: Replica, needed_blocks: int) -> bool:
        """Whether a program may take a place on `replica` that takes `needed_blocks` more."""
        ...

    def may_grow(self, replica: Replica, needed_blocks: int) -> bool:
        """Whether a program with a place may go on with a call that takes `needed_blocks` more."""
        ...

    def hold_s(self, program: Program, replica: Replica, now: float) -> float:
        """How long a program between calls keeps its place while others wait for one.

        Asked when its last call under way has ended. While nobody waits, places are kept.
        """
        ...

    def move_at(self, call: Call, home: Replica) -> float:
        """From when on `call`, which waits for room on `home`, may go to another replica instead."""
        ...
