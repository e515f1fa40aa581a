"""In what order a replay does what a workload says: programs as they come, steps as they wait for one another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from agentrt.clock import Clock
from agentrt.ir.workload import ProgramTrace, Step, StepId

OnFinished: TypeAlias = Callable[[int, int], None]
"""Told (programs ended, programs in all) whenever one ends."""


async def play_programs(
    traces: Sequence[ProgramTrace],
    play: Callable[[int, ProgramTrace], Awaitable[None]],
    *,
    clock: Clock,
    at_once: int | None,
    on_finished: OnFinished | None = None,
) -> None:
    """`play` each program at its time of arrival, counted from now.

    Those without one come in their order, `at_once` of them at a time (None: all now).
    """
    began_s = clock.now()
    places = asyncio.Semaphore(at_once or max(1, len(traces)))
    ended = 0

    async def one(index: int, trace: ProgramTrace) -> None:
        nonlocal ended
        if trace.arrival_s is None:
            async with places:
                await play(index, trace)
        else:
            await clock.sleep(max(0.0, trace.arrival_s - (clock.now() - began_s)))
            await play(index, trace)
        ended += 1
        if on_finished is not None:
            on_finished(ended, len(traces))

    async with asyncio.TaskGroup() as programs:
        for index, trace in enumerate(traces):
            programs.create_task(one(index, trace))


async def play_steps(trace: ProgramTrace, play: Callable[[StepId, Step], Awaitable[None]]) -> None:
    """`play` each step as soon as those it waits for have ended; the first that raises ends all."""
    done = [asyncio.Event() for _ in trace.steps]

    async def one(step_id: StepId, step: Step) -> None:
        for before in step.after:
            await done[before].wait()
        await play(step_id, step)
        done[step_id].set()

    async with asyncio.TaskGroup() as steps:
        for step_id, step in enumerate(trace.steps):
            steps.create_task(one(step_id, step))
