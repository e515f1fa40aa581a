"""What a workload is made up from."""

from __future__ import annotations

from dataclasses import dataclass

from agentrt.simulator.workloads.quantiles import Quantiles, constant

_NONE = constant(0)
_TWO = constant(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A tool an agent calls.

    Attributes:
        share: Its part of all tool calls, against the other tools' shares.
    """

    tool: str
    share: float
    duration_s: Quantiles
    argument_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubAgents:
    """Agents that an agent starts, and waits for, instead of calling tools.

    Attributes:
        share: The share of turns that start some.
        width: How many at once.
        turns: Calls each of them makes.
        system_tokens: What all of them begin with; None: with their parent's whole context.
        task_tokens: What each is told beyond that.
    """

    share: float
    width: Quantiles
    turns: Quantiles
    system_tokens: int | None
    task_tokens: Quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowShape:
    """One kind of agent.

    Attributes:
        share: Its part of all programs, against the other shapes' shares.
        system_tokens: What all its programs begin with: system prompt and tools.
        task_tokens: The rest of a program's first prompt.
        turns: Calls of the agent itself; its sub-agents' come on top.
        new_tokens: What a turn adds to the prompt beyond the last answer.
        tool_share: The share of turns after which tools run; after the others only `gap_s` passes.
        parallel_share: The share of those with several tools at once, `parallel_tools` of them.
        restart_share: The share of turns whose prompt goes on not from the last answer but from the
            system prompt: the history was condensed, or another agent's turn came.
        restart_tokens: What such a prompt has beyond the system prompt.
        gap_s: The client's own time, or a person's, before each call but the first.
    """

    workflow: str
    system_tokens: int
    task_tokens: Quantiles
    turns: Quantiles
    new_tokens: Quantiles
    completion_tokens: Quantiles
    tools: tuple[ToolUse, ...]
    share: float = 1.0
    tool_share: float = 1.0
    parallel_share: float = 0.0
    parallel_tools: Quantiles = _TWO
    restart_share: float = 0.0
    restart_tokens: Quantiles = _NONE
    gap_s: Quantiles = _NONE
    sub_agents: SubAgents | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A whole workload, to be made by `generate`.

    Attributes:
        tenants: Names and shares of who the programs belong to; none: all to one without a name.
    """

    name: str
    programs: int
    shapes: tuple[WorkflowShape, ...]
    block_tokens: int = 16
    tenants: tuple[tuple[str, float], ...] = ()
