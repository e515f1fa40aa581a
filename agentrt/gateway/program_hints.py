"""What an engine is told of a program's call: all that is known of it before the answer. Pure."""

from __future__ import annotations

from agentrt.estimates.book import Estimates
from agentrt.estimates.next_tool import END, START
from agentrt.gateway.live_program import LiveProgram
from agentrt.ir.hints import Hints
from agentrt.runtime.call_hints import FIRST_PRIORITY, expected_hold_s, opaque
from agentrt.scheduler.events import REPLY

_LIKELY = 0.5


def hints_for(
    program: LiveProgram, estimates: Estimates | None, *, cache_salt: str, is_last: bool
) -> Hints:
    """For the next call of `program`.

    Args:
        program: Whose it is: earlier ones go first.
        estimates: What is known of others of its kind; None: nothing.
        cache_salt: Of the call.
        is_last: Nothing goes on from it.
    """
    hints = Hints(
        program_id=opaque(program.program_id),
        tenant=program.tenant,
        cache_salt=cache_salt,
        is_last=is_last,
        priority=max(0, FIRST_PRIORITY - program.sequence),
    )
    if estimates is None or not program.workflow:
        return hints
    return Hints(
        program_id=hints.program_id,
        tenant=hints.tenant,
        cache_salt=cache_salt,
        is_last=is_last,
        priority=hints.priority,
        hold_s=None if is_last else expected_hold_s(estimates, program.workflow),
        next_tool=_next_tool(program, estimates),
        completion_tokens=_completion_tokens(program, estimates),
    )


def _next_tool(program: LiveProgram, estimates: Estimates) -> str:
    found = estimates.next_tool.likeliest(program.workflow, program.pauses.last_tool or START)
    if found is None or found[1] < _LIKELY or found[0] in {END, REPLY}:
        return ""
    return found[0]


def _completion_tokens(program: LiveProgram, estimates: Estimates) -> int:
    tokens = estimates.outputs.completion_tokens(program.workflow, program.turns + 1)
    return max(1, round(tokens.remaining_quantile(0.5, 0.0)))
