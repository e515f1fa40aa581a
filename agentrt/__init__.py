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

from agentrt.dsl.control import branch, loop
from agentrt.dsl.decorators import agent, llm, tool, workflow
from agentrt.ir.graph import Graph
from agentrt.ir.prompt import Prompt
from agentrt.ir.request import Usage
from agentrt.runtime.program import Program
from agentrt.runtime.results import RunResult
from agentrt.runtime.run import Run
from agentrt.runtime.runtime import Runtime, run

__all__ = [
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
    "run",
    "tool",
    "workflow",
]

__version__ = "0.1.0"
