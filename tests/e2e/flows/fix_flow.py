"""An agent with a shell of its own."""

import asyncio

from agentrt import Prompt, agent, tool, workflow


@tool(effects="read")
async def bash(command: str) -> str:
    """Run a command."""
    await asyncio.sleep(0.05)
    return f"{command}: fine\n" * 20


@agent(tools=[bash])
def fix(task: str) -> Prompt[str]:
    return Prompt(task, system="Fix what is broken, with small steps. " * 10)


@workflow
def main(task: str = "the tests fail") -> str:
    return fix(task)
