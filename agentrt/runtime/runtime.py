"""`Runtime`: where workflows run, and `run`, for when one call is all there is."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

from agentrt.backends.base import Backend
from agentrt.backends.registry import connect
from agentrt.clock import Clock, SystemClock, VirtualClock
from agentrt.compiler.pipeline import default_node_passes
from agentrt.dsl.workflow import Bound, Workflow
from agentrt.errors import DefinitionError, InputError, ResumeError, StoreError
from agentrt.estimates.work import WorkEstimates
from agentrt.ir.event import Event
from agentrt.ir.node import Tier
from agentrt.planner.memory import PlanMemory
from agentrt.runtime.driver import Driver, Sitting
from agentrt.runtime.executables import Executables
from agentrt.runtime.fleet import Fleet
from agentrt.runtime.llm_calls import LLMCalls
from agentrt.runtime.pool import Pool
from agentrt.runtime.program import Program
from agentrt.runtime.restore import InFlight, Restored, changed_nodes
from agentrt.runtime.results import RunResult
from agentrt.runtime.run import Run, unwrap
from agentrt.runtime.scheduling import Scheduling
from agentrt.runtime.settings import Settings
from agentrt.runtime.threads import GRACE_S
from agentrt.runtime.tool_calls import ToolCalls
from agentrt.store.base import RunStore
from agentrt.store.open import open_store

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("agentrt.runtime")

OnError = Literal["fail", "collect"]
OnEvent = Callable[[Event], None]


class Runtime:
    """Runs workflows: one backend (or two, small and large), one store, many runs at once.

        async with Runtime("vllm+http://gpu0:8000", store="runs.db") as runtime:
            print(await runtime.run(research, "Why is the sky blue?"))

    Args:
        backend: Where LLM calls go, as a URL (see `agentrt.backends.registry`) or a backend; None:
            `AGENTRT_BACKEND`, else the embedded model.
        small: Where calls of the small tier go; None: to `backend`.
        model: The model to ask `backend` for, if it serves several.
        store: Where runs are kept, as a URL, a path, or a store; None: nowhere.
        clock: Time; a `VirtualClock` makes waiting free (`run_sync` then uses its event loop).
        on_event: Told everything that happens, in order, on the event loop; it must not block.
        on_error: What a failing node does to its run: `fail` stops it; `collect` goes on with what
            does not depend on the node, and returns what there is.
        deadline_s: Seconds after which a run is cancelled.
        max_threads: Synchronous tools at work at once.
        seed: Makes the jitter between attempts reproducible.
        scheduling: How calls are scheduled, where the default does not suit.
        single_flight: Runs share equal calls of tools that are under way, where their effects are `none`
            or `read`, as if each tool had asked for it.
        plan_memory: What `plan_and_run` goes by that earlier plans have taught; None: its own, empty. One
            may serve several runtimes.
        without: Compiler passes to leave out, by name (`agentrt plan` lists them).

    Attributes:
        plans: Plans of `plan_and_run(..., reuses_plans=True)`; `plans.report.hit_rate` tells how
            often one was there.
        guesses: Reads of `plan_and_run(..., guesses_reads=True)` that were started before their plan;
            `guesses.report` tells how many, and how many of them a plan asked for.

    A backend or store that is given as an object is its owner's to close.
    """

    def __init__(  # noqa: PLR0913  keyword options, each with a default
        self,
        backend: Backend | str | None = None,
        *,
        small: Backend | str | None = None,
        model: str | None = None,
        store: RunStore | str | None = None,
        clock: Clock | None = None,
        on_event: OnEvent | None = None,
        on_error: OnError = "fail",
        deadline_s: float | None = None,
        max_threads: int = 64,
        seed: int | None = None,
        scheduling: Scheduling | None = None,
        without: Collection[str] = (),
        single_flight: bool = False,
        plan_memory: PlanMemory | None = None,
    ) -> None:
        self._backend = backend
        self._small = small
        self._model = model
        self._store = store
        self._clock = clock or SystemClock()
        self._on_event = on_event
        self._on_error: OnError = on_error
        self._deadline_s = deadline_s
        self._max_threads = max_threads
        self._random = random.Random(seed)
        self._scheduling = scheduling or Scheduling()
        self._work = WorkEstimates()
        self._executables = Executables(
            node_passes=default_node_passes(is_single_flight=single_flight),
            without=without,
            work=self._work,
        )
        self._driver: Driver | None = None
        self._plans = plan_memory or PlanMemory()
        self.plans = self._plans.cache
        self.guesses = self._plans.guesses
        self._started: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        if self._driver is not None:
            raise DefinitionError("a Runtime is entered once: make another")
        settings = Settings.from_env(os.environ)
        async with AsyncExitStack() as stack:
            large = self._open("large", self._backend or settings.backend, stack)
            wanted = self._small or settings.small_backend
            small = large if wanted is None else self._open("small", wanted, stack)
            fleet = Fleet({"large": large, "small": small}, clock=self._clock)
            stack.callback(fleet.close)
            store = self._store
            if isinstance(store, str):
                store = open_store(store, data_dir=settings.data_dir)
                stack.push_async_callback(_close, store)
            tools = ToolCalls(
                clock=self._clock, random_source=self._random, max_threads=self._max_threads
            )
            stack.push_async_callback(tools.threads.wait_abandoned, GRACE_S)
            self._driver = Driver(
                store=store,
                clock=self._clock,
                tools=tools,
                llms=LLMCalls(clock=self._clock, random_source=self._random, plans=self._plans),
                fleet=fleet,
                work=self._work,
                observers=() if self._on_event is None else (self._on_event,),
            )
            stack.push_async_exit(self._leave)
            self._tasks = asyncio.TaskGroup()
            await self._tasks.__aenter__()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Waits for runs that were started; after an exception, stops them first."""
        return await self._stack.__aexit__(kind, error, traceback)

    async def run(self, workflow: Workflow[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `workflow` to its end and return its output.

        Raises:
            DefinitionError: the workflow is wrong; nothing has run.
            InputError: the arguments do not fit its parameters; nothing has run.
            AgentRTError: what ended the run.
        """
        driver = self._entered()
        sitting = self._sitting(workflow.bind(*args, **kwargs))
        result: RunResult[R] = await driver.drive(driver.prepare(sitting))
        return unwrap(result)

    def run_sync(self, workflow: Workflow[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The same from synchronous code; opens and closes the runtime around the run.

        Raises:
            DefinitionError: there is an event loop here already.
        """
        if _is_in_event_loop():
            raise DefinitionError("inside an event loop, use `await runtime.run(...)`")

        async def main() -> R:
            async with self:
                return await self.run(workflow, *args, **kwargs)

        if isinstance(self._clock, VirtualClock):
            return self._clock.run(main())
        return asyncio.run(main())

    def start(self, call: Bound[R], *, run_id: str | None = None, target: str = "") -> Run[R]:
        """Start a run and return at once: `runtime.start(research.bind("Why?"))`.

        Leaving the runtime's `async with` waits for it.

        Args:
            run_id: A name for the run; it must be new.
            target: Where `agentrt resume` finds the workflow again (`path.py:workflow`).
        """
        sitting = self._sitting(call, run_id=run_id, target=target)
        return self._start(sitting)

    async def run_many(
        self,
        workflow: Workflow[..., R],
        inputs: Iterable[Mapping[str, Any]],
        *,
        concurrency: int | None = None,
    ) -> list[RunResult[R]]:
        """Run `workflow` once for each of `inputs` (arguments by name); results in their order.

        Every input is checked before anything runs. A run that fails does not stop the others: look
        at each result's `status`.

        Args:
            concurrency: Runs at once; None: all of them, queued at the backend by arrival.
        """
        driver = self._entered()
        calls: list[Bound[R]] = []
        for index, arguments in enumerate(inputs):
            try:
                calls.append(workflow.bind(**arguments))
            except InputError as error:
                error.add_note(f"in input {index}")
                raise
        limit = asyncio.Semaphore(concurrency or max(len(calls), 1))

        async def drive(call: Bound[R]) -> RunResult[R]:
            async with limit:
                return await driver.drive(driver.prepare(self._sitting(call)))

        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(drive(call)) for call in calls]
        return [task.result() for task in started]

    async def resume(
        self,
        run_id: str,
        workflow: Workflow[..., R],
        *,
        force: bool = False,
        in_flight: Mapping[str, InFlight] | InFlight = "refuse",
    ) -> Run[R]:
        """Go on with a stored run; what it had finished is not done again.

        Args:
            force: Go on although the workflow has changed since; results are taken for nodes of
                the same name.
            in_flight: What to do with `write` calls that were under way when the run stopped, for
                all or for each node instance: `retry` them, `skip` them (take them as done), or
                `refuse` to go on.

        Raises:
            ResumeError: the workflow has changed, or calls in flight need a decision; `.nodes` says
                which.
            StoreError: there is no such run, or another process is working on it.
        """
        driver = self._entered()
        async with driver.claimed(run_id) as stored:
            record = stored.run
            if record.graph is None:
                raise ResumeError(
                    f"run {record.run_id} is a program in free Python: it cannot be resumed",
                    run_id=record.run_id,
                )
            call = workflow.bind_json(record.input)
            if not force and call.traced.graph.hash != record.graph_hash:
                nodes = changed_nodes(record.graph, call.traced.graph)
                raise ResumeError(
                    f"workflow {workflow.name!r} has changed since run {record.run_id}: "
                    f"{', '.join(nodes)} differ. Run it anew, or resume with force",
                    nodes=nodes,
                    run_id=record.run_id,
                )
            sitting = self._sitting(call, run_id=record.run_id, target=record.target)
            restored = Restored(stored, in_flight)
            sitting = replace(sitting, is_named=False, stored=stored, restored=restored)
            return self._start(sitting)

    def program(self, name: str) -> Program:
        """A program in free Python: `async with runtime.program("triage") as program: ...`."""
        return self._entered().program(name, new_run_id())

    # -- internals ---------------------------------------------------------------------------

    async def _leave(
        self,
        kind: type[BaseException] | None,  # noqa: ARG002  the signature of an exit
        error: BaseException | None,
        traceback: TracebackType | None,  # noqa: ARG002
    ) -> None:
        """Wait for the runs; after an error stop them. The error goes on as it is, not in a group."""
        if error is not None:
            for task in tuple(self._started):
                task.cancel()
        await self._tasks.__aexit__(None, None, None)

    def _start(self, sitting: Sitting) -> Run[R]:
        driver = self._entered()
        prepared = driver.prepare(sitting)
        task: asyncio.Task[RunResult[R]] = self._tasks.create_task(driver.drive(prepared))
        self._started.add(task)
        task.add_done_callback(self._started.discard)
        # A task that is cancelled before its first step runs none of its own code.
        task.add_done_callback(lambda _: prepared.program.end(is_cancelled=True))
        return Run(prepared.run_id, prepared.execution, prepared.journal, task)

    def _sitting(self, call: Bound[Any], *, run_id: str | None = None, target: str = "") -> Sitting:
        return Sitting(
            run_id=run_id or new_run_id(),
            target=target,
            call=call,
            executable=self._executables.of(call.traced),
            is_named=run_id is not None,
            on_error=self._on_error,
            deadline_s=self._deadline_s,
        )

    def _open(self, tier: Tier, backend: Backend | str, stack: AsyncExitStack) -> Pool:
        if isinstance(backend, str):
            settings = Settings.from_env(os.environ)
            backend = connect(backend, model=self._model or settings.model)
            stack.push_async_callback(backend.aclose)
        return Pool(tier, {backend.name: backend}, clock=self._clock, scheduling=self._scheduling)

    def _entered(self) -> Driver:
        if self._driver is None:
            raise DefinitionError("enter the runtime first: `async with Runtime(...) as runtime:`")
        return self._driver


def run(workflow: Workflow[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `workflow` and return its output, from synchronous code, with everything at its default.

    The backend is `AGENTRT_BACKEND`, else the embedded model; runs are kept in `AGENTRT_STORE`, if
    that is set. For anything else make a `Runtime`.
    """
    store = Settings.from_env(os.environ).store
    return Runtime(store=None if store == "none" else store).run_sync(workflow, *args, **kwargs)


async def _close(store: RunStore) -> None:
    """The runs have been told already; their results must not be lost over this."""
    try:
        await store.aclose()
    except StoreError as error:
        _log.warning("the store could not be closed in order: %s", error)


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def new_run_id() -> str:
    """Sixteen hex digits; the store takes any unambiguous beginning of it."""
    return uuid.uuid4().hex[:16]
