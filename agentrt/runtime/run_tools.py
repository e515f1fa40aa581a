"""`RunTools`: the tool calls of one run: recorded, told to the schedulers, shared with equal ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from agentrt.dsl.functions import ToolFunction
from agentrt.estimates.work import WorkEstimates
from agentrt.runtime.attempts import OnAttempt, OnRetry
from agentrt.runtime.early_calls import EarlyCall
from agentrt.runtime.instance import Instance
from agentrt.runtime.journal import Journal
from agentrt.runtime.scheduled_program import ScheduledProgram
from agentrt.runtime.single_flight import copied_result, flight_key
from agentrt.runtime.tool_calls import Place, ToolCalls
from agentrt.scheduler.events import CallId
from agentrt.store.base import AttemptRecord


class RunTools:
    """Those of graphs, of agents and of free Python alike."""

    def __init__(
        self,
        tools: ToolCalls,
        *,
        journal: Journal,
        program: ScheduledProgram,
        work: WorkEstimates,
        now: Callable[[], float],
    ) -> None:
        """`now`: seconds since the run started."""
        self._tools = tools
        self._journal = journal
        self._program = program
        self._work = work
        self._now = now
        self._last_write = 0  # how many shared calls had begun when it ended

    async def call(
        self,
        instance: Instance,
        tool: ToolFunction[..., Any],
        arguments: dict[str, Any],
        *,
        is_cut: bool = False,
        early: EarlyCall | None = None,
        asked_by: CallId | None = None,
    ) -> Any:
        """The tool's result; the schedulers and the journal hear of it.

        Args:
            instance: Whose it is.
            tool: What to call.
            arguments: Checked.
            is_cut: As `ToolCalls.call` takes it.
            early: It is under way already.
            asked_by: The call of a model that asked for it.

        Raises:
            ToolError: the last attempt failed.
            StoreError: it has effects, and cannot be recorded before.
        """
        journal = self._journal
        if journal.is_durable and not tool.spec.is_repeatable:
            await journal.about_to_write(instance)

        def on_attempt(attempt: int) -> None:
            instance.attempts = attempt
            if journal.is_watched:
                journal.started(instance, attempt, self._now())

        def on_retry(attempt: int, error: BaseException, wait_s: float) -> None:
            record = AttemptRecord(
                run_id=journal.run_id,
                node_id=instance.id,
                attempt=attempt,
                status="failed",
                error=f"{type(error).__name__}: {error}",
                started_s=instance.started_s or 0.0,
                finished_s=self._now(),
            )
            journal.attempt_failed(instance, record, wait_s)

        tool_call_id = self._program.tool_started(tool.name, arguments, asked_by=asked_by)
        try:
            if early is not None:
                instance.started_s = early.started_s
                return await early.result(on_attempt, on_retry)
            return await self.made(
                instance, tool, arguments, on_attempt=on_attempt, on_retry=on_retry, is_cut=is_cut
            )
        finally:
            if tool.spec.effects == "write":
                self._last_write = self._tools.flights.begun
            self._program.tool_finished(tool_call_id)

    async def made(
        self,
        instance: Instance,
        tool: ToolFunction[..., Any],
        arguments: dict[str, Any],
        *,
        on_attempt: OnAttempt,
        on_retry: OnRetry,
        is_cut: bool,
    ) -> Any:
        """The tool's result: of this call, or of an equal one that is under way."""
        plan = instance.plan

        async def perform(on_attempt: OnAttempt, on_retry: OnRetry) -> Any:
            started_s = self._now()

            def begun(attempt: int) -> None:
                nonlocal started_s
                if attempt == 1:
                    started_s = self._now()  # it may have waited for others until now
                on_attempt(attempt)

            result = await self._tools.call(
                tool,
                arguments,
                on_attempt=begun,
                on_retry=on_retry,
                is_cut=is_cut,
                place=Place(self._program.program_id, plan.precedence),
            )
            self._work.observe("tool", tool.name, self._now() - started_s)
            return result

        key = None
        if tool.name in plan.single_flight:
            key = flight_key(self._program.tenant, tool, arguments, is_cut=is_cut)
        if key is None:
            return await perform(on_attempt, on_retry)
        return await self._tools.flights.call(
            key,
            lambda attempts: perform(attempts.on_attempt, attempts.on_retry),
            copied=partial(copied_result, tool),
            told=(on_attempt, on_retry),
            since=0 if tool.spec.effects == "none" else self._last_write,
        )


def observation(tool: ToolFunction[..., Any], result: Any) -> str:
    """A tool's result as a model reads it: text as it is, anything else as JSON.

    What exceeds the tool's `max_output_bytes` is cut, and the text says so.
    """
    if isinstance(result, str):
        text = result
    else:
        text = json.dumps(tool.result.to_json(result), ensure_ascii=False)
    encoded = text.encode(errors="replace")
    limit = tool.spec.max_output_bytes
    if len(encoded) <= limit:
        return text
    kept = encoded[:limit].decode(errors="ignore")
    return f"{kept}\n[cut: {len(encoded):,} bytes in all, the first {limit:,} are shown]"
