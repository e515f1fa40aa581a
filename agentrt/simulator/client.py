"""The client's half of a simulation: it makes programs' steps in their order, and calls their tools.

It knows no engine, and of the scheduler only what a client is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from agentrt.errors import InvariantError
from agentrt.ir.workload import CallStep, ProgramTrace, StepId, ToolStep, Workload
from agentrt.scheduler.events import (
    CallId,
    CallReady,
    ProgramArrived,
    ProgramCancelled,
    ProgramFinished,
    SchedulerEvent,
    ToolFinished,
    ToolStarted,
)
from agentrt.simulator.continuations import last_calls
from agentrt.simulator.replay import CallRecord, ProgramRecord


@dataclass(frozen=True, slots=True)
class Arrival:
    """A program comes."""

    program: int


@dataclass(frozen=True, slots=True)
class StepDue:
    """A step may be made."""

    program: int
    step: StepId


@dataclass(frozen=True, slots=True)
class ToolDone:
    """A tool has returned."""

    program: int
    step: StepId


@dataclass(frozen=True, slots=True)
class CallAgain:
    """A call that was refused is made again."""

    call_id: CallId


ClientDue: TypeAlias = Arrival | StepDue | ToolDone | CallAgain


class Client:
    """All programs' clients.

    Attributes:
        programs, calls: The records of what happened to them.
    """

    def __init__(
        self,
        workload: Workload,
        programs_at_once: int | None,
        *,
        tell: Callable[[SchedulerEvent, float], None],
        later: Callable[[float, ClientDue], None],
    ) -> None:
        self._traces = workload.programs
        self._tell = tell
        self._later = later
        self._waits = [_waits(trace) for trace in workload.programs]
        self._readers = [_readers(trace) for trace in workload.programs]
        self._last_calls = [last_calls(trace) for trace in workload.programs]
        self._left = [len(trace.steps) for trace in workload.programs]
        self._uninvited = _uninvited(workload.programs)
        self._at_once = programs_at_once
        self.programs = [ProgramRecord(0.0) for _ in workload.programs]
        self.calls: dict[CallId, CallRecord] = {}

    def begin(self) -> None:
        """Have the programs come that have a time, and the first of those that have none."""
        for index, trace in enumerate(self._traces):
            if trace.arrival_s is not None:
                self._later(trace.arrival_s, Arrival(index))
        counts = {
            tenant: sum(t.arrival_s is None and t.tenant == tenant for t in self._traces)
            for tenant in self._uninvited
        }
        for tenant, places in shared_out(counts, self._at_once).items():
            for _ in range(places):
                self._invite(tenant, 0.0)

    def happen(self, due: ClientDue, now: float) -> None:
        """What was put off until now."""
        match due:
            case Arrival(program):
                self._arrive(program, now)
            case StepDue(program, step):
                self._make(program, step, now)
            case ToolDone(program, step):
                if self._left[program] > 0:
                    self._tell(ToolFinished(self._id(program), f"{program}.{step}"), now)
                    self._step_done(program, step, now)
            case CallAgain(call_id):
                record = self.calls[call_id]
                if self._left[record.program] > 0:
                    self._ready(call_id, self.step_of(call_id), now)
            case _:
                assert_never(due)

    def step_of(self, call_id: CallId) -> CallStep:
        """What a call is."""
        record = self.calls[call_id]
        step = self._traces[record.program].steps[record.step]
        if not isinstance(step, CallStep):
            raise InvariantError(f"{call_id!r} is no call")
        return step

    def is_last(self, call_id: CallId) -> bool:
        """Whether the program goes on from the call, as its answer says."""
        record = self.calls[call_id]
        return record.step in self._last_calls[record.program]

    def answered(self, call_id: CallId, now: float) -> None:
        """A call has its answer."""
        record = self.calls[call_id]
        self._step_done(record.program, record.step, now)

    def refused(self, call_id: CallId, retry_after_s: float, now: float) -> None:
        """A call is not taken now; it is made again."""
        if not 0 < retry_after_s < math.inf:
            raise InvariantError(f"{call_id!r} is to be tried again after {retry_after_s} s")
        self.calls[call_id].shed += 1
        self._later(now + retry_after_s, CallAgain(call_id))

    def give_up(self, call_id: CallId, now: float) -> None:
        """A call of a program fits no engine."""
        program = self.calls[call_id].program
        self._left[program] = 0
        self._tell(ProgramCancelled(self._id(program)), now)
        self._invite(self._traces[program].tenant, now)

    def is_given_up(self, call_id: CallId) -> bool:
        """Whether nobody wants the call's program any more."""
        return self._left[self.calls[call_id].program] <= 0

    def unended(self) -> list[str]:
        """Programs that are still to come to their end."""
        return [self._id(program) for program, left in enumerate(self._left) if left > 0]

    # -- programs ----------------------------------------------------------------------------

    def _invite(self, tenant: str, now: float) -> None:
        """Have the tenant's next program come that has no time of its own."""
        for program in self._uninvited.get(tenant, ()):
            self._later(now, Arrival(program))
            return

    def _arrive(self, program: int, now: float) -> None:
        trace = self._traces[program]
        self.programs[program].arrived_s = now
        self._tell(
            ProgramArrived(
                program_id=self._id(program),
                workflow=trace.workflow,
                tenant=trace.tenant,
                deadline_at=None if trace.deadline_s is None else now + trace.deadline_s,
            ),
            now,
        )
        for step, count in enumerate(self._waits[program]):
            if count == 0:
                self._schedule(program, step, now)
        if not trace.steps:
            self._end(program, now)

    def _end(self, program: int, now: float) -> None:
        self.programs[program].finished_s = now
        self._tell(ProgramFinished(self._id(program)), now)
        self._invite(self._traces[program].tenant, now)

    # -- steps -------------------------------------------------------------------------------

    def _schedule(self, program: int, step: StepId, now: float) -> None:
        made = self._traces[program].steps[step]
        gap_s = made.gap_s if isinstance(made, CallStep) else 0.0
        self._later(now + gap_s, StepDue(program, step))

    def _make(self, program: int, step: StepId, now: float) -> None:
        if self._left[program] <= 0:
            return  # it was given up meanwhile
        made = self._traces[program].steps[step]
        name = f"{program}.{step}"
        match made:
            case ToolStep():
                started = ToolStarted(
                    self._id(program),
                    name,
                    made.tool,
                    made.argument_class,
                    self._caller(program, made),
                )
                self._tell(started, now)
                self._later(now + made.duration_s, ToolDone(program, step))
            case CallStep():
                self.calls[name] = CallRecord(program, step, now)
                self._ready(name, made, now)
            case _:
                assert_never(made)

    def _caller(self, program: int, tool: ToolStep) -> CallId | None:
        """The call that asked for the tool."""
        steps = self._traces[program].steps
        calls = [step for step in tool.after if isinstance(steps[step], CallStep)]
        return f"{program}.{max(calls)}" if calls else None

    def _ready(self, call_id: CallId, made: CallStep, now: float) -> None:
        ready = CallReady(
            call_id=call_id,
            program_id=self._id(self.calls[call_id].program),
            chain=made.prompt,
            prompt_tokens=made.prompt_tokens,
        )
        self._tell(ready, now)

    def _step_done(self, program: int, step: StepId, now: float) -> None:
        waits = self._waits[program]
        for reader in self._readers[program][step]:
            waits[reader] -= 1
            if waits[reader] == 0:
                self._schedule(program, reader, now)
        self._left[program] -= 1
        if self._left[program] == 0:
            self._end(program, now)

    def _id(self, program: int) -> str:
        # Names need not be unique in a workload; positions are.
        return f"{program}:{self._traces[program].program_id}"


def shared_out(counts: dict[str, int], places: int | None) -> dict[str, int]:
    """A closed loop's places by tenant, in proportion to their programs, at least one each.

    None: a place for every program. Each tenant is a loop by itself, so that one whose programs are
    soon done has no more of them under way than one whose programs wait.
    """
    total = sum(counts.values())
    if places is None or places >= total:
        return counts
    exact = {tenant: places * count / total for tenant, count in counts.items()}
    found = {tenant: max(1, int(share)) for tenant, share in exact.items()}
    # What rounding down left goes to those who lost most by it.
    left = max(0, places - sum(found.values()))
    for tenant in sorted(exact, key=lambda tenant: (found[tenant] - exact[tenant], tenant))[:left]:
        found[tenant] += 1
    return found


def _uninvited(traces: Sequence[ProgramTrace]) -> dict[str, Iterator[int]]:
    """The programs of each tenant that have no time of their own, in order."""
    found: dict[str, list[int]] = {}
    for program, trace in enumerate(traces):
        if trace.arrival_s is None:
            found.setdefault(trace.tenant, []).append(program)
    return {tenant: iter(programs) for tenant, programs in found.items()}


def _waits(trace: ProgramTrace) -> list[int]:
    """For each step, how many it waits for."""
    return [len(set(step.after)) for step in trace.steps]


def _readers(trace: ProgramTrace) -> list[list[StepId]]:
    """For each step, those that wait for it."""
    readers: list[list[StepId]] = [[] for _ in trace.steps]
    for at, step in enumerate(trace.steps):
        for before in set(step.after):
            readers[before].append(at)
    return readers
