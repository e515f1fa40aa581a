"""What policies decide: who goes first, who gets a place and where, and how long a place is kept."""

from __future__ import annotations

from typing import Protocol

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext
from agentrt.scheduler.waiting import Rank

UNGUARDED = 1 << 62
"""As `guarded_places`: whose programs they are is not looked at where room is made."""


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

    @property
    def touches(self) -> bool:
        """Whether held contexts are used again when the replica's LRU order comes to evict them."""
        ...

    @property
    def guarded_places(self) -> int:
        """How many programs a replica that has one of a light tenant takes of others, all counted.

        Only asked where there are several tenants. A light one has less than half of its share of
        the programs.
        """
        ...

    @property
    def limits_batches(self) -> bool:
        """Whether a program enters only where programs end sooner, in the mean, for a further call.

        `agentrt.estimates.batching` learns what calls at once bring on each replica.
        """
        ...

    def rank(self, call: Call, outlook: Outlook, now: float) -> Rank:
        """Where `call` stands among those that wait: lower goes first.

        Asked once, when the call begins to wait. A rank is a point in time: that since when the call
        counts as waiting. So calls age by themselves: one that joins later by more than the
        largest difference a policy makes never overtakes.
        """
        ...

    def short_to_enter(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        """By how many blocks `replica` is too full for the program of `call` to take a place there.

        `needed_blocks` of its prompt are not there for others anyway. 0 or less: it may enter;
        infinite: making room does not help, or it is not blocks that count.
        """
        ...

    def short_to_grow(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        """The same for a program with a place that is to go on with `call`."""
        ...

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        """Until when a branch that no call is under way on keeps its place while others wait for one.

        Asked when its call has ended, and again whenever what is known of its pause changes. While
        nobody waits, places are kept.
        """
        ...

    def move_at(self, call: Call, home: Replica, outlook: Outlook) -> float:
        """From when on `call`, which waits for room on `home`, may go to another replica instead.

        Asked once, when it begins to wait there.
        """
        ...
