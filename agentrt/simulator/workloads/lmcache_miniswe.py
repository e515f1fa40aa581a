"""lmcache_agent_trace, miniswe: a coding agent that runs one shell command a turn, with full text."""

from __future__ import annotations

import random
from collections.abc import Iterable

from agentrt.estimates.command_class import command_class
from agentrt.ir.workload import ProgramTrace, Step, StepId, ToolStep, Workload
from agentrt.simulator.workloads.lmcache_records import (
    Session,
    sessions,
)
from agentrt.simulator.workloads.quantiles import log_normal
from agentrt.simulator.workloads.shell import fenced_command
from agentrt.simulator.workloads.text_blocks import MODELLED, TextBlocks
from agentrt.simulator.workloads.transcript import add_call

_BASH_S = log_normal(1.25, 10.2, 308.0)


def read(lines: Iterable[str], *, block_tokens: int = 16, seed: int = 0) -> Workload:
    """The runs on `lines`, one program each, in closed loop.

    Raises:
        InputError: a line is not of this format; the message names the line and the field.
    """
    found = sessions(lines)
    blocks = TextBlocks(block_tokens)
    rng = random.Random(seed)
    return Workload(
        name="lmcache_miniswe",
        block_tokens=block_tokens,
        programs=tuple(_program(session, blocks, rng) for session in found),
        modelled=(
            MODELLED,
            "Prompts are as recorded, without the agent's own answers, so an answer's blocks are"
            " never used again.",
            "Shell commands take a log-normal time, p50 1.25 s, p90 10.2 s, at most 308 s, as"
            f" published for coding agents (seed {seed}): the source's times are not reliable.",
        ),
    )


def _program(session: Session, blocks: TextBlocks, rng: random.Random) -> ProgramTrace:
    steps: list[Step] = []
    last: StepId | None = None
    for at, turn in enumerate(session.turns):
        texts = (turn.prompt, f"{turn.prompt}\n\nassistant: {turn.answer}")
        last = add_call(steps, blocks, texts, () if last is None else (last,), 0.0)
        if at + 1 < len(session.turns):
            duration_s = _BASH_S.draw(rng)
            kind = command_class(fenced_command(turn.answer))
            steps.append(
                ToolStep(after=(last,), tool="bash", duration_s=duration_s, argument_class=kind)
            )
            last = len(steps) - 1
    return ProgramTrace(program_id=session.session_id, workflow="miniswe", steps=tuple(steps))
