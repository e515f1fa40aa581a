"""`agentrt run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agentrt.cli.connection import Choices, settle
from agentrt.cli.execution import Execution, execute
from agentrt.cli.output import Answers
from agentrt.cli.parameters import parse_parameters
from agentrt.cli.target import load_workflow

if TYPE_CHECKING:
    from agentrt.dsl.workflow import Bound, Workflow
    from agentrt.runtime.run import Run
    from agentrt.runtime.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The command line of `agentrt run`."""

    target: str
    words: tuple[str, ...] = ()
    input: str | None = None
    choices: Choices
    on_error: Literal["fail", "collect"] = "fail"
    deadline_s: float | None = None
    is_json: bool = False
    is_quiet: bool = False


def run_workflow(options: RunOptions, answers: Answers) -> int:
    """Load, bind, run, show; the exit code."""
    loaded = load_workflow(options.target)
    call = bind(loaded.workflow, options.words, options.input)

    async def start(runtime: Runtime) -> Run[Any]:
        return runtime.start(call, target=loaded.target)

    return execute(
        Execution(
            workflow=loaded.workflow.name,
            connection=settle(options.choices),
            start=start,
            on_error=options.on_error,
            deadline_s=options.deadline_s,
            is_json=options.is_json,
            is_quiet=options.is_quiet,
        ),
        answers,
    )


def bind(workflow: Workflow[..., Any], words: Sequence[str], given: str | None) -> Bound[Any]:
    """The workflow with its parameters from the command line.

    Raises:
        UsageError: a parameter is unknown or does not fit.
        InputError: one is missing.
        DefinitionError: the workflow itself is wrong.
    """
    parameters = {name: each.type for name, each in workflow.signature.parameters.items()}
    return workflow.bind(**parse_parameters(words, parameters, given=given))
