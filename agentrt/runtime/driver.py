"""`Driver`: from a bound workflow to a result, with the records that go with it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from agentrt.clock import Clock
from agentrt.dsl.workflow import Bound
from agentrt.errors import AgentRTError, InputError, InvariantError, StoreError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.event import RunFinished, RunStarted
from agentrt.runtime.ending import Ending
from agentrt.runtime.executable import Executable
from agentrt.runtime.execution import Execution
from agentrt.runtime.fleet import Fleet
from agentrt.runtime.journal import Journal, OnEvent
from agentrt.runtime.llm_calls import LLMCalls
from agentrt.runtime.perform import Performer
from agentrt.runtime.program import Program
from agentrt.runtime.restore import Restored
from agentrt.runtime.results import RunResult
from agentrt.runtime.scheduled_program import ScheduledProgram
from agentrt.runtime.tool_calls import ToolCalls
from agentrt.store.base import RunRecord, RunStore, StoredRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """One go at a run: the first, or a resumed one.

    Attributes:
        is_named: The run's id was chosen by the caller, so it may be taken already.
        stored: What is kept of earlier sittings.
    """

    run_id: str
    target: str
    call: Bound[Any]
    executable: Executable
    on_error: Literal["fail", "collect"]
    deadline_s: float | None
    is_named: bool = False
    stored: StoredRun | None = None
    restored: Restored | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A sitting with everything in place; nothing of it has run."""

    run_id: str
    sitting: Sitting
    journal: Journal
    performer: Performer
    execution: Execution

    @property
    def program(self) -> ScheduledProgram:
        return self.performer.program


class Driver:
    """What all runs of one runtime share."""

    def __init__(  # noqa: PLR0913  keyword arguments, each a part of its own
        self,
        *,
        store: RunStore | None,
        clock: Clock,
        tools: ToolCalls,
        llms: LLMCalls,
        fleet: Fleet,
        work: WorkEstimates,
        observers: tuple[OnEvent, ...],
    ) -> None:
        self._store = store
        self._clock = clock
        self._tools = tools
        self._llms = llms
        self._fleet = fleet
        self._work = work
        self._observers = observers

    def prepare(self, sitting: Sitting) -> Prepared:
        """Everything a run needs. Its program has arrived: `drive` it, or end its program."""
        stored = sitting.stored
        journal = Journal(
            sitting.run_id,
            store=self._store,
            clock=self._clock,
            observers=self._observers,
            sequence=0 if stored is None else max((e.seq for e in stored.events), default=0),
        )
        program = self._fleet.program(
            sitting.run_id,
            sitting.call.workflow.name,
            deadline_s=sitting.deadline_s,
        )
        performer = self._performer(journal, program)
        if stored is not None:
            performer.start_at(_elapsed_s(stored))
        execution = Execution(
            sitting.executable,
            dict(sitting.call.arguments),
            journal=journal,
            performer=performer,
            on_error=sitting.on_error,
            restored=sitting.restored,
        )
        program.arrive(*sorted(sitting.executable.tiers))
        return Prepared(
            run_id=sitting.run_id,
            sitting=sitting,
            journal=journal,
            performer=performer,
            execution=execution,
        )

    async def drive(self, prepared: Prepared) -> RunResult[Any]:
        """Run to the end, record it, and say how it went.

        Raises:
            asyncio.CancelledError: the task was cancelled; the run is recorded as cancelled.
            InvariantError: a bug in agentrt.
        """
        is_cancelled = True  # unless we hear otherwise
        try:
            if prepared.sitting.is_named and await self._is_known(prepared.run_id):
                return _refused(prepared.run_id)
            result = await self._drive(prepared)
            is_cancelled = result.status == "cancelled"
            return result
        finally:
            prepared.program.end(is_cancelled=is_cancelled)

    async def _drive(self, prepared: Prepared) -> RunResult[Any]:
        sitting, journal, execution = prepared.sitting, prepared.journal, prepared.execution
        performer = prepared.performer
        record = self._record(sitting)
        workflow = sitting.call.workflow.name
        started = RunStarted(journal.run_id, workflow, performer.now(), sitting.stored is not None)
        journal.run_started(record, started)
        alarm = self._set_alarm(sitting.deadline_s, execution)
        ending = Ending("cancelled", None, None)
        try:
            ending = await execution.run()
        except InvariantError as error:
            ending = Ending("failed", None, error)
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
            ended_s = performer.now()
            await journal.run_finished(
                self._end_record(record, ending, ended_s, sitting),
                RunFinished(journal.run_id, ending.status, ended_s, _told(ending.error)),
            )
        return RunResult(
            run_id=journal.run_id,
            status=ending.status,
            output=ending.output,
            error=ending.error,
            errors=execution.errors,
            duration_s=ended_s,
            instances=execution.instances,
            store_error=journal.failure,
        )

    @asynccontextmanager
    async def claimed(self, run_id: str) -> AsyncGenerator[StoredRun]:
        """A stored run, ours alone from here on; given back if the block fails.

        Raises:
            StoreError: there is no store, no such run, or another process is working on it.
        """
        if self._store is None:
            raise StoreError("this runtime keeps no runs: give it a store")
        full_id = (await self._store.load(run_id)).run.run_id
        await self._store.claim(full_id, new_owner())
        try:
            # Read again: until now somebody else could still have been at work.
            yield await self._store.load(full_id)
        except BaseException:
            await self._store.release(full_id)
            raise

    def program(self, name: str, run_id: str) -> Program:
        journal = Journal(run_id, store=self._store, clock=self._clock, observers=self._observers)
        return Program(
            name,
            journal=journal,
            performer=self._performer(journal, self._fleet.program(run_id, name)),
            created_at=self._clock.wall_time(),
        )

    def _performer(self, journal: Journal, program: ScheduledProgram) -> Performer:
        return Performer(
            journal=journal,
            tools=self._tools,
            llms=self._llms,
            clock=self._clock,
            program=program,
            work=self._work,
        )

    async def _is_known(self, run_id: str) -> bool:
        if self._store is None:
            return False
        try:
            return (await self._store.load(run_id)).run.run_id == run_id
        except StoreError:
            return False  # there is none; if the store itself is broken, writing will say so

    def _record(self, sitting: Sitting) -> RunRecord:
        if sitting.stored is not None:
            return replace(sitting.stored.run, status="running", error=None)
        graph = sitting.call.traced.graph
        if self._store is None:  # nobody will read it
            return RunRecord(
                run_id=sitting.run_id,
                workflow=graph.name,
                graph_hash="",
                graph=None,
                input=None,
                created_at=0.0,
            )
        return RunRecord(
            run_id=sitting.run_id,
            workflow=graph.name,
            target=sitting.target,
            graph_hash=graph.hash,
            graph=graph.json,
            input=sitting.call.input_json(),
            created_at=self._clock.wall_time(),
        )

    def _end_record(
        self, record: RunRecord, ending: Ending, ended_s: float, sitting: Sitting
    ) -> RunRecord:
        output: Any = None
        if self._store is not None and ending.status == "finished":
            output = sitting.call.traced.bindings.output.to_json(ending.output)
        return replace(
            record,
            status=ending.status,
            output=output,
            error=_told(ending.error),
            duration_s=ended_s,
        )

    def _set_alarm(
        self, deadline_s: float | None, execution: Execution
    ) -> asyncio.TimerHandle | None:
        if deadline_s is None:
            return None
        reason = f"its deadline of {deadline_s:g} s passed"
        return asyncio.get_running_loop().call_later(deadline_s, execution.cancel, reason)


def new_owner() -> str:
    """Tells two claims of one process apart."""
    return uuid.uuid4().hex


def _refused(run_id: str) -> RunResult[Any]:
    """What comes of a run whose id is taken: nothing has run, and the other run is untouched."""
    return RunResult(
        run_id=run_id,
        status="failed",
        output=None,
        error=InputError(f"there is a run {run_id!r} already: choose another id, or resume it"),
        errors={},
        duration_s=0.0,
        instances=(),
    )


def _elapsed_s(stored: StoredRun) -> float:
    """How long the earlier sittings took; one that was killed is told by its last node."""
    ends = [node.finished_s or node.started_s for node in stored.nodes]
    return max([stored.run.duration_s, *ends])


def _told(error: AgentRTError | None) -> str | None:
    return None if error is None else str(error)
