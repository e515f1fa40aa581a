"""A run from the command line: started, watched, interrupted, answered, drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agentrt.cli.connection import Connection
from agentrt.cli.engine_rates import measure_rates
from agentrt.cli.failure import FAILED, Failure, describe
from agentrt.cli.interrupt import Interrupts
from agentrt.cli.one_at_a_time import one_at_a_time
from agentrt.cli.output import Answers, tell
from agentrt.cli.progress import watching
from agentrt.cli.result_json import result_json
from agentrt.clock import SystemClock

if TYPE_CHECKING:
    from agentrt.backends.base import Backend
    from agentrt.runtime.results import RunResult
    from agentrt.runtime.run import Run
    from agentrt.runtime.runtime import Runtime

_ERRORS_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What to run and how to show it.

    Attributes:
        start: Starts or resumes the run in a runtime.
    """

    workflow: str
    connection: Connection
    start: Callable[[Runtime], Awaitable[Run[Any]]]
    on_error: Literal["fail", "collect"] = "fail"
    deadline_s: float | None = None
    is_json: bool = False
    is_quiet: bool = False


def execute(execution: Execution, answers: Answers) -> int:
    """Run to the end on an event loop of its own; the exit code."""
    return asyncio.run(_execute(execution, answers))


async def _execute(execution: Execution, answers: Answers) -> int:
    from agentrt.backends.registry import connect  # noqa: PLC0415  only what runs pays for it
    from agentrt.runtime.runtime import Runtime  # noqa: PLC0415

    connection = execution.connection
    clock = SystemClock()
    task = asyncio.current_task()

    def give_up() -> None:
        if task is not None:
            task.cancel()

    with Interrupts(give_up) as interrupts:
        try:
            async with AsyncExitStack() as stack:
                backend = connect(connection.backend, model=connection.model)
                stack.push_async_callback(backend.aclose)
                store = connection.store.open() if connection.store.is_kept else None
                if store is not None:
                    stack.push_async_callback(store.aclose)
                with watching(clock, is_quiet=execution.is_quiet) as on_event:
                    runtime = await stack.enter_async_context(
                        Runtime(
                            backend,
                            small=connection.small,
                            model=connection.model,
                            store=store,
                            on_event=on_event,
                            on_error=execution.on_error,
                            deadline_s=execution.deadline_s,
                        )
                    )
                    run = await execution.start(runtime)
                    interrupts.cancel_with(lambda: run.cancel("interrupted"))
                    result = await run.wait()
                    if interrupts.signal is None:
                        interrupts.cancel_with(give_up)
                return await _show(execution, result, backend, interrupts, answers)
        except asyncio.CancelledError:
            if interrupts.signal is None:
                raise
            raise KeyboardInterrupt from None


async def _show(
    execution: Execution,
    result: RunResult[Any],
    backend: Backend,
    interrupts: Interrupts,
    answers: Answers,
) -> int:
    has_finished = result.status == "finished"
    if execution.is_json:
        answers.json(result_json(result, workflow=execution.workflow))
    elif has_finished or result.status == "partial":
        answers.value(result.output)
    if not execution.is_quiet:
        is_worth_probing = has_finished and execution.connection.is_embedded
        await _draw(result, backend if is_worth_probing and not execution.is_json else None)
    if result.store_error is not None:
        tell(f"warning: not all of this run is kept: {result.store_error}")
    if has_finished:
        return 0
    run_id = result.run_id if execution.connection.store.is_kept else None
    if interrupts.signal is not None:
        tell(*describe(KeyboardInterrupt(), run_id=run_id).lines())
        return interrupts.exit_code
    tell(*_failure_lines(result, run_id))
    return FAILED


async def _draw(result: RunResult[Any], backend: Backend | None) -> None:
    from rich.console import Console  # noqa: PLC0415  rich is loaded only where it draws

    from agentrt.cli.timeline import draw_timeline  # noqa: PLC0415

    rates = await measure_rates(backend, SystemClock()) if backend and result.nodes else None
    draw_timeline(
        Console(stderr=True, highlight=False),
        result.nodes,
        duration_s=result.duration_s,
        estimate=one_at_a_time(result.nodes, rates),
    )


def _failure_lines(result: RunResult[Any], run_id: str | None) -> list[str]:
    """What failed, each node once; the first with its hint."""
    if result.error is None:
        return [f"error: run {result.run_id} {result.status}"]
    main = describe(result.error, run_id=run_id)
    lines = list(_named(main).lines())
    others = [error for error in result.errors.values() if error is not result.error]
    lines += [f"error: {_named(describe(error)).message}" for error in others[:_ERRORS_SHOWN]]
    if len(others) > _ERRORS_SHOWN:
        lines.append(f"and {len(others) - _ERRORS_SHOWN} more errors")
    return lines


def _named(failure: Failure) -> Failure:
    """With the node in front, where the message does not name it."""
    from dataclasses import replace  # noqa: PLC0415

    if not failure.node_id or failure.node_id in failure.message:
        return failure
    return replace(failure, message=f"{failure.node_id}: {failure.message}")
