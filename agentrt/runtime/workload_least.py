"""What a workload would cost a server with all the room there is: every token once."""

from __future__ import annotations

from agentrt.ir.prefix import block_count, shared_blocks
from agentrt.ir.workload import CallStep, ProgramTrace, StepId, Workload
from agentrt.scheduler.radix import RadixCache


def least_prefill_tokens(workload: Workload) -> int:
    """Prompt tokens to compute if nothing that was ever computed or written is forgotten.

    A prompt that goes on from a whole context of its program computes what is new in it; of any
    other, what no earlier prompt begins with is computed, in whole blocks of the workload. Engines
    whose blocks are longer compute a little more.
    """
    blocks = sum(
        block_count(step.context)
        for program in workload.programs
        for step in program.steps
        if isinstance(step, CallStep)
    )
    cache = RadixCache(blocks)
    least = 0
    for program in workload.programs:
        for step_id, step in enumerate(program.steps):
            if isinstance(step, CallStep):
                cached = cache.match(step.prompt) * workload.block_tokens
                known = max(cached, _gone_on_from_tokens(program, step_id, step))
                least += max(0, step.prompt_tokens - known)
                cache.insert(step.context)
    return least


def _gone_on_from_tokens(program: ProgramTrace, step_id: StepId, call: CallStep) -> int:
    """Tokens of the longest context that the prompt begins with, the end of its last block too."""
    longest = 0
    for earlier in program.steps[:step_id]:
        if isinstance(earlier, CallStep):
            blocks = block_count(earlier.context)
            if blocks and shared_blocks(earlier.context, call.prompt) == blocks:
                longest = max(longest, earlier.prompt_tokens + earlier.completion_tokens)
    return min(longest, call.prompt_tokens)
