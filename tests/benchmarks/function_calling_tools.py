"""The tools of `function_calling`, as authors write them. Every contender calls these."""

from __future__ import annotations

from contextvars import ContextVar

from agentrt import tool
from agentrt.dsl.functions import ToolFunction
from agentrt.ir.tool import ToolSpec
from tests.benchmarks.function_calling_questions import Shape
from tests.benchmarks.function_calling_world import World

WORLD: ContextVar[World] = ContextVar("WORLD")


@tool(effects="read")
async def search(entity: str) -> str:
    """Searches Wikipedia for exactly this entity; gives the first paragraph."""
    return await WORLD.get().call("search", entity)


@tool(effects="none")
async def math(problem: str, context: list[str] | None = None) -> str:
    """Solves one problem, an expression or in words. It sees only what is in the context: texts and
    numbers that the problem is about. Say in which unit.
    """
    del context  # its prompt is of one size for all
    return await WORLD.get().call("math", problem)


TOOLS: dict[str, ToolFunction[..., str]] = {"search": search, "math": math}


def tools_for(shape: Shape) -> list[ToolFunction[..., str]]:
    return list(TOOLS.values()) if shape == "parallelqa" else [search]


def specs_for(shape: Shape) -> list[ToolSpec]:
    return [each.spec for each in tools_for(shape)]
