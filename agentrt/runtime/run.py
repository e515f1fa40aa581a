"""`Run`: a handle on a run that is under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from agentrt.errors import RunError
from agentrt.ir.event import Event, RunFinished
from agentrt.runtime.execution import Execution
from agentrt.runtime.journal import Journal
from agentrt.runtime.results import RunResult

R = TypeVar("R")


class Run(Generic[R]):
    """One run, started by `Runtime.start` or `Runtime.resume`."""

    def __init__(
        self,
        run_id: str,
        execution: Execution,
        journal: Journal,
        task: asyncio.Task[RunResult[R]],
    ) -> None:
        self.run_id = run_id
        self._execution = execution
        self._journal = journal
        self._task = task

    @property
    def is_done(self) -> bool:
        return self._task.done()

    async def wait(self) -> RunResult[R]:
        """How the run ended, however it ended. Giving up waiting does not stop the run."""
        return await asyncio.shield(self._task)

    async def result(self) -> R:
        """The workflow's output.

        Raises:
            AgentRTError: what ended the run, if it did not finish.
        """
        return unwrap(await self.wait())

    def cancel(self, reason: str = "Run.cancel() was called") -> None:
        """Stop the run. It is over, with nothing of it left behind, once `wait` returns."""
        self._execution.cancel(reason)

    async def events(self) -> AsyncIterator[Event]:
        """What happens from now on, until the run ends; one iterator, its own copy of each event.

        Events queue up without limit while nobody takes them.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()

        def ended(_: asyncio.Task[RunResult[R]]) -> None:
            queue.put_nowait(None)  # one that was refused, or never began, tells of no end

        self._journal.observers.append(queue.put_nowait)
        self._task.add_done_callback(ended)
        try:
            while (event := await queue.get()) is not None:
                yield event
                if isinstance(event, RunFinished):
                    return
        finally:
            self._journal.observers.remove(queue.put_nowait)
            self._task.remove_done_callback(ended)


def unwrap(result: RunResult[R]) -> R:
    """The output, or the error raised."""
    if result.status in ("finished", "partial"):
        return result.output
    raise result.error or RunError(
        f"run {result.run_id} ended as {result.status}", run_id=result.run_id
    )
