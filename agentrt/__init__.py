"""agentrt: an agent-workflow runtime that schedules whole programs, not single LLM requests.

Declare an agent program with `@tool`, `@llm`, `@agent` and `@workflow`; run it with `run`, or many at
once in a `Runtime`:

    from agentrt import Prompt, llm, run, workflow

    @llm
    def answer(question: str) -> Prompt[str]:
        return Prompt(question, system="Answer in one sentence.")

    @workflow
    def ask(question: str) -> str:
        return answer(question)

    print(run(ask, "Why is the sky blue?"))
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentrt.dsl.control import branch, loop
    from agentrt.dsl.decorators import agent, llm, tool, workflow
    from agentrt.dsl.planned import plan_and_run
    from agentrt.dsl.stable import stable, volatile
    from agentrt.ir.examples import Example
    from agentrt.ir.graph import Graph
    from agentrt.ir.prompt import Prompt
    from agentrt.ir.request import Usage
    from agentrt.runtime.program import Program
    from agentrt.runtime.results import RunResult
    from agentrt.runtime.run import Run
    from agentrt.runtime.runtime import Runtime, run

__all__ = [
    "Example",
    "Graph",
    "Program",
    "Prompt",
    "Run",
    "RunResult",
    "Runtime",
    "Usage",
    "agent",
    "branch",
    "llm",
    "loop",
    "plan_and_run",
    "run",
    "stable",
    "tool",
    "volatile",
    "workflow",
]

__version__ = "0.1.0"

_HOMES = {
    "Example": "agentrt.ir.examples",
    "Graph": "agentrt.ir.graph",
    "Program": "agentrt.runtime.program",
    "Prompt": "agentrt.ir.prompt",
    "Run": "agentrt.runtime.run",
    "RunResult": "agentrt.runtime.results",
    "Runtime": "agentrt.runtime.runtime",
    "Usage": "agentrt.ir.request",
    "agent": "agentrt.dsl.decorators",
    "branch": "agentrt.dsl.control",
    "llm": "agentrt.dsl.decorators",
    "loop": "agentrt.dsl.control",
    "plan_and_run": "agentrt.dsl.planned",
    "run": "agentrt.runtime.runtime",
    "stable": "agentrt.dsl.stable",
    "tool": "agentrt.dsl.decorators",
    "volatile": "agentrt.dsl.stable",
    "workflow": "agentrt.dsl.decorators",
}


if not TYPE_CHECKING:  # type checkers are to know the names above and no others

    def __getattr__(name: str) -> object:
        """Loaded at first use: parts of the package run where its dependencies are not installed."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
