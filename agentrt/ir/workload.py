"""A workload: programs as recorded or made up, to be replayed by a simulator or against a server.

Times are seconds. Nothing here says how long a call takes: that is what a replay finds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agentrt.ir.prefix import Chain

StepId: TypeAlias = int
"""Position of a step in its program, from 0; steps only read earlier ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStep:
    """One LLM call.

    Attributes:
        after: The steps it waits for.
        prompt: The full blocks of the prompt. What is left over of it, less than a block, is never
            cached and is counted in `prompt_tokens` alone.
        prompt_tokens: All tokens of the prompt.
        completion_tokens: Tokens of the answer.
        context: The blocks of prompt and answer together, which the engine holds when the call has
            ended; the next prompt of the program usually begins with them.
        gap_s: Seconds between the last of `after` having ended and this call being ready, beyond
            what the tools among them take: the client's own time, or a person's.
    """

    after: tuple[StepId, ...]
    prompt: Chain
    prompt_tokens: int
    completion_tokens: int
    context: Chain
    gap_s: float = 0.0
    kind: Literal["call"] = "call"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStep:
    """One tool call.

    Attributes:
        argument_class: What is known of the arguments that tells durations apart: `pytest` of a
            shell, say; empty if nothing is.
    """

    after: tuple[StepId, ...]
    tool: str
    duration_s: float
    argument_class: str = ""
    kind: Literal["tool"] = "tool"


Step: TypeAlias = CallStep | ToolStep


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTrace:
    """One program.

    Attributes:
        workflow: What kind of program it is; estimates learn for each kind.
        arrival_s: When it arrives, from the start of the workload; None: as the replay decides
            (closed loop, or a rate).
        deadline_s: Seconds after its arrival by which it should be done; None: no deadline.
        steps: In an order in which each comes after those it waits for.
    """

    program_id: str
    steps: tuple[Step, ...]
    workflow: str = ""
    tenant: str = ""
    arrival_s: float | None = None
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Programs to replay.

    Attributes:
        block_tokens: Tokens a block stands for.
        modelled: What the source did not say and was made up, one sentence each: reports repeat it.
    """

    name: str
    block_tokens: int
    programs: Sequence[ProgramTrace]
    modelled: tuple[str, ...] = field(default=())
