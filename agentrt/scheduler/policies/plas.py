"""`Plas`: program-level least attained service, in queues (Autellix, arXiv 2502.13965).

A program's priority is the engine time that its calls have had, discretised into K queues; a call
whose wait is `beta` times its program's service is promoted to the first queue. K, the bounds of the
queues and `beta` are not published: those here are ours. `docs/rivals.md` says what is missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentrt.scheduler.outlook import Outlook
from agentrt.scheduler.policy import UNGUARDED
from agentrt.scheduler.replica import Replica
from agentrt.scheduler.state import Call, Pause, PlacedContext

_SHORT_TOKENS = 2048  # of a call that goes to the least loaded engine, not to its program's


@dataclass(frozen=True, slots=True, kw_only=True)
class Plas:
    """At most `cap` calls are sent at a time; the others wait in the queues' order.

    Attributes:
        cap: Calls under way on a replica: what an engine's own queue orders is out of reach.
        queues: K; the first has programs with less than `quantum_s` of service, each next one
            reaches to twice as much, the last has the rest.
        beta: Waiting time over service time, from which on a call is in the first queue.
    """

    cap: int
    queues: int = 8
    quantum_s: float = 1.0
    beta: float = 4.0
    patience_s: float = 0.0
    guarded_places: int = UNGUARDED
    touches: bool = False
    limits_batches: bool = False

    def __post_init__(self) -> None:
        if self.cap < 1 or self.queues < 1 or not self.quantum_s > 0.0:
            raise ValueError("a cap, queues and their quantum are positive")
        if not 0.0 <= self.beta < math.inf:
            raise ValueError("beta is finite and not negative")

    @property
    def name(self) -> str:
        return f"plas-{self.cap}"

    def queue_start_s(self, attained_s: float) -> float:
        """The least service of those in the queue of a program that has attained so much."""
        quanta = attained_s / self.quantum_s
        if quanta < 1.0 or self.queues == 1:
            return 0.0
        doublings = math.frexp(quanta)[1] - 1
        return self.quantum_s * 2.0 ** min(doublings, self.queues - 2)

    def rank(self, call: Call, outlook: Outlook, now: float) -> float:
        # The time of its promotion: of those in the first queue, the first to come there goes first.
        return now + self.beta * self.queue_start_s(call.program.attained_s)

    def short_to_enter(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        most = max(len(replica.placed), len(replica.running))
        return 0.0 if most < self.cap else math.inf

    def short_to_grow(self, replica: Replica, call: Call, needed_blocks: int) -> float:
        return 0.0 if len(replica.running) < self.cap else math.inf

    def hold_until(
        self, context: PlacedContext, pause: Pause, replica: Replica, outlook: Outlook, now: float
    ) -> float:
        return now  # calls have places, programs have none: KV residency is not looked at

    def move_at(self, call: Call, home: Replica, outlook: Outlook) -> float:
        return -math.inf if call.prompt_tokens <= _SHORT_TOKENS else math.inf
