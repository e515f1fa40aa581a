"""`agentrt resume`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agentrt.cli.connection import Choices, settle
from agentrt.cli.execution import Execution, execute
from agentrt.cli.failure import UsageError
from agentrt.cli.output import Answers, tell
from agentrt.cli.stored import load_run
from agentrt.cli.target import load_workflow
from agentrt.errors import ResumeError

if TYPE_CHECKING:
    from agentrt.runtime.run import Run
    from agentrt.runtime.runtime import Runtime
    from agentrt.store.base import StoredRun

Decision = Literal["retry", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeOptions:
    """The command line of `agentrt resume`."""

    run_id: str
    target: str | None = None
    is_forced: bool = False
    in_flight: Literal["ask", "retry", "skip", "refuse"] = "ask"
    choices: Choices
    is_json: bool = False
    is_quiet: bool = False


def resume_run(options: ResumeOptions, answers: Answers) -> int:
    """Load the run and its workflow, settle what was in flight, go on; the exit code."""
    connection = settle(options.choices)
    stored = asyncio.run(load_run(connection.store, options.run_id))
    target = options.target or stored.run.target
    if not target:
        raise UsageError(
            f"run {stored.run.run_id} does not say where its workflow is: it was started by a"
            " program, not by agentrt run",
            hint="name it: --target path.py:workflow",
        )
    loaded = load_workflow(target)
    in_flight = _settle_in_flight(stored, options.in_flight)

    async def resume(runtime: Runtime) -> Run[Any]:
        return await runtime.resume(
            stored.run.run_id, loaded.workflow, force=options.is_forced, in_flight=in_flight
        )

    return execute(
        Execution(
            workflow=stored.run.workflow,
            connection=connection,
            start=resume,
            is_json=options.is_json,
            is_quiet=options.is_quiet,
        ),
        answers,
    )


def calls_in_flight(stored: StoredRun) -> list[str]:
    """The calls that write and were begun, and of which nobody knows whether they happened."""
    return [node.node_id for node in stored.nodes if node.status == "started"]


def _settle_in_flight(
    stored: StoredRun, choice: Literal["ask", "retry", "skip", "refuse"]
) -> Mapping[str, Decision] | Literal["retry", "skip", "refuse"]:
    if choice != "ask":
        return choice
    calls = calls_in_flight(stored)
    if not calls:
        return "refuse"
    if sys.stdin is None or not sys.stdin.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        raise ResumeError(
            f"{_counted(calls)} in flight when the run stopped: {', '.join(calls)}."
            " Each may or may not have happened\n"
            f"agentrt resume {stored.run.run_id} --in-flight retry makes them again;"
            " --in-flight skip leaves them out",
            nodes=calls,
            run_id=stored.run.run_id,
        )
    return _ask(calls)


def _ask(calls: Sequence[str]) -> Mapping[str, Decision]:
    tell(f"{_counted(calls)} in flight when the run stopped, and may or may not have happened:")
    decisions: dict[str, Decision] = {}
    for call in calls:
        while call not in decisions:
            sys.stderr.write(f"  {call}: make it again (r) or leave it out (s)? ")
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                raise KeyboardInterrupt
            match line.strip().lower():
                case "r" | "retry":
                    decisions[call] = "retry"
                case "s" | "skip":
                    decisions[call] = "skip"
                case _:
                    continue
    return decisions


def _counted(calls: Sequence[str]) -> str:
    return "one call was" if len(calls) == 1 else f"{len(calls)} calls were"
