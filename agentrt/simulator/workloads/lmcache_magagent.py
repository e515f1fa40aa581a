"""lmcache_agent_trace, magagent: a planner and its workers, with the full text of each call.

The agents take turns: measured on the file, no call is made sooner after another than its answer
takes at 133 tokens a second, so that none ran beside another.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentrt.ir.workload import ProgramTrace, Step, StepId, Workload
from agentrt.simulator.workloads.lmcache_records import (
    Session,
    Turn,
    sessions,
)
from agentrt.simulator.workloads.text_blocks import MODELLED, TextBlocks
from agentrt.simulator.workloads.transcript import add_call

_TOKENS_PER_S = 100.0


def read(lines: Iterable[str], *, block_tokens: int = 16) -> Workload:
    """The runs on `lines`, one program each, in closed loop.

    Raises:
        InputError: a line is not of this format; the message names the line and the field.
    """
    found = sessions(lines)
    blocks = TextBlocks(block_tokens)
    return Workload(
        name="lmcache_magagent",
        block_tokens=block_tokens,
        programs=tuple(_program(session, blocks) for session in found),
        modelled=(
            MODELLED,
            "Agents of one program take turns, each with its own conversation: the times leave no"
            " room for two at once.",
            "The source has no answering times: a call is taken to have lasted as long as its answer"
            " does at 100 tokens/s, and what is left until the next call is the gap, tools included.",
            "Calls recorded without a prompt are left out.",
        ),
    )


def _program(session: Session, blocks: TextBlocks) -> ProgramTrace:
    steps: list[Step] = []
    last: StepId | None = None
    before: Turn | None = None
    for turn in session.turns:
        if not turn.prompt:
            continue
        gap_s = 0.0
        if before is not None:
            lasted_s = before.completion_tokens / _TOKENS_PER_S
            gap_s = max(0.0, turn.at_s - before.at_s - lasted_s)
        texts = (turn.prompt, f"{turn.prompt}\n\nassistant: {turn.answer}")
        last = add_call(steps, blocks, texts, () if last is None else (last,), gap_s)
        before = turn
    return ProgramTrace(program_id=session.session_id, workflow="magagent", steps=tuple(steps))
