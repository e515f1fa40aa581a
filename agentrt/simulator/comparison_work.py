"""What a comparison consists of: jobs, which can be done anywhere and in any order, and their plans.

A plan asks for jobs and goes on when it has the results of all of them; plans do not wait for one
another. So however many work at it, the outcomes are the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from agentrt.errors import InvariantError
from agentrt.scheduler.policy import Policy
from agentrt.simulator.loads import Load, load_text
from agentrt.simulator.occupancy import Curve
from agentrt.simulator.report import Report


@dataclass(frozen=True, slots=True)
class Simulation:
    """One policy on one workload.

    Attributes:
        make: A new policy.
    """

    load: Load
    seed: int
    label: str
    make: Callable[[], Policy]


@dataclass(frozen=True, slots=True)
class FindCaps:
    """The caps that are worth trying."""

    load: Load
    seed: int


@dataclass(frozen=True, slots=True)
class TryCap:
    """One cap on one workload."""

    load: Load
    seed: int
    cap: int


Job: TypeAlias = Simulation | FindCaps | TryCap


@dataclass(frozen=True, slots=True)
class CapTrial:
    """What one cap of a sweep came to."""

    cap: int
    mean_completion_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One policy on one workload.

    Attributes:
        programs_at_once: The closed loop's places; None: programs came at times of their own.
        wanted_at_once: What the load asked for: more than that if there are fewer programs.
        rate_per_s: At which programs came at random; None: they did not.
        completions_s: Of the programs that finished, ascending.
        in_use: What running calls and holds need of the caches, where it was asked for.
        live: What the programs need that have begun.
        trials: The caps that were tried, in ascending order; the first best of them is reported.
    """

    label: str
    load: Load
    seed: int
    kv_blocks: int
    programs_at_once: int | None
    wanted_at_once: int | None
    rate_per_s: float | None
    report: Report
    completions_s: tuple[float, ...]
    in_use: Curve | None = None
    live: Curve | None = None
    trials: tuple[CapTrial, ...] = ()

    @property
    def cap(self) -> int | None:
        """The best of the caps tried."""
        return best_of(self.trials).cap if self.trials else None


Result: TypeAlias = Outcome | CapTrial | tuple[int, ...]
Plan: TypeAlias = Generator[Sequence[Job], Sequence[Result], Outcome]


def best_of(trials: Sequence[CapTrial]) -> CapTrial:
    """The lowest mean; of several the lowest cap."""
    return min(trials, key=lambda trial: (trial.mean_completion_s, trial.cap))


def job_text(job: Job) -> str:
    """A job in words."""
    return f"{_what(job)}, {load_text(job.load)}, seed {job.seed}"


def _what(job: Job) -> str:
    match job:
        case Simulation():
            return job.label
        case TryCap():
            return f"cap-{job.cap}"
        case FindCaps():
            return "caps"
        case _:
            assert_never(job)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job, and whose it is."""

    plan: int
    place: int
    job: Job


class Work:
    """Plans under way. Whoever works at it takes a job, does it, and gives its result."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._plans = list(plans)
        self._results: list[list[Result | None]] = [[] for _ in plans]
        self._outcomes: list[Outcome | None] = [None for _ in plans]
        self._ready: deque[Ticket] = deque()
        for number, plan in enumerate(self._plans):
            self._ask(number, next(plan))

    @property
    def is_done(self) -> bool:
        return None not in self._outcomes

    def take(self) -> Ticket | None:
        """The next job to do; None if there is none, or none until results have come."""
        return self._ready.popleft() if self._ready else None

    def give(self, ticket: Ticket, result: Result) -> None:
        """A job is done."""
        results = self._results[ticket.plan]
        results[ticket.place] = result
        if None in results:
            return
        try:
            jobs = self._plans[ticket.plan].send([found for found in results if found is not None])
        except StopIteration as ended:
            self._outcomes[ticket.plan] = ended.value
        else:
            # Before what later plans want: they may be of another workload.
            self._ask(ticket.plan, jobs, first=True)

    def outcomes(self) -> list[Outcome]:
        """Of each plan, in their order, when all is done."""
        return [outcome for outcome in self._outcomes if outcome is not None]

    def _ask(self, plan: int, jobs: Sequence[Job], *, first: bool = False) -> None:
        if not jobs:
            raise InvariantError("a plan that asks for nothing")
        self._results[plan] = [None for _ in jobs]
        tickets = [Ticket(plan, place, job) for place, job in enumerate(jobs)]
        if first:
            self._ready.extendleft(reversed(tickets))
        else:
            self._ready.extend(tickets)
